package io.github.llmmobile.edge.keys;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.cert.Certificate;
import java.util.Arrays;
import java.util.Base64;

/**
 * Which key a certificate must have: the SHA-256 of its SubjectPublicKeyInfo, written as {@code sha256/} and Base64. A
 * certificate that is renewed under the same key keeps it. Immutable.
 */
public final class CertificatePin {
  private static final String PREFIX = "sha256/";
  private static final int BYTES = 32;

  private final byte[] digest;

  private CertificatePin(byte[] digest) {
    this.digest = digest;
  }

  /**
   * The pin of a certificate.
   *
   * @param certificate the certificate (required)
   * @return the pin (never null)
   */
  public static CertificatePin of(Certificate certificate) {
    try {
      return new CertificatePin(
          MessageDigest.getInstance("SHA-256").digest(certificate.getPublicKey().getEncoded()));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  /**
   * Reads a pin.
   *
   * @param text such as {@code sha256/} and 44 characters of Base64 (required)
   * @return the pin (never null)
   * @throws LlmException INVALID_ARGUMENT if the text is no pin
   */
  public static CertificatePin parse(String text) {
    if (text.startsWith(PREFIX)) {
      try {
        byte[] digest = Base64.getDecoder().decode(text.substring(PREFIX.length()));
        if (digest.length == BYTES) {
          return new CertificatePin(digest);
        }
      } catch (IllegalArgumentException e) {
        // Said below.
      }
    }
    throw new LlmException(ErrorCode.INVALID_ARGUMENT,
        "\"" + text + "\" is no pin: it is sha256/ and the Base64 of 32 bytes, as llm-mobile keys tells it");
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof CertificatePin && MessageDigest.isEqual(digest, ((CertificatePin) other).digest);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(digest);
  }

  /** As it is read. */
  @Override
  public String toString() {
    return PREFIX + Base64.getEncoder().encodeToString(digest);
  }
}
