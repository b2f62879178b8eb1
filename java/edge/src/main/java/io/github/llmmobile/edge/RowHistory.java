package io.github.llmmobile.edge;

import java.nio.FloatBuffer;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.OptionalLong;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.jspecify.annotations.Nullable;

/**
 * The rows of a session as they were, or would have been, sent, and the batches that they were made in. Whatever has the
 * layers above, here or elsewhere, is brought up to date from it, and comes to the same bits: it is fed the same bytes in
 * the same batches. Threads: any.
 */
final class RowHistory {
  private final RowFormat format;
  private final boolean exact;
  private final @Nullable SplitPages pages;
  private final int recordBytes;
  private final Mac mac;
  private byte[] records = new byte[0];
  // Of batch i: the position after its last row, and what the history up to there is called.
  private int[] ends = new int[16];
  private long[] labels = new long[16];
  private int batches;
  private int truncations;
  private int highest;

  /**
   * An empty history.
   *
   * @param exact whether all who evaluate the rows must come to the same bits
   * @param pages how they keep what comes of them; null if unpaged
   */
  RowHistory(RowFormat format, boolean exact, @Nullable SplitPages pages) {
    this.format = format;
    this.exact = exact;
    this.pages = pages;
    recordBytes = format.recordBytes();
    byte[] key = new byte[32];
    new SecureRandom().nextBytes(key);
    try {
      // Keyed, so that the worker cannot tell from labels whether two histories are the same.
      mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(key, "HmacSHA256"));
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Some batches from a position on. */
  static final class Piece {
    final int base;
    final int[] sizes;
    final byte[] records;
    final long label;
    final int end;

    Piece(int base, int[] sizes, byte[] records, long label) {
      this.base = base;
      this.sizes = sizes;
      this.records = records;
      this.label = label;
      end = base + Arrays.stream(sizes).sum();
    }
  }

  RowFormat format() {
    return format;
  }

  synchronized int size() {
    return batches == 0 ? 0 : ends[batches - 1];
  }

  /** Where the last batch begins. */
  synchronized int lastBatch() {
    return batches < 2 ? 0 : ends[batches - 2];
  }

  /** How often the end was cut off: what was read before such a moment may no longer be so. */
  synchronized int truncations() {
    return truncations;
  }

  /** How far whoever is to go back to the end of a batch must go back. */
  synchronized int cutAt(int position) {
    return exact && pages != null ? pages.cutAt(position, highest) : position;
  }

  /** Appends one batch. */
  void append(FloatBuffer rows) {
    byte[] encoded = format.encode(rows);
    synchronized (this) {
      int from = size();
      int to = from + encoded.length / recordBytes;
      if (to * recordBytes > records.length) {
        records = Arrays.copyOf(records, Math.max(to * recordBytes, 2 * records.length));
      }
      System.arraycopy(encoded, 0, records, from * recordBytes, encoded.length);
      mac.update(longBytes(batches == 0 ? 0 : labels[batches - 1]));
      mac.update(longBytes(to));
      byte[] digest = mac.doFinal(encoded);
      add(to, java.nio.ByteBuffer.wrap(digest).getLong());
    }
  }

  private void add(int end, long label) {
    if (batches == ends.length) {
      ends = Arrays.copyOf(ends, 2 * batches);
      labels = Arrays.copyOf(labels, 2 * batches);
    }
    ends[batches] = end;
    labels[batches++] = label;
    highest = Math.max(highest, end);
  }

  private static byte[] longBytes(long value) {
    return java.nio.ByteBuffer.allocate(Long.BYTES).putLong(value).array();
  }

  /**
   * Cuts the history off. A batch that is cut through has another name from then on, and other bits, since its size is one of
   * the things that decide them.
   *
   * @return how far whoever has more must go back
   */
  synchronized int truncate(int size) {
    if (size >= size()) {
      return size;
    }
    truncations++;
    while (batches > 0 && ends[batches - 1] > size) {
      batches--;
    }
    int end = size();
    int cut = cutAt(exact ? end : size);
    if (end < size) {
      mac.update(longBytes(batches == 0 ? 0 : labels[batches - 1]));
      mac.update(longBytes(-size));
      byte[] digest = mac.doFinal();
      add(size, java.nio.ByteBuffer.wrap(digest).getLong());
    }
    return cut;
  }

  /** What the history is called up to a position, if a batch ends there. */
  synchronized OptionalLong labelAt(int position) {
    int i = Arrays.binarySearch(ends, 0, batches, position);
    return i < 0 ? OptionalLong.empty() : OptionalLong.of(labels[i]);
  }

  /**
   * What follows a position: whole batches up to a number of rows, at least one batch.
   *
   * @param merge true joins all to one batch: faster, and not the same bits
   */
  synchronized Piece piece(int base, int maxRows, boolean merge) {
    int first = Arrays.binarySearch(ends, 0, batches, base);
    // At a batch's end the next one begins; inside one, what is left of it.
    first = first < 0 ? -first - 1 : first + 1;
    int last = first;
    while (last + 1 < batches && ends[last + 1] - base <= maxRows) {
      last++;
    }
    int[] sizes = new int[last - first + 1];
    for (int i = first; i <= last; i++) {
      sizes[i - first] = ends[i] - (i == first ? base : ends[i - 1]);
    }
    int end = ends[last];
    return new Piece(base, merge ? new int[] {end - base} : sizes,
        Arrays.copyOfRange(records, base * recordBytes, end * recordBytes), labels[last]);
  }
}
