package io.github.llmmobile.edge.worker;

import io.github.llmmobile.edge.proto.Code;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;

/** Counters of a worker since it began: numbers only, never a session's name or anything that it sent. Threads: any. */
final class WorkerMetrics {
  private static final double QUEUE_WEIGHT = 1.0 / 16;

  final LongAdder steps = new LongAdder();
  final LongAdder rows = new LongAdder();
  final LongAdder receivedBytes = new LongAdder();
  final LongAdder sentBytes = new LongAdder();
  private final LongAdder queueMicros = new LongAdder();
  final LongAdder computeMicros = new LongAdder();
  final LongAdder opened = new LongAdder();
  final LongAdder resumed = new LongAdder();
  private double recentQueueMicros;
  private final Map<Code, LongAdder> ended = new ConcurrentHashMap<>();

  /** Counts a stream that ended for a reason. */
  void ended(Code code) {
    ended.computeIfAbsent(code, any -> new LongAdder()).increment();
  }

  /** Counts what a step has waited for its turn. */
  void queued(long micros) {
    queueMicros.add(micros);
    synchronized (this) {
      recentQueueMicros += QUEUE_WEIGHT * (micros - recentQueueMicros);
    }
  }

  /** What steps have waited lately: a moving average. */
  synchronized double recentQueueMicros() {
    return recentQueueMicros;
  }

  /** All of it in Prometheus' text format. */
  String text(int sessions, long sessionBytes, boolean draining) {
    StringBuilder out = new StringBuilder(2048);
    write(out, "sessions", "gauge", "Sessions, those without a stream included.", sessions);
    write(out, "session_bytes", "gauge", "Bytes reserved for sessions.", sessionBytes);
    write(out, "draining", "gauge", "1 while the worker goes down.", draining ? 1 : 0);
    write(out, "sessions_opened_total", "counter", "Sessions begun.", opened.sum());
    write(out, "sessions_resumed_total", "counter", "Sessions continued on another stream.", resumed.sum());
    write(out, "steps_total", "counter", "Steps evaluated.", steps.sum());
    write(out, "rows_total", "counter", "Rows evaluated.", rows.sum());
    write(out, "received_bytes_total", "counter", "Bytes of sealed frames received.", receivedBytes.sum());
    write(out, "sent_bytes_total", "counter", "Bytes of sealed frames sent.", sentBytes.sum());
    write(out, "queue_microseconds_total", "counter", "Time that steps waited for their turn.", queueMicros.sum());
    write(out, "compute_microseconds_total", "counter", "Time of evaluating steps.", computeMicros.sum());
    head(out, "streams_ended_total", "counter", "Streams that ended with a failure, by code.");
    ended.forEach((code, count) -> out.append(String.format(Locale.ROOT,
        "llmm_worker_streams_ended_total{code=\"%s\"} %d\n", code.name(), count.sum())));
    return out.toString();
  }

  private static void write(StringBuilder out, String name, String type, String help, long value) {
    head(out, name, type, help);
    out.append("llmm_worker_").append(name).append(' ').append(value).append('\n');
  }

  private static void head(StringBuilder out, String name, String type, String help) {
    out.append("# HELP llmm_worker_").append(name).append(' ').append(help).append('\n')
        .append("# TYPE llmm_worker_").append(name).append(' ').append(type).append('\n');
  }
}
