package io.github.llmmobile.edge;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.edge.wire.Records;
import io.github.llmmobile.edge.wire.ReducedRecords;
import io.github.llmmobile.edge.wire.Rotation;
import io.github.llmmobile.edge.wire.RowRecords;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * How the rows of a session travel: in which codec, and whether whole or reduced to their largest coefficients in a {@link
 * RowBasis}. Encoding and decoding are the same bit for bit on every machine. Immutable.
 */
public final class RowFormat {
  private final RowCodec codec;
  private final int width;
  private final @Nullable RowBasis basis;
  private final @Nullable Rotation rotation;
  private final int keepDims;
  private final int recordBytes;

  private RowFormat(RowCodec codec, int width, @Nullable RowBasis basis, @Nullable Rotation rotation, int keepDims) {
    this.codec = codec;
    this.width = width;
    this.basis = basis;
    this.rotation = rotation;
    this.keepDims = keepDims;
    recordBytes = rotation == null ? RowRecords.bytes(codec, width) : records().bytes();
  }

  /**
   * Whole rows.
   *
   * @param codec how numbers are written (required)
   * @param width numbers in a row
   * @return the format (never null)
   * @throws LlmException RANGE if the width is not from 1 to 65536
   */
  public static RowFormat of(RowCodec codec, int width) {
    return new RowFormat(Objects.requireNonNull(codec, "codec"), width, null, null, 0);
  }

  /**
   * Reduced rows.
   *
   * @param codec how coefficients are written (required)
   * @param basis the basis of the model (required)
   * @param split one of its splits
   * @param keepDims coefficients that are kept of each row, from 1 to {@link RowBasis#dims}; 0 for half of the row's width
   * @return the format (never null)
   * @throws LlmException RANGE if the basis has no such split or not as many coefficients
   */
  public static RowFormat reduced(RowCodec codec, RowBasis basis, int split, int keepDims) {
    Rotation rotation = basis.at(split);
    int kept = keepDims == 0 ? (basis.width() + 1) / 2 : keepDims;
    if (kept < 1 || kept > rotation.size()) {
      throw new LlmException(
          ErrorCode.RANGE, "keepDims: must be from 1 to " + rotation.size() + ", but is " + keepDims);
    }
    return new RowFormat(Objects.requireNonNull(codec, "codec"), basis.width(), basis, rotation, kept);
  }

  /**
   * How numbers are written.
   *
   * @return the codec (never null)
   */
  public RowCodec codec() {
    return codec;
  }

  /**
   * The basis in which rows are reduced.
   *
   * @return the basis; empty if rows travel whole (never null)
   */
  public Optional<RowBasis> basis() {
    return Optional.ofNullable(basis);
  }

  /**
   * Coefficients that are kept of each row.
   *
   * @return their number; 0 if rows travel whole
   */
  public int keepDims() {
    return keepDims;
  }

  /**
   * Length of the record of one row.
   *
   * @return bytes
   */
  public int recordBytes() {
    return recordBytes;
  }

  private Records records() {
    return rotation == null ? new RowRecords(codec, width) : new ReducedRecords(codec, rotation, keepDims);
  }

  /**
   * Writes rows.
   *
   * @param rows the numbers that remain are whole rows; its position does not change (required)
   * @return the records, one after another (never null)
   * @throws LlmException INVALID_ARGUMENT if a number is a NaN or infinite
   */
  public byte[] encode(FloatBuffer rows) {
    int count = rows.remaining() / width;
    ByteBuffer out = RowRecords.allocate(count * recordBytes);
    Records records = records();
    for (int i = 0; i < count; i++) {
      records.encode(rows, rows.position() + i * width, out);
    }
    return out.array();
  }

  /**
   * Reads rows.
   *
   * @param records whole records (required)
   * @param rows receives them from its position on, which does not change (required)
   * @throws LlmException INVALID_ARGUMENT if the length is not that of whole records, or a record is none of this format
   */
  public void decode(byte[] records, FloatBuffer rows) {
    if (records.length % recordBytes != 0 || records.length / recordBytes * (long) width > rows.remaining()) {
      throw new LlmException(ErrorCode.INVALID_ARGUMENT,
          "records: " + records.length + " bytes are no whole rows of " + recordBytes + " bytes that fit the buffer");
    }
    Records reader = records();
    ByteBuffer in = RowRecords.wrap(records);
    for (int i = 0; i < records.length / recordBytes; i++) {
      reader.decode(in, rows, rows.position() + i * width);
    }
  }

  /** For people, such as {@code int8} or {@code int8, 288 of 576 dimensions}. */
  @Override
  public String toString() {
    return basis == null ? codec.toString() : codec + ", " + keepDims + " of " + width + " dimensions";
  }
}
