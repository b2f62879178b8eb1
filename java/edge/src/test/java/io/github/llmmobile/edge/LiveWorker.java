package io.github.llmmobile.edge;

import io.github.llmmobile.edge.worker.Worker;
import io.github.llmmobile.edge.worker.WorkerOptions;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A worker that listens: in a process of its own if there is a program to start, else in this one. */
interface LiveWorker extends AutoCloseable {
  int port();

  /** Its counters, in Prometheus' format. */
  String metrics();

  @Override
  void close();

  static LiveWorker start(WorkerOptions options) {
    if (WorkerProcess.hasProgram()) {
      return new WorkerProcess(options);
    }
    Worker worker = Worker.start(options);
    return new LiveWorker() {
      @Override
      public int port() {
        return worker.port();
      }

      @Override
      public String metrics() {
        return worker.metrics();
      }

      @Override
      public void close() {
        worker.close();
      }
    };
  }

  /** What is known of it when a test fails. */
  default String state() {
    return "it runs in this process";
  }

  /** One of the counters. */
  default long counter(String name) {
    Matcher line = Pattern.compile("(?m)^llmm_worker_" + name + " ([0-9]+)$").matcher(metrics());
    if (!line.find()) {
      throw new AssertionError("no " + name);
    }
    return Long.parseLong(line.group(1));
  }

  default WorkerAddress address() {
    return WorkerAddress.insecure("127.0.0.1:" + port());
  }
}
