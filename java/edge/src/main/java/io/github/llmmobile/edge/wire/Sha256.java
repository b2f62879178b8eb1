package io.github.llmmobile.edge.wire;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** The digest that every Java platform has. */
public final class Sha256 {
  private static final int BUFFER_BYTES = 1 << 16;

  private Sha256() {}

  /**
   * The digest of some bytes.
   *
   * @param bytes the bytes (required)
   * @return 32 bytes (never null)
   */
  public static byte[] of(byte[] bytes) {
    return digest().digest(bytes);
  }

  /**
   * The digest of a file.
   *
   * @param file its path (required)
   * @return 32 bytes (never null)
   * @throws LlmException IO if it cannot be read
   */
  public static byte[] of(Path file) {
    MessageDigest digest = digest();
    try (InputStream in = Files.newInputStream(file)) {
      byte[] piece = new byte[BUFFER_BYTES];
      for (int count = in.read(piece); count >= 0; count = in.read(piece)) {
        digest.update(piece, 0, count);
      }
      return digest.digest();
    } catch (IOException e) {
      throw new LlmException(ErrorCode.IO, "cannot read " + file + ": " + e.getMessage(), e);
    }
  }

  private static MessageDigest digest() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
