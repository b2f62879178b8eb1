package io.github.llmmobile.edge.wire;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;

/** Writes and reads rows, each as a record of the same length. Not for use by several threads at once. */
public interface Records {
  /**
   * Length of a record.
   *
   * @return bytes
   */
  int bytes();

  /**
   * Writes one row.
   *
   * @param rows where it is
   * @param at index of its first number
   * @param out receives the record
   * @throws io.github.llmmobile.LlmException INVALID_ARGUMENT if a number is a NaN or infinite
   */
  void encode(FloatBuffer rows, int at, ByteBuffer out);

  /**
   * Reads one row.
   *
   * @param in where the record begins; moves past it
   * @param rows receives the row
   * @param at index of its first number there
   * @throws io.github.llmmobile.LlmException INVALID_ARGUMENT if it is no record, or one of numbers that are not finite
   */
  void decode(ByteBuffer in, FloatBuffer rows, int at);
}
