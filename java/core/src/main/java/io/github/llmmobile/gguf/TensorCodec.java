package io.github.llmmobile.gguf;

import io.github.llmmobile.LlmException;
import io.github.llmmobile.internal.NativeTensors;
import java.nio.ByteBuffer;

/** Numbers of tensors in the types of GGUF files, there and back. Threads: any. */
public final class TensorCodec {
  private TensorCodec() {}

  /**
   * Numbers out of the bytes of a tensor.
   *
   * @param type how they are stored (required)
   * @param data the bytes from position to limit, no more and no less than the numbers take (required)
   * @param count how many numbers, whole blocks of the type
   * @return the numbers (never null)
   * @throws LlmException RANGE if there are more or fewer bytes, NOT_AVAILABLE if the type has no way back to numbers
   */
  public static float[] dequantize(TensorType type, ByteBuffer data, int count) {
    return NativeTensors.dequantize(type.number(), data, count);
  }

  /**
   * A matrix as the bytes of a tensor.
   *
   * @param type how they are to be stored (required)
   * @param rows how many rows
   * @param cols numbers per row, whole blocks of the type
   * @param values row by row (required)
   * @return the bytes (never null)
   * @throws LlmException RANGE if the matrix is of another size, NOT_AVAILABLE if a row is no multiple of the type's
   *     block, which the message names, or if the type cannot be made from numbers alone, INVALID_ARGUMENT if a number
   *     is not finite
   */
  public static byte[] quantize(TensorType type, int rows, int cols, float[] values) {
    return NativeTensors.quantize(type.number(), rows, cols, values);
  }
}
