package io.github.llmmobile.gguf;

import org.jspecify.annotations.Nullable;

/** How the numbers of a tensor are stored. Numbers and sizes are those of ggml and never change. */
public enum TensorType {
  /** 32-bit floating point. */
  F32(0, 1, 4),
  /** 16-bit floating point. */
  F16(1, 1, 2),
  /** 4 bits, blocks of 32 with a scale. */
  Q4_0(2, 32, 18),
  /** 4 bits, blocks of 32 with a scale and a minimum. */
  Q4_1(3, 32, 20),
  /** 5 bits, blocks of 32 with a scale. */
  Q5_0(6, 32, 22),
  /** 5 bits, blocks of 32 with a scale and a minimum. */
  Q5_1(7, 32, 24),
  /** 8 bits, blocks of 32 with a scale. */
  Q8_0(8, 32, 34),
  /** 8 bits, blocks of 32 with a scale and a sum; for intermediate results. */
  Q8_1(9, 32, 36),
  /** 2 bits, blocks of 256. */
  Q2_K(10, 256, 84),
  /** 3 bits, blocks of 256. */
  Q3_K(11, 256, 110),
  /** 4 bits, blocks of 256. */
  Q4_K(12, 256, 144),
  /** 5 bits, blocks of 256. */
  Q5_K(13, 256, 176),
  /** 6 bits, blocks of 256. */
  Q6_K(14, 256, 210),
  /** 8 bits, blocks of 256; for intermediate results. */
  Q8_K(15, 256, 292),
  /** 2.06 bits by codebook. */
  IQ2_XXS(16, 256, 66),
  /** 2.31 bits by codebook. */
  IQ2_XS(17, 256, 74),
  /** 3.06 bits by codebook. */
  IQ3_XXS(18, 256, 98),
  /** 1.56 bits by codebook. */
  IQ1_S(19, 256, 50),
  /** 4 bits on a curve, blocks of 32. */
  IQ4_NL(20, 32, 18),
  /** 3.44 bits by codebook. */
  IQ3_S(21, 256, 110),
  /** 2.56 bits by codebook. */
  IQ2_S(22, 256, 82),
  /** 4 bits on a curve, blocks of 256. */
  IQ4_XS(23, 256, 136),
  /** 8-bit integers. */
  I8(24, 1, 1),
  /** 16-bit integers. */
  I16(25, 1, 2),
  /** 32-bit integers. */
  I32(26, 1, 4),
  /** 64-bit integers. */
  I64(27, 1, 8),
  /** 64-bit floating point. */
  F64(28, 1, 8),
  /** 1.75 bits by codebook. */
  IQ1_M(29, 256, 56),
  /** The upper half of 32-bit floating point. */
  BF16(30, 1, 2),
  /** Three values, 1.69 bits. */
  TQ1_0(34, 256, 54),
  /** Three values, 2.06 bits. */
  TQ2_0(35, 256, 66),
  /** 4-bit floating point, blocks of 32 with a power of two. */
  MXFP4(39, 32, 17),
  /** 4-bit floating point, blocks of 64 with four 8-bit scales. */
  NVFP4(40, 64, 36),
  /** 1 bit, blocks of 128 with a scale. */
  Q1_0(41, 128, 18),
  /** 2 bits, blocks of 64 with a scale; the values are -1, 0, 1 and 2 times the scale. */
  Q2_0(42, 64, 18);

  private final int number;
  private final int blockElements;
  private final int blockBytes;

  TensorType(int number, int blockElements, int blockBytes) {
    this.number = number;
    this.blockElements = blockElements;
    this.blockBytes = blockBytes;
  }

  /**
   * The number that stands for the type in files.
   *
   * @return ggml's number
   */
  public int number() {
    return number;
  }

  /**
   * How many numbers are stored together. A row holds a multiple of it.
   *
   * @return at least 1
   */
  public int blockElements() {
    return blockElements;
  }

  /**
   * The size of a block.
   *
   * @return bytes
   */
  public int blockBytes() {
    return blockBytes;
  }

  /**
   * The size of a row.
   *
   * @param elements how many numbers, a multiple of {@link #blockElements()}
   * @return bytes
   */
  public long rowBytes(long elements) {
    return elements / blockElements * blockBytes;
  }

  /**
   * The type with a number.
   *
   * @param number a number as of {@link #number()}
   * @return its type, or null for a number that this version does not know
   */
  public static @Nullable TensorType of(int number) {
    for (TensorType type : values()) {
      if (type.number == number) {
        return type;
      }
    }
    return null;
  }
}
