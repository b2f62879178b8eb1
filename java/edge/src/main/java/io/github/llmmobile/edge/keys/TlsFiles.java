package io.github.llmmobile.edge.keys;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import org.jspecify.annotations.Nullable;

/** PEM files as Java's TLS wants them. */
final class TlsFiles {
  private TlsFiles() {}

  /**
   * Connections that show a certificate and trust one authority.
   *
   * @param pin which key the server must have, or null for any that the authority vouches for
   */
  static SSLSocketFactory sockets(Path authority, Path certificate, Path key, @Nullable CertificatePin pin) {
    try {
      char[] noPassword = new char[0];
      KeyStore own = empty();
      own.setKeyEntry("client", privateKey(key), noPassword, new Certificate[] {certificate(certificate)});
      KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
      keys.init(own, noPassword);
      KeyStore trusted = empty();
      trusted.setCertificateEntry("authority", certificate(authority));
      TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
      trust.init(trusted);
      SSLContext context = SSLContext.getInstance("TLSv1.3");
      context.init(keys.getKeyManagers(), pin == null ? trust.getTrustManagers() : pinned(trust, pin), null);
      return context.getSocketFactory();
    } catch (IOException | GeneralSecurityException | IllegalArgumentException e) {
      throw new LlmException(ErrorCode.IO, "the client's keys cannot be used: " + e.getMessage(), e);
    }
  }

  private static TrustManager[] pinned(TrustManagerFactory trust, CertificatePin pin) {
    return Arrays.stream(trust.getTrustManagers()).filter(X509TrustManager.class::isInstance)
        .map(chain -> new PinnedTrust((X509TrustManager) chain, pin)).toArray(TrustManager[]::new);
  }

  private static KeyStore empty() throws IOException, GeneralSecurityException {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    return store;
  }

  static Certificate certificate(Path file) throws IOException, GeneralSecurityException {
    try (InputStream in = Files.newInputStream(file)) {
      return CertificateFactory.getInstance("X.509").generateCertificate(in);
    }
  }

  static PrivateKey privateKey(Path file) throws IOException, GeneralSecurityException {
    String pem = new String(Files.readAllBytes(file), StandardCharsets.US_ASCII);
    byte[] der = Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
    return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
  }
}
