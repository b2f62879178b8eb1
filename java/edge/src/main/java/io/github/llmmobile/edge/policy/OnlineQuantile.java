package io.github.llmmobile.edge.policy;

import java.util.ArrayDeque;
import java.util.Arrays;

/**
 * The threshold that a given rate of the coming uncertainties lies above, from the last 1024 of them. Before there are
 * any it goes by others: those of a former run, or some that are spread evenly; each real one takes the place of one of
 * these.
 *
 * <p>A recursion of Robbins and Monro (1951) would need less memory, but at the rates of bursts, around one in a hundred,
 * it takes ten thousands of tokens to come down to a surer model.
 */
final class OnlineQuantile {
  private static final int WINDOW = 1024;
  private static final int EVEN = 16;

  private final double[] sorted = new double[WINDOW];
  private final ArrayDeque<Double> inOrder = new ArrayDeque<>();
  private int prior;
  private int size;
  private double credit;

  /** Starts with uncertainties of a former run, at most as many as the window holds; with even ones if there are none. */
  OnlineQuantile(double[] former) {
    if (former.length > WINDOW) {
      throw new IllegalArgumentException("at most " + WINDOW + " former uncertainties, not " + former.length);
    }
    int n = former.length == 0 ? EVEN : former.length;
    for (int i = 0; i < n; i++) {
      add(former.length == 0 ? (i + 0.5) / EVEN : former[i]);
    }
    prior = n;
  }

  /**
   * Whether the uncertainty is among the given rate of the largest, as far as those before tell; then it is one of them.
   * Of several that are equal, and where the rate falls between two, it is so for the right part of them.
   */
  boolean above(double uncertainty, double rate) {
    double among = (rate * (size + 1) - larger(uncertainty)) / (equal(uncertainty) + 1);
    boolean above = among >= 1;
    if (among > 0 && among < 1) {
      credit += among;
      above = credit >= 1;
      credit -= above ? 1 : 0;
    }
    if (prior > 0 || size == WINDOW) {
      prior = Math.max(0, prior - 1);
      remove(inOrder.removeFirst());
    }
    add(uncertainty);
    return above;
  }

  private int larger(double value) {
    return size - firstAbove(value);
  }

  private int equal(double value) {
    int at = firstAbove(value);
    int count = 0;
    while (at - count > 0 && sorted[at - count - 1] == value) {
      count++;
    }
    return count;
  }

  private int firstAbove(double value) {
    int found = Arrays.binarySearch(sorted, 0, size, value);
    int at = found < 0 ? -found - 1 : found;
    while (at < size && sorted[at] == value) {
      at++;
    }
    return at;
  }

  /** The n known ones cut the next one's range into n + 1 parts that are equally probable. */
  double threshold(double rate) {
    double fromTop = rate * (size + 1);
    int k = (int) Math.min(size, Math.floor(fromTop));
    return k == size ? 0 : largest(k) + (fromTop - k) * (largest(k + 1) - largest(k));
  }

  /** The k-th largest; the 0-th is the largest possible. */
  private double largest(int k) {
    return k == 0 ? 1 : sorted[size - k];
  }

  private void add(double value) {
    int found = Arrays.binarySearch(sorted, 0, size, value);
    int at = found < 0 ? -found - 1 : found;
    System.arraycopy(sorted, at, sorted, at + 1, size - at);
    sorted[at] = value;
    size++;
    inOrder.addLast(value);
  }

  private void remove(double value) {
    int at = Arrays.binarySearch(sorted, 0, size, value);
    System.arraycopy(sorted, at + 1, sorted, at, size - at - 1);
    size--;
  }

  /** So many of the known ones, from the smallest to the largest, for a later run. */
  double[] sample(int count) {
    double[] sample = new double[count];
    for (int i = 0; i < count; i++) {
      sample[i] = sorted[(int) Math.min(size - 1, Math.round((i + 0.5) * size / count - 0.5))];
    }
    return sample;
  }
}
