package io.github.llmmobile.edge.wire;

import java.security.GeneralSecurityException;
import java.util.Arrays;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * Seals or opens the frames of one direction of one epoch with AES-256-GCM. Frames are numbered from 0 without gaps: the
 * number is part of the nonce and of the authenticated data, so a frame that was changed, repeated, left out or moved does
 * not open, and after the first that does not, none does. After a fixed number of frames both sides move on to the next
 * keys and forget the former.
 *
 * <p>Not for use by several threads at once.
 */
public final class FrameSealer {
  /** Bytes that a sealed frame has more than what it holds. */
  public static final int TAG_BYTES = 16;

  /** Far below the 2^32 that GCM bears under one key. */
  public static final int FRAMES_PER_KEY = 1 << 20;

  private static final int NONCE_BYTES = 12;
  private static final int KEY_BYTES = 32;

  private final FrameContext context;
  private final byte direction;
  private final int framesPerKey;
  private final Cipher cipher;
  private byte[] chain;
  private int generation;
  private SecretKeySpec key;
  private byte[] iv;
  private long next;
  private boolean broken;

  private FrameSealer(FrameContext context, Direction direction, byte[] chain, int framesPerKey)
      throws GeneralSecurityException {
    this.context = context;
    this.direction = (byte) direction.ordinal();
    this.framesPerKey = framesPerKey;
    this.chain = chain;
    cipher = Cipher.getInstance("AES/GCM/NoPadding");
    iv = new byte[0];
    key = deriveKeys();
  }

  /** Which way frames go. */
  public enum Direction {
    /** From the client to the worker. */
    UP,
    /** From the worker to the client. */
    DOWN
  }

  /**
   * One direction of an epoch.
   *
   * @param context what frames are bound to
   * @param direction the direction
   * @param secret 32 bytes that both sides know
   * @param serverNonce 32 bytes, fresh in every epoch
   * @param framesPerKey frames after which keys change
   * @return the sealer
   */
  public static FrameSealer of(
      FrameContext context, Direction direction, byte[] secret, byte[] serverNonce, int framesPerKey) {
    try {
      byte[] salt = Arrays.copyOf(serverNonce, serverNonce.length + context.openDigest().length);
      System.arraycopy(context.openDigest(), 0, salt, serverNonce.length, context.openDigest().length);
      byte[] extracted = Hkdf.extract(salt, secret);
      return new FrameSealer(
          context, direction, Hkdf.expand(extracted, "direction " + direction.ordinal(), KEY_BYTES), framesPerKey);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("this Java has no AES-GCM or HMAC", e);
    }
  }

  /**
   * The number of the next frame.
   *
   * @return from 0
   */
  public long next() {
    return next;
  }

  /**
   * Seals the next frame.
   *
   * @param plain what it holds
   * @return what travels
   */
  public byte[] seal(byte[] plain) {
    try {
      return run(Cipher.ENCRYPT_MODE, plain);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("sealing failed", e);
    }
  }

  /**
   * Opens the next frame.
   *
   * @param seq the number that it claims
   * @param sealed what travelled
   * @return what it holds
   * @throws SealException if it is not the next frame that the other side has sealed
   */
  public byte[] open(long seq, byte[] sealed) throws SealException {
    if (broken || seq != next) {
      broken = true;
      throw new SealException("a frame is out of order: number " + seq + " where " + next + " is due");
    }
    if (sealed.length < TAG_BYTES) {
      broken = true;
      throw new SealException("a frame is too short");
    }
    try {
      return run(Cipher.DECRYPT_MODE, sealed);
    } catch (AEADBadTagException e) {
      broken = true;
      throw new SealException("a frame was forged or changed");
    } catch (GeneralSecurityException e) {
      broken = true;
      throw new SealException("a frame is malformed");
    }
  }

  private byte[] run(int mode, byte[] input) throws GeneralSecurityException {
    if (next > 0 && next % framesPerKey == 0 && next / framesPerKey != generation) {
      byte[] former = chain;
      chain = Hkdf.expand(former, "next", KEY_BYTES);
      Arrays.fill(former, (byte) 0);
      generation++;
      key = deriveKeys();
    }
    byte[] nonce = iv.clone();
    for (int i = 0; i < Long.BYTES; i++) {
      nonce[NONCE_BYTES - 1 - i] ^= (byte) (next >>> 8 * i);
    }
    cipher.init(mode, key, new GCMParameterSpec(8 * TAG_BYTES, nonce));
    cipher.updateAAD(context.aad(direction, generation, next));
    byte[] output = cipher.doFinal(input);
    next++;
    return output;
  }

  private SecretKeySpec deriveKeys() throws GeneralSecurityException {
    iv = Hkdf.expand(chain, "iv", NONCE_BYTES);
    byte[] bytes = Hkdf.expand(chain, "key", KEY_BYTES);
    SecretKeySpec derived = new SecretKeySpec(bytes, "AES");
    Arrays.fill(bytes, (byte) 0);
    return derived;
  }
}
