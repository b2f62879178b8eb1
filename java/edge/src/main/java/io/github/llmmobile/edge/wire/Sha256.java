package io.github.llmmobile.edge.wire;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** The digest that every Java platform has. */
public final class Sha256 {
  private Sha256() {}

  /**
   * The digest of some bytes.
   *
   * @param bytes the bytes (required)
   * @return 32 bytes (never null)
   */
  public static byte[] of(byte[] bytes) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(bytes);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
