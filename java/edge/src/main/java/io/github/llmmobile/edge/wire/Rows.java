package io.github.llmmobile.edge.wire;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/** Buffers of rows as sessions take them. */
public final class Rows {
  private Rows() {}

  /**
   * Room for rows.
   *
   * @param count rows
   * @param width numbers in a row
   * @return a direct buffer in the machine's byte order
   */
  public static FloatBuffer allocate(int count, int width) {
    return ByteBuffer.allocateDirect(count * width * Float.BYTES).order(ByteOrder.nativeOrder()).asFloatBuffer();
  }

  /**
   * Some of the rows.
   *
   * @param rows all rows
   * @param first the first one
   * @param count how many
   * @param width numbers in a row
   * @return a view that begins with the first and has nothing more than these
   */
  public static FloatBuffer some(FloatBuffer rows, int first, int count, int width) {
    FloatBuffer view = rows.duplicate();
    // In Android 8 these belong to Buffer alone.
    ((Buffer) view).limit((first + count) * width);
    ((Buffer) view).position(first * width);
    return view.slice();
  }
}
