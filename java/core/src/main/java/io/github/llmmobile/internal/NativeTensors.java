package io.github.llmmobile.internal;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.internal.jni.Llmm;
import java.nio.ByteBuffer;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;

/** The conversions of ggml between the types of tensors and f32. Threads: any. */
public final class NativeTensors {
  private NativeTensors() {}

  /**
   * Numbers out of the bytes of a tensor.
   *
   * @param type ggml's number of the type
   * @param data the bytes
   * @param count how many numbers
   * @return the numbers
   */
  public static float[] dequantize(int type, ByteBuffer data, int count) {
    if (count < 0) {
      throw new LlmException(ErrorCode.RANGE, "count: must be at least 0, but is " + count);
    }
    NativeRuntime.ensureLoaded();
    float[] numbers = new float[count];
    int bytes = data.remaining();
    try (BytePointer in = pointer(data); FloatPointer out = new FloatPointer(Math.max(1L, count))) {
      Status.check(Llmm.llmm_tensor_dequantize(type, in, bytes, out, count));
      out.get(numbers);
    }
    return numbers;
  }

  /**
   * A matrix as the bytes of a tensor.
   *
   * @param type ggml's number of the type
   * @param rows how many rows
   * @param cols numbers per row
   * @param values row by row
   * @return the bytes
   */
  public static byte[] quantize(int type, int rows, int cols, float[] values) {
    if ((long) rows * cols != values.length) {
      throw new LlmException(ErrorCode.RANGE,
          "a matrix of " + rows + " x " + cols + " does not have " + values.length + " numbers");
    }
    NativeRuntime.ensureLoaded();
    try (FloatPointer in = new FloatPointer(Math.max(1L, values.length))) {
      in.put(values);
      return Buffers.bytes(out -> Llmm.llmm_quantize(type, rows, cols, in, out));
    }
  }

  /** The bytes where they are if they are native memory already, as those of a mapped file. */
  private static BytePointer pointer(ByteBuffer data) {
    if (data.isDirect()) {
      return new BytePointer(data.slice());
    }
    byte[] copy = new byte[data.remaining()];
    data.duplicate().get(copy);
    BytePointer pointer = new BytePointer(Math.max(1L, copy.length));
    pointer.put(copy, 0, copy.length);
    return pointer;
  }
}
