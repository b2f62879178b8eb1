package io.github.llmmobile.edge.keys;

import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import javax.net.ssl.X509TrustManager;

/** Trusts a server that another manager trusts and that has a certain key. */
final class PinnedTrust implements X509TrustManager {
  private final X509TrustManager chain;
  private final CertificatePin pin;

  PinnedTrust(X509TrustManager chain, CertificatePin pin) {
    this.chain = chain;
    this.pin = pin;
  }

  @Override
  public void checkServerTrusted(X509Certificate[] certificates, String kind) throws CertificateException {
    chain.checkServerTrusted(certificates, kind);
    CertificatePin found = CertificatePin.of(certificates[0]);
    if (!found.equals(pin)) {
      throw new PinMismatchException(pin, found);
    }
  }

  @Override
  public void checkClientTrusted(X509Certificate[] certificates, String kind) throws CertificateException {
    chain.checkClientTrusted(certificates, kind);
  }

  @Override
  public X509Certificate[] getAcceptedIssuers() {
    return chain.getAcceptedIssuers();
  }
}
