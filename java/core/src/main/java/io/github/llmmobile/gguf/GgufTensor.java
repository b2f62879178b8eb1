package io.github.llmmobile.gguf;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Name, type and shape of a tensor, without its numbers. Immutable. */
public final class GgufTensor {
  /** llama.cpp keeps names in arrays of 64 bytes. */
  static final int MAX_NAME_BYTES = 63;

  static final int MAX_DIMENSIONS = 4;

  private final String name;
  private final TensorType type;
  private final List<Long> shape;
  private final long elements;
  /** From the start of the data section; only tensors of a file have one. */
  private final long offset;

  private GgufTensor(String name, TensorType type, List<Long> shape, long elements, long offset) {
    this.name = name;
    this.type = type;
    this.shape = shape;
    this.elements = elements;
    this.offset = offset;
  }

  /**
   * A tensor that is to be written.
   *
   * @param name such as {@code blk.0.attn_q.weight}, 1 to 63 bytes (required)
   * @param type how its numbers are stored (required)
   * @param shape one to four sizes, the fastest-running first
   * @return the tensor (never null)
   * @throws LlmException RANGE for a wrong name or shape, NOT_AVAILABLE if a row is no multiple of the type's block
   */
  public static GgufTensor of(String name, TensorType type, long... shape) {
    int nameBytes = name.getBytes(StandardCharsets.UTF_8).length;
    if (nameBytes < 1 || nameBytes > MAX_NAME_BYTES) {
      throw new LlmException(ErrorCode.RANGE, "a tensor's name has 1 to " + MAX_NAME_BYTES + " bytes, but \"" + name
          + "\" has " + nameBytes);
    }
    long elements = elements(shape);
    if (elements < 0) {
      throw new LlmException(ErrorCode.RANGE, "tensor " + name + " has an impossible shape");
    }
    if (shape[0] % type.blockElements() != 0) {
      throw new LlmException(ErrorCode.NOT_AVAILABLE, "tensor " + name + " has rows of " + shape[0] + " numbers, but "
          + type + " needs a multiple of " + type.blockElements());
    }
    return new GgufTensor(name, type, list(shape), elements, 0);
  }

  /** A tensor of a file, whose reader has checked all this. */
  static GgufTensor read(String name, TensorType type, long[] shape, long offset) {
    return new GgufTensor(name, type, list(shape), elements(shape), offset);
  }

  /** How many numbers a shape has; -1 for an impossible one. */
  static long elements(long[] shape) {
    if (shape.length < 1 || shape.length > MAX_DIMENSIONS) {
      return -1;
    }
    long elements = 1;
    for (long size : shape) {
      if (size < 1 || elements > Long.MAX_VALUE / 64 / size) {
        return -1;
      }
      elements *= size;
    }
    return elements;
  }

  private static List<Long> list(long[] shape) {
    List<Long> list = new ArrayList<>(shape.length);
    for (long size : shape) {
      list.add(size);
    }
    return Collections.unmodifiableList(list);
  }

  /**
   * The tensor's name.
   *
   * @return such as {@code blk.0.attn_q.weight} (never null)
   */
  public String name() {
    return name;
  }

  /**
   * How its numbers are stored.
   *
   * @return the type (never null)
   */
  public TensorType type() {
    return type;
  }

  /**
   * Its sizes, the fastest-running first: for a weight, the length of its input and that of its output.
   *
   * @return one to four numbers, unmodifiable (never null)
   */
  public List<Long> shape() {
    return shape;
  }

  /**
   * How many numbers it has.
   *
   * @return a count
   */
  public long elements() {
    return elements;
  }

  /**
   * Its size in a file.
   *
   * @return bytes
   */
  public long bytes() {
    return type.rowBytes(elements);
  }

  long offset() {
    return offset;
  }

  @Override
  public String toString() {
    return name + " " + type + shape;
  }
}
