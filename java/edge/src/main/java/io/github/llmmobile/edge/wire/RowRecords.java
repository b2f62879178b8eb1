package io.github.llmmobile.edge.wire;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.edge.RowCodec;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;

/**
 * The records of {@link RowCodec} for one width. All numbers are little-endian.
 *
 * <pre>
 * F32   width times f32
 * F16   e u8, width times f16
 * INT8  e u8, n outliers (place u16, value f16), scale f16, width times i8
 * INT4  e u8, n outliers (place u16, value f16), for each 32 values (the last group may be shorter): scale f16,
 *       16 bytes with the values plus 8, the first of two in the low half
 * </pre>
 *
 * <p>Stored numbers are the row's times 2^-e; e is 0 unless an f16 would not hold them. The n = width / 192
 * numbers of the largest magnitude (the first of equal ones) are outliers, in ascending places, and count as 0 among the
 * others: residual streams have a few channels that are larger than the rest by orders of magnitude.
 *
 * <p>Not for use by several threads at once.
 */
public final class RowRecords implements Records {
  private static final int GROUP = 32;
  private static final int WIDTH_PER_OUTLIER = 192;
  private static final int INT8_MAX = 127;
  private static final int INT4_MAX = 7;
  private static final int MAX_EXPONENT = 113;

  private final RowCodec codec;
  private final int width;
  private final float[] row;
  private final int[] places;

  /**
   * Records of a codec and a width.
   *
   * @param codec the codec
   * @param width numbers in a row
   */
  public RowRecords(RowCodec codec, int width) {
    this.codec = codec;
    this.width = width;
    row = new float[width];
    places = new int[outliers(width)];
  }

  /**
   * Length of a record.
   *
   * @param codec the codec
   * @param width numbers in a row
   * @return bytes
   */
  public static int bytes(RowCodec codec, int width) {
    if (width < 1 || width > 1 << 16) {
      throw new LlmException(ErrorCode.RANGE, "width: must be from 1 to 65536, but is " + width);
    }
    switch (codec) {
      case F32:
        return 4 * width;
      case F16:
        return 1 + 2 * width;
      case INT8:
        return 1 + 4 * outliers(width) + 2 + width;
      default:
        int groups = (width + GROUP - 1) / GROUP;
        return 1 + 4 * outliers(width) + 2 * groups + (width + 1) / 2;
    }
  }

  private static int outliers(int width) {
    return width / WIDTH_PER_OUTLIER;
  }

  @Override
  public int bytes() {
    return bytes(codec, width);
  }

  /**
   * A buffer for records.
   *
   * @param bytes its size
   * @return the buffer, in the order of bytes that records have
   */
  public static ByteBuffer allocate(int bytes) {
    return wrap(new byte[bytes]);
  }

  /**
   * Records as a buffer.
   *
   * @param records the records
   * @return the buffer, in the order of bytes that records have
   */
  public static ByteBuffer wrap(byte[] records) {
    return ByteBuffer.wrap(records).order(ByteOrder.LITTLE_ENDIAN);
  }

  @Override
  public void encode(FloatBuffer rows, int at, ByteBuffer out) {
    float largest = 0;
    for (int i = 0; i < width; i++) {
      row[i] = rows.get(at + i);
      float magnitude = Math.abs(row[i]);
      if (!(magnitude <= Float.MAX_VALUE)) {
        throw invalid("a hidden state has " + row[i] + " at " + i);
      }
      largest = Math.max(largest, magnitude);
    }
    if (codec == RowCodec.F32) {
      for (float value : row) {
        out.putFloat(value);
      }
      return;
    }
    int exponent = exponent(largest);
    out.put((byte) exponent);
    if (exponent > 0) {
      for (int i = 0; i < width; i++) {
        row[i] = Math.scalb(row[i], -exponent);
      }
    }
    if (codec == RowCodec.F16) {
      for (float value : row) {
        out.putShort(Half.of(value));
      }
      return;
    }
    takeOutliers(out);
    if (codec == RowCodec.INT8) {
      encodeBytes(out);
    } else {
      encodeNibbles(out);
    }
  }

  /** A power of two that brings a magnitude within what an f16 rounds to a finite number. */
  private static int exponent(float largest) {
    return largest <= Half.MAX ? 0 : Math.getExponent(largest / Half.MAX) + 1;
  }

  /** Writes the largest numbers and takes them out of the row. */
  private void takeOutliers(ByteBuffer out) {
    int found = 0;
    for (int i = 0; i < width && places.length > 0; i++) {
      // Insertion into a short list that is sorted by magnitude, the largest first.
      int slot = found;
      while (slot > 0 && Math.abs(row[places[slot - 1]]) < Math.abs(row[i])) {
        slot--;
      }
      if (slot < places.length) {
        found = Math.min(found + 1, places.length);
        System.arraycopy(places, slot, places, slot + 1, found - 1 - slot);
        places[slot] = i;
      }
    }
    Arrays.sort(places);
    for (int place : places) {
      out.putShort((short) place);
      out.putShort(Half.of(row[place]));
      row[place] = 0;
    }
  }

  private void encodeBytes(ByteBuffer out) {
    short scale = scale(0, width, INT8_MAX);
    float step = Half.value(scale);
    out.putShort(scale);
    for (int i = 0; i < width; i++) {
      out.put((byte) quantise(row[i], step, INT8_MAX));
    }
  }

  private void encodeNibbles(ByteBuffer out) {
    for (int begin = 0; begin < width; begin += GROUP) {
      int end = Math.min(begin + GROUP, width);
      short scale = scale(begin, end, INT4_MAX);
      float step = Half.value(scale);
      out.putShort(scale);
      for (int i = begin; i < end; i += 2) {
        int low = quantise(row[i], step, INT4_MAX) + 8;
        int high = i + 1 < end ? quantise(row[i + 1], step, INT4_MAX) + 8 : 8;
        out.put((byte) (low | high << 4));
      }
    }
  }

  private short scale(int begin, int end, int most) {
    float largest = 0;
    for (int i = begin; i < end; i++) {
      largest = Math.max(largest, Math.abs(row[i]));
    }
    return Half.of(largest / most);
  }

  private static int quantise(float value, float step, int most) {
    if (step == 0) {
      return 0;
    }
    return (int) Math.max(-most, Math.min(most, Math.rint((double) value / step)));
  }

  @Override
  public void decode(ByteBuffer in, FloatBuffer rows, int at) {
    if (codec == RowCodec.F32) {
      for (int i = 0; i < width; i++) {
        row[i] = finite(in.getFloat());
      }
    } else {
      decodeScaled(in);
    }
    for (int i = 0; i < width; i++) {
      rows.put(at + i, row[i]);
    }
  }

  private void decodeScaled(ByteBuffer in) {
    int exponent = in.get() & 0xFF;
    if (exponent > MAX_EXPONENT) {
      throw invalid("a record has the exponent " + exponent);
    }
    if (codec == RowCodec.F16) {
      for (int i = 0; i < width; i++) {
        row[i] = half(in);
      }
    } else {
      float[] large = new float[places.length];
      for (int i = 0; i < places.length; i++) {
        places[i] = in.getShort() & 0xFFFF;
        if (places[i] >= width || i > 0 && places[i] <= places[i - 1]) {
          throw invalid("a record has an outlier at " + places[i]);
        }
        large[i] = half(in);
      }
      if (codec == RowCodec.INT8) {
        decodeBytes(in);
      } else {
        decodeNibbles(in);
      }
      for (int i = 0; i < places.length; i++) {
        row[places[i]] = large[i];
      }
    }
    if (exponent > 0) {
      for (int i = 0; i < width; i++) {
        row[i] = finite(Math.scalb(row[i], exponent));
      }
    }
  }

  private void decodeBytes(ByteBuffer in) {
    float step = half(in);
    for (int i = 0; i < width; i++) {
      row[i] = in.get() * step;
    }
  }

  private void decodeNibbles(ByteBuffer in) {
    for (int begin = 0; begin < width; begin += GROUP) {
      int end = Math.min(begin + GROUP, width);
      float step = half(in);
      for (int i = begin; i < end; i += 2) {
        int pair = in.get();
        row[i] = ((pair & 0xF) - 8) * step;
        if (i + 1 < end) {
          row[i + 1] = ((pair >> 4 & 0xF) - 8) * step;
        }
      }
    }
  }

  private static float half(ByteBuffer in) {
    short half = in.getShort();
    if (!Half.isFinite(half)) {
      throw invalid("a record has a number that is not finite");
    }
    return Half.value(half);
  }

  private static float finite(float value) {
    if (!(Math.abs(value) <= Float.MAX_VALUE)) {
      throw invalid("a record has a number that is not finite");
    }
    return value;
  }

  private static LlmException invalid(String what) {
    return new LlmException(ErrorCode.INVALID_ARGUMENT, what);
  }
}
