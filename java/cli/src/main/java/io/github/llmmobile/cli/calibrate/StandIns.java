package io.github.llmmobile.cli.calibrate;

import io.github.llmmobile.cli.compress.Work;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.bytedeco.javacpp.FloatPointer;

/** Fits the stand-ins of a model's parts to a text. */
public final class StandIns {
  /** A buffer has no more than 2 GiB. */
  private static final long MOST_ROW_FLOATS = 1L << 28;

  private final Map<Integer, StandIn> standIns = new LinkedHashMap<>();
  private final Map<Integer, Double> blockInfluence = new TreeMap<>();

  private StandIns() {}

  /**
   * Reads the text, as often as the memory for moments asks for.
   *
   * @param model shows the residual stream (required)
   * @param parts which parts (required)
   * @param width of the stream
   * @param rank of the stand-ins, at most the width
   * @param tokens the text (required)
   * @param windowTokens how many are read together
   * @param memory bytes for moments
   * @param work hears of each window (required)
   * @return the stand-ins (never null)
   */
  public static StandIns fit(Residuals model, int[] parts, int width, int rank, int[] tokens, int windowTokens,
      long memory, Work work) {
    StandIns result = new StandIns();
    long atOnce = Math.max(1, Math.min(memory / PartMoments.bytes(width),
        MOST_ROW_FLOATS / (2L * width * windowTokens)));
    for (int from = 0; from < parts.length; from += (int) atOnce) {
      int to = (int) Math.min(parts.length, from + atOnce);
      int[] group = Arrays.copyOfRange(parts, from, to);
      double begin = from / (double) parts.length;
      double share = group.length / (double) parts.length;
      result.fitGroup(model, group, width, rank, tokens, windowTokens,
          (what, fraction) -> work.onStep(what, begin + share * fraction));
    }
    return result;
  }

  private void fitGroup(Residuals model, int[] parts, int width, int rank, int[] tokens, int windowTokens, Work work) {
    Map<Integer, PartMoments> moments = new LinkedHashMap<>();
    TreeSet<Integer> all = new TreeSet<>();
    for (int part : parts) {
      moments.put(part, new PartMoments(width));
      all.add(part);
      all.add(part + 1);
    }
    List<Integer> places = new ArrayList<>(all);
    try (FloatPointer rows = new FloatPointer((long) places.size() * windowTokens * width)) {
      for (int from = 0; from < tokens.length; from += windowTokens) {
        work.onStep("reading", 0.8 * from / tokens.length);
        int count = Math.min(windowTokens, tokens.length - from);
        rows.position(0).limit((long) places.size() * count * width);
        FloatBuffer buffer = rows.asBuffer();
        model.read(Arrays.copyOfRange(tokens, from, from + count), places, buffer);
        moments.forEach((part, sums) -> sums.add(place(buffer, places.indexOf(part), count * width),
            place(buffer, places.indexOf(part + 1), count * width), count));
      }
    }
    int done = 0;
    for (Map.Entry<Integer, PartMoments> entry : moments.entrySet()) {
      work.onStep("stand-in of " + Part.name(entry.getKey()), 0.8 + 0.2 * done++ / moments.size());
      standIns.put(entry.getKey(), StandIn.fit(entry.getValue(), rank));
      blockInfluence.put(entry.getKey(), entry.getValue().blockInfluence());
    }
  }

  private static FloatBuffer place(FloatBuffer rows, int index, int floats) {
    FloatBuffer place = rows.duplicate();
    place.position(index * floats).limit((index + 1) * floats);
    return place;
  }

  /** The parts that have one. */
  Set<Integer> parts() {
    return Collections.unmodifiableSet(standIns.keySet());
  }

  /**
   * The stand-in of a part.
   *
   * @param part its number
   * @return the stand-in (never null)
   */
  public StandIn of(int part) {
    StandIn standIn = standIns.get(part);
    if (standIn == null) {
      throw new IllegalArgumentException("part " + part + " was not fitted");
    }
    return standIn;
  }

  /**
   * How much a part turns the residual stream: one minus the mean cosine between before and after.
   *
   * @param part its number
   * @return from 0 to 2
   */
  public double blockInfluence(int part) {
    return blockInfluence.getOrDefault(part, Double.NaN);
  }
}
