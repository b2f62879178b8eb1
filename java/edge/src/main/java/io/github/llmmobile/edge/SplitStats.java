package io.github.llmmobile.edge;

import java.util.Arrays;

/** Counters of a split session since it began. Immutable. */
public final class SplitStats {
  private final int splitSteps;
  private final int localSteps;
  private final int missedDeadlines;
  private final int connections;
  private final int losses;
  private final int probes;
  private final long replayedRows;
  private final long sentBytes;
  private final long receivedBytes;
  private final double sentBytesPerToken;
  private final int[] overheadMicros;

  private SplitStats(Recorder r) {
    splitSteps = r.splitSteps;
    localSteps = r.localSteps;
    missedDeadlines = r.missedDeadlines;
    connections = r.connections;
    losses = r.losses;
    probes = r.probes;
    replayedRows = r.replayedRows;
    sentBytes = r.sentBytes;
    receivedBytes = r.receivedBytes;
    sentBytesPerToken = r.singles == 0 ? 0 : (double) r.singleBytes / r.singles;
    overheadMicros = Arrays.copyOf(r.overhead, Math.min(r.singles, Recorder.SAMPLES));
    Arrays.sort(overheadMicros);
  }

  /**
   * Steps that the worker finished.
   *
   * @return their number
   */
  public int splitSteps() {
    return splitSteps;
  }

  /**
   * Steps that were made on this device alone.
   *
   * @return their number
   */
  public int localSteps() {
    return localSteps;
  }

  /**
   * Answers that did not come in time.
   *
   * @return their number
   */
  public int missedDeadlines() {
    return missedDeadlines;
  }

  /**
   * Streams that were opened.
   *
   * @return 1 if all went well
   */
  public int connections() {
    return connections;
  }

  /**
   * Streams that were given up or broke.
   *
   * @return 0 if all went well
   */
  public int losses() {
    return losses;
  }

  /**
   * Times that the way was measured in the course of the session.
   *
   * @return their number, those at the start apart
   */
  public int probes() {
    return probes;
  }

  /**
   * Rows that were sent to bring a worker up to date.
   *
   * @return their number
   */
  public long replayedRows() {
    return replayedRows;
  }

  /**
   * Bytes of messages that went to workers and were answered, without gRPC's, HTTP's and TLS's own.
   *
   * @return bytes
   */
  public long sentBytes() {
    return sentBytes;
  }

  /**
   * Bytes of messages that came back.
   *
   * @return bytes
   */
  public long receivedBytes() {
    return receivedBytes;
  }

  /**
   * Bytes of a message that brings one token, on average.
   *
   * @return bytes; 0 if there was none
   */
  public double sentBytesPerToken() {
    return sentBytesPerToken;
  }

  /**
   * What a split token of one row took besides computing: all of the step's time but what this device and the worker spent
   * evaluating layers. Waiting for a turn at a busy worker is in it.
   *
   * @param share from 0 to 1: 0.5 for the median
   * @return microseconds; 0 if there was none
   */
  public int overheadMicros(double share) {
    return overheadMicros.length == 0 ? 0
        : overheadMicros[(int) Math.min(overheadMicros.length - 1L, (long) (share * overheadMicros.length))];
  }

  /** Collects the counters. Threads: any. */
  static final class Recorder {
    private static final int SAMPLES = 4096;

    private int splitSteps;
    private int localSteps;
    private int missedDeadlines;
    private int connections;
    private int losses;
    private int probes;
    private long replayedRows;
    private long sentBytes;
    private long receivedBytes;
    private long singleBytes;
    private int singles;
    private final int[] overhead = new int[SAMPLES];

    synchronized void step(SplitEvent event) {
      if (event.where() == SplitEvent.Where.LOCAL) {
        localSteps++;
        return;
      }
      splitSteps++;
      if (event.rows() == 1) {
        singleBytes += event.sentBytes();
        overhead[singles++ % SAMPLES] = (int) (event.upperMicros() - event.computeMicros());
      }
    }

    synchronized void transferred(int sent, int received) {
      sentBytes += sent;
      receivedBytes += received;
    }

    synchronized void missed() {
      missedDeadlines++;
    }

    synchronized void connected() {
      connections++;
    }

    synchronized void lost() {
      losses++;
    }

    synchronized void probed() {
      probes++;
    }

    synchronized void replayed(int rows) {
      replayedRows += rows;
    }

    synchronized SplitStats stats() {
      return new SplitStats(this);
    }
  }
}
