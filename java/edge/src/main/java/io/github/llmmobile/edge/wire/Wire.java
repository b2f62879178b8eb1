package io.github.llmmobile.edge.wire;

import com.google.protobuf.ByteString;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.TokenLogprob;
import io.github.llmmobile.config.MemoryManagerConfig;
import io.github.llmmobile.edge.RowCodec;
import io.github.llmmobile.edge.SplitPages;
import io.github.llmmobile.edge.proto.ClientBody;
import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.proto.Codec;
import io.github.llmmobile.edge.proto.Open;
import io.github.llmmobile.edge.proto.Pages;
import io.github.llmmobile.edge.proto.Sealed;
import io.github.llmmobile.edge.proto.ServerBody;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** What both sides of the protocol agree on beyond the messages themselves. */
public final class Wire {
  /** The oldest version that this build speaks. */
  public static final int PROTOCOL_MIN = 1;
  /** The newest version that this build speaks. */
  public static final int PROTOCOL_MAX = 1;

  /** Length of a session's id. */
  public static final int SESSION_ID_BYTES = 16;
  /** Length of an epoch's secret, and of what tells a session's owner. */
  public static final int SECRET_BYTES = 32;
  /** Length of the worker's nonce. */
  public static final int NONCE_BYTES = 32;

  /** Lengths of results are multiples of this. */
  private static final int PADDING = 32;
  private static final byte[] HPKE_INFO = "llm-mobile/edge/1".getBytes(StandardCharsets.US_ASCII);

  private Wire() {}

  /**
   * A codec's number on the wire.
   *
   * @param codec the codec
   * @return its number
   */
  public static Codec codec(RowCodec codec) {
    switch (codec) {
      case F32:
        return Codec.F32;
      case F16:
        return Codec.F16;
      case INT8:
        return Codec.INT8;
      default:
        return Codec.INT4;
    }
  }

  /**
   * The codec of a number.
   *
   * @param codec the number
   * @return the codec
   * @throws ProtocolException CODEC_UNKNOWN
   */
  public static RowCodec codec(Codec codec) throws ProtocolException {
    for (RowCodec known : RowCodec.values()) {
      if (codec(known) == codec) {
        return known;
      }
    }
    throw new ProtocolException(Code.CODEC_UNKNOWN, "this codec is not known here");
  }

  /**
   * Pages as they travel.
   *
   * @param pages the pages
   * @return the message
   */
  public static Pages pages(SplitPages pages) {
    return Pages.newBuilder().setTokens(pages.tokens()).setFourBit(pages.fourBit()).setRecent(pages.recentTokens())
        .setPinned(pages.pinnedTokens()).build();
  }

  /**
   * The pages of a message.
   *
   * @param pages the message
   * @return the pages
   * @throws ProtocolException PAGES_MISMATCH if there are no such pages
   */
  public static SplitPages pages(Pages pages) throws ProtocolException {
    try {
      return SplitPages.of(MemoryManagerConfig.builder().pageSize(pages.getTokens())
          .quantizationEnabled(pages.getFourBit()).recentWindow(pages.getRecent()).pinnedPrefix(pages.getPinned())
          .build());
    } catch (LlmException e) {
      throw new ProtocolException(Code.PAGES_MISMATCH, "such pages are not known here");
    }
  }

  /**
   * Bytes as people compare them.
   *
   * @param bytes the bytes (required)
   * @return two digits for each (never null)
   */
  public static String hex(ByteString bytes) {
    StringBuilder text = new StringBuilder();
    for (byte b : bytes) {
      text.append(Character.forDigit(b >> 4 & 0xF, 16)).append(Character.forDigit(b & 0xF, 16));
    }
    return text.toString();
  }

  /**
   * What the wrapped secrets of an Open are bound to.
   *
   * @param open the Open, with or without them
   * @return the bytes
   */
  public static byte[] hpkeInfo(Open open) {
    byte[] model = open.getModel().getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(HPKE_INFO.length + open.getSessionId().size() + model.length + 8)
        .put(HPKE_INFO).put(open.getSessionId().toByteArray()).putInt(open.getEpoch()).putInt(open.getKeyId())
        .put(model).array();
  }

  /**
   * What frames of an Open's epoch are bound to.
   *
   * @param open the Open
   * @param bytes the Open as it travels
   * @return the context
   */
  public static FrameContext context(Open open, byte[] bytes) {
    return new FrameContext(open.getSessionId().toByteArray(), open.getEpoch(), open.getLayerBegin(),
        open.getLayerEnd(), open.getModel(), open.getCodecValue(), bytes);
  }

  /**
   * Seals a frame of the client.
   *
   * @param sealer the sealer of this direction
   * @param body what it holds
   * @return the frame
   */
  public static Sealed seal(FrameSealer sealer, ClientBody body) {
    return sealed(sealer, body.toByteArray());
  }

  /**
   * Seals a frame of the worker, padded.
   *
   * @param sealer the sealer of this direction
   * @param body what it holds
   * @return the frame
   */
  public static Sealed seal(FrameSealer sealer, ServerBody body) {
    int size = body.getSerializedSize();
    if (size % PADDING == 0) {
      return sealed(sealer, body.toByteArray());
    }
    // The field takes two bytes besides what it holds, and cannot be empty.
    int padding = PADDING - (size + 2) % PADDING;
    return sealed(sealer,
        body.toBuilder().setPadding(ByteString.copyFrom(new byte[padding])).build().toByteArray());
  }

  private static Sealed sealed(FrameSealer sealer, byte[] plain) {
    long seq = sealer.next();
    return Sealed.newBuilder().setSeq(seq).setCiphertext(ByteString.copyFrom(sealer.seal(plain))).build();
  }

  /**
   * What makes logits of the logarithms of probabilities.
   *
   * @param session a session that has evaluated something
   * @param token a token
   * @return the natural logarithm of the sum of the exponentials of all logits
   */
  public static float logSum(LlmSession session, TokenLogprob token) {
    return (float) (session.logits()[token.token()] - token.logprob());
  }

  /**
   * Candidates as they travel.
   *
   * @param ids tokens, the best first
   * @param logprobs natural logarithms of their probabilities
   * @return 8 bytes for each
   */
  public static byte[] candidates(int[] ids, float[] logprobs) {
    ByteBuffer out = RowRecords.allocate(8 * ids.length);
    for (int i = 0; i < ids.length; i++) {
      out.putInt(ids[i]).putFloat(logprobs[i]);
    }
    return out.array();
  }
}
