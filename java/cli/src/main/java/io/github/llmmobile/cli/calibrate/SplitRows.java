package io.github.llmmobile.cli.calibrate;

import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.function.DoubleConsumer;
import org.bytedeco.javacpp.FloatPointer;

/** The rows that a device would send while a model reads a text. */
public final class SplitRows {
  private SplitRows() {}

  /** Takes the rows of one window at one split. */
  public interface Taker {
    /**
     * Rows.
     *
     * @param split the split
     * @param from place of the first one in the text
     * @param count how many
     * @param rows one after another; the taker's own (required)
     */
    void take(int split, int from, int count, float[] rows);
  }

  /**
   * Reads a text in windows, each by itself.
   *
   * @param model shows its residual stream (required)
   * @param splits numbers of the first layers of a worker's part (required)
   * @param width of a row
   * @param tokens the text (required)
   * @param windowTokens that the model reads at once
   * @param taker takes the rows, window by window and split by split in ascending order (required)
   * @param progress hears before each window which share is done (required)
   */
  public static void read(Residuals model, List<Integer> splits, int width, int[] tokens, int windowTokens, Taker taker,
      DoubleConsumer progress) {
    List<Integer> ascending = new ArrayList<>(new TreeSet<>(splits));
    List<Integer> places = ascending.stream().map(split -> 2 * split).toList();
    try (FloatPointer memory = new FloatPointer((long) places.size() * windowTokens * width)) {
      for (int from = 0; from < tokens.length; from += windowTokens) {
        progress.accept((double) from / tokens.length);
        int count = Math.min(windowTokens, tokens.length - from);
        memory.position(0).limit((long) places.size() * count * width);
        FloatBuffer buffer = memory.asBuffer();
        model.read(Arrays.copyOfRange(tokens, from, from + count), places, buffer);
        for (int split : ascending) {
          float[] rows = new float[count * width];
          buffer.get(rows);
          taker.take(split, from, count, rows);
        }
      }
    }
  }
}
