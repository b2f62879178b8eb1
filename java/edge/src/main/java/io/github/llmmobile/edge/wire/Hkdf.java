package io.github.llmmobile.edge.wire;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** HKDF with SHA-256 (RFC 5869). */
final class Hkdf {
  private static final String MAC = "HmacSHA256";
  private static final int BLOCK = 32;

  private Hkdf() {}

  static byte[] extract(byte[] salt, byte[] secret) throws GeneralSecurityException {
    return mac(salt, secret);
  }

  static byte[] expand(byte[] key, String info, int length) throws GeneralSecurityException {
    byte[] label = info.getBytes(StandardCharsets.US_ASCII);
    byte[] out = new byte[length];
    byte[] block = new byte[0];
    for (int at = 0, n = 1; at < length; at += BLOCK, n++) {
      byte[] input = Arrays.copyOf(block, block.length + label.length + 1);
      System.arraycopy(label, 0, input, block.length, label.length);
      input[input.length - 1] = (byte) n;
      block = mac(key, input);
      System.arraycopy(block, 0, out, at, Math.min(BLOCK, length - at));
    }
    return out;
  }

  private static byte[] mac(byte[] key, byte[] input) throws GeneralSecurityException {
    Mac mac = Mac.getInstance(MAC);
    mac.init(new SecretKeySpec(key, MAC));
    return mac.doFinal(input);
  }
}
