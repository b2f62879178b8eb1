package io.github.llmmobile.edge;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.edge.wire.RowRecords;
import java.nio.FloatBuffer;
import java.util.Locale;

/**
 * How hidden states are written for the wire: one record per token, its length given by the codec and the width alone.
 * Encoding is the same bit for bit on every machine. docs/edge-cloud.md has the formats.
 */
public enum RowCodec {
  /** All 32 bits: what arrives is what was sent. 4 bytes per number. */
  F32,
  /** 16-bit floats under a power of two that keeps large numbers in range. 2 bytes per number and 1 per row. */
  F16,
  /** 8 bits under one scale per row; the largest numbers apart, in 16 bits. About 1 byte per number. */
  INT8,
  /** 4 bits under one scale per 32 numbers; the largest numbers apart. About 0.6 bytes per number. */
  INT4;

  /**
   * The codec of a name.
   *
   * @param name {@code f32}, {@code f16}, {@code int8} or {@code int4}, in upper or lower case (required)
   * @return the codec (never null)
   * @throws LlmException INVALID_ARGUMENT if there is none of that name
   */
  public static RowCodec of(String name) {
    for (RowCodec codec : values()) {
      if (codec.name().equalsIgnoreCase(name)) {
        return codec;
      }
    }
    throw new LlmException(
        ErrorCode.INVALID_ARGUMENT, "codec: must be f32, f16, int8 or int4, but is \"" + name + "\"");
  }

  /**
   * Length of a record.
   *
   * @param width numbers in a row, at least 1
   * @return bytes
   */
  public int recordBytes(int width) {
    return RowRecords.bytes(this, width);
  }

  /**
   * Writes rows.
   *
   * @param rows the numbers that remain are whole rows; its position does not change (required)
   * @param width numbers in a row, from 1 to 65536
   * @return the records, one after another (never null)
   * @throws LlmException INVALID_ARGUMENT if a number is a NaN or infinite
   */
  public byte[] encode(FloatBuffer rows, int width) {
    return RowFormat.of(this, width).encode(rows);
  }

  /**
   * Reads rows.
   *
   * @param records whole records (required)
   * @param width numbers in a row, as when they were written
   * @param rows receives them from its position on, which does not change (required)
   * @throws LlmException INVALID_ARGUMENT if the length is not that of whole records, or a record is none that this
   *     codec writes: a NaN, an infinity, a place outside the row
   */
  public void decode(byte[] records, int width, FloatBuffer rows) {
    RowFormat.of(this, width).decode(records, rows);
  }

  /** The name as it is typed, such as {@code int8}. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
