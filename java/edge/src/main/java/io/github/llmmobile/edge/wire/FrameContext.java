package io.github.llmmobile.edge.wire;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** What every sealed frame of one epoch is bound to. A frame of any other session, epoch, model or codec does not open. */
public final class FrameContext {
  private static final byte[] MAGIC = "LME1".getBytes(StandardCharsets.US_ASCII);

  private final byte[] bound;
  private final byte[] openDigest;

  /**
   * The context of an epoch.
   *
   * @param sessionId 16 bytes
   * @param epoch the epoch
   * @param layerBegin the first layer
   * @param layerEnd the layer after the last
   * @param model fingerprint of the model
   * @param codec number of the codec
   * @param open the serialised Open, exactly as it travels
   */
  public FrameContext(byte[] sessionId, int epoch, int layerBegin, int layerEnd, String model, int codec, byte[] open) {
    byte[] name = model.getBytes(StandardCharsets.UTF_8);
    bound = ByteBuffer.allocate(sessionId.length + 17 + name.length)
        .put(sessionId).putInt(epoch).putInt(layerBegin).putInt(layerEnd).put((byte) codec).putInt(name.length).put(name)
        .array();
    openDigest = Sha256.of(open);
  }

  /** Digest of the Open. */
  byte[] openDigest() {
    return openDigest;
  }

  /** Data that is authenticated with a frame and does not travel. */
  byte[] aad(byte direction, int generation, long seq) {
    return ByteBuffer.allocate(MAGIC.length + bound.length + 13)
        .put(MAGIC).put(direction).putInt(generation).putLong(seq).put(bound).array();
  }
}
