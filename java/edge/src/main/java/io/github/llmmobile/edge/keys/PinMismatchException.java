package io.github.llmmobile.edge.keys;

import java.security.cert.CertificateException;

/** The certificate is good, and not the one that is expected. */
public final class PinMismatchException extends CertificateException {
  private static final long serialVersionUID = 1L;

  /**
   * A failure.
   *
   * @param expected what the key should be (required)
   * @param found what it is (required)
   */
  public PinMismatchException(CertificatePin expected, CertificatePin found) {
    super("the key of its certificate is " + found + ", and not " + expected + ", which is pinned");
  }
}
