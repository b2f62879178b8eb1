package io.github.llmmobile.edge.wire;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.edge.RowCodec;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.Arrays;

/**
 * Records of rows of which only the largest coefficients are kept.
 *
 * <pre>
 * which coefficients are kept: a bit each, the first in the low bit of the first byte; absent if all are
 * channels apart: a record of the codec F16, of F32 if the codec is F32
 * kept coefficients, in their order: a record of the codec
 * </pre>
 *
 * <p>The coefficients of the largest magnitude are kept, the first of equal ones: which these are differs from row to row,
 * and choosing them for each costs a bit per coefficient and loses a third of what the same number of fixed ones loses.
 */
public final class ReducedRecords implements Records {
  private final Rotation rotation;
  private final int keep;
  private final int maskBytes;
  private final RowRecords apartRecords;
  private final RowRecords keptRecords;
  private final int bytes;
  private final float[] row;
  private final float[] coefficients;
  private final float[] magnitudes;
  private final FloatBuffer apart;
  private final FloatBuffer kept;
  private final boolean[] chosen;

  /**
   * Records of a codec and a rotation.
   *
   * @param codec the codec
   * @param rotation the coordinates
   * @param keep coefficients in a record, from 1 to all
   */
  public ReducedRecords(RowCodec codec, Rotation rotation, int keep) {
    this.rotation = rotation;
    this.keep = keep;
    int size = rotation.size();
    int outside = rotation.width() - size;
    maskBytes = keep == size ? 0 : (size + 7) / 8;
    RowCodec outer = codec == RowCodec.F32 ? RowCodec.F32 : RowCodec.F16;
    apartRecords = new RowRecords(outer, outside);
    keptRecords = new RowRecords(codec, keep);
    bytes = maskBytes + apartRecords.bytes() + keptRecords.bytes();
    row = new float[rotation.width()];
    coefficients = new float[size];
    magnitudes = new float[size];
    chosen = new boolean[size];
    apart = FloatBuffer.allocate(outside);
    kept = FloatBuffer.allocate(keep);
  }

  @Override
  public int bytes() {
    return bytes;
  }

  @Override
  public void encode(FloatBuffer rows, int at, ByteBuffer out) {
    for (int i = 0; i < row.length; i++) {
      row[i] = rows.get(at + i);
    }
    rotation.turn(row, coefficients);
    for (float coefficient : coefficients) {
      if (!(Math.abs(coefficient) <= Float.MAX_VALUE)) {
        throw invalid("a hidden state has the coefficient " + coefficient);
      }
    }
    choose();
    writeMask(out);
    rotation.takeApart(row, apart.array());
    apartRecords.encode(apart, 0, out);
    int count = 0;
    for (int i = 0; i < coefficients.length; i++) {
      if (chosen[i]) {
        kept.put(count++, coefficients[i]);
      }
    }
    keptRecords.encode(kept, 0, out);
  }

  /** Marks the largest coefficients. */
  private void choose() {
    for (int i = 0; i < magnitudes.length; i++) {
      magnitudes[i] = Math.abs(coefficients[i]);
    }
    Arrays.sort(magnitudes);
    float least = magnitudes[magnitudes.length - keep];
    int left = keep;
    for (int i = 0; i < chosen.length; i++) {
      chosen[i] = Math.abs(coefficients[i]) > least;
      left -= chosen[i] ? 1 : 0;
    }
    for (int i = 0; i < chosen.length && left > 0; i++) {
      if (Math.abs(coefficients[i]) == least) {
        chosen[i] = true;
        left--;
      }
    }
  }

  private void writeMask(ByteBuffer out) {
    for (int begin = 0; begin < 8 * maskBytes; begin += 8) {
      int bits = 0;
      for (int i = begin; i < Math.min(begin + 8, chosen.length); i++) {
        bits |= chosen[i] ? 1 << i - begin : 0;
      }
      out.put((byte) bits);
    }
  }

  private void readMask(ByteBuffer in) {
    Arrays.fill(chosen, maskBytes == 0);
    int count = maskBytes == 0 ? keep : 0;
    for (int begin = 0; begin < 8 * maskBytes; begin += 8) {
      int bits = in.get() & 0xFF;
      count += Integer.bitCount(bits);
      for (int i = begin; i < Math.min(begin + 8, chosen.length); i++) {
        chosen[i] = (bits >> i - begin & 1) != 0;
      }
      if (chosen.length - begin < 8 && bits >> chosen.length - begin != 0) {
        throw invalid("a record has more coefficients than there are");
      }
    }
    if (count != keep) {
      throw invalid("a record has " + count + " coefficients, not " + keep);
    }
  }

  @Override
  public void decode(ByteBuffer in, FloatBuffer rows, int at) {
    readMask(in);
    apartRecords.decode(in, apart, 0);
    rotation.putApart(apart.array(), row);
    keptRecords.decode(in, kept, 0);
    int count = 0;
    for (int i = 0; i < coefficients.length; i++) {
      coefficients[i] = chosen[i] ? kept.get(count++) : 0;
    }
    rotation.restore(coefficients, row);
    for (int i = 0; i < row.length; i++) {
      if (!(Math.abs(row[i]) <= Float.MAX_VALUE)) {
        throw invalid("a record has a number that is not finite");
      }
      rows.put(at + i, row[i]);
    }
  }

  private static LlmException invalid(String what) {
    return new LlmException(ErrorCode.INVALID_ARGUMENT, what);
  }
}
