package io.github.llmmobile.edge;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.ModelInfo;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.edge.policy.LayerCosts;
import io.github.llmmobile.edge.policy.Place;
import io.github.llmmobile.edge.policy.Reason;
import io.github.llmmobile.edge.policy.SplitChoice;
import io.github.llmmobile.edge.policy.SplitPlanner;
import io.github.llmmobile.edge.policy.SplitPolicy;
import io.github.llmmobile.edge.wire.ProtocolException;
import org.jspecify.annotations.Nullable;

/**
 * What is found out before a session begins: whether the worker is there and fits, what the way to it carries, and, if the
 * split is left open and there is a policy, where to split.
 */
final class SplitStart {
  /** Frame, gRPC, HTTP/2 and TLS around one row. */
  private static final int FRAMING_BYTES = 82;
  private static final double BYTES_PER_MB = 1 << 20;

  private final WorkerAddress address;
  private final SplitOptions options;
  final SplitPolicy policy;
  @Nullable WorkerInfo worker;
  @Nullable ProtocolException absence;
  SplitPlanner.@Nullable Plan plan;
  SplitChoice choice;
  int split;
  boolean localFallback;

  private SplitStart(WorkerAddress address, SplitOptions options) {
    this.address = address;
    this.options = options;
    // Without one everything may be sent.
    policy = options.policy().orElseGet(() -> SplitPolicy.builder().bandwidthThresholdMbps(0).build());
    choice = SplitChoice.always(policy, Reason.FIXED);
    localFallback = options.localFallback();
  }

  static SplitStart of(LlmModel model, WorkerAddress address, SplitOptions options) {
    SplitStart start = new SplitStart(address, options);
    start.ask();
    ModelInfo info = model.info();
    int least = start.worker == null ? info.layers() / 2 : start.worker.layerBegin();
    start.split = options.split() > 0 ? options.split() : options.firstSplit(least);
    if (start.split < 1 || start.split >= info.layers()) {
      throw new LlmException(ErrorCode.RANGE,
          "split: must be from 1 to " + (info.layers() - 1) + ", but is " + start.split);
    }
    if (start.worker != null) {
      start.worker.check(info.fingerprint(), info.embedding(), info.layers(), start.split,
          options.format(info, start.split));
      // A device that has the first layers alone has no choice.
      if (options.policy().isPresent() && options.split() == 0 && options.localFallback()) {
        start.plan(model, least);
      }
    }
    return start;
  }

  /** Asks the worker and measures the way, unless nothing may be sent at all. */
  private void ask() {
    if (policy.forbids().orElse(Reason.BANDWIDTH) != Reason.BANDWIDTH) {
      return;
    }
    long timeoutMs = options.connectTimeout().toMillis();
    try (WorkerChannel channel = new WorkerChannel(address)) {
      WorkerInfo first = channel.describe(timeoutMs);
      worker = first;
      policy.queue(first.queueNanos());
      if (policy.wantsProbe(false, options.policy().isPresent() && options.split() == 0)) {
        LinkProbe.run(channel, policy, timeoutMs);
      }
    } catch (ProtocolException e) {
      if (worker != null) {
        // It is there, but the way is bad; the gate says how bad.
        return;
      }
      if (!e.passes() || !options.localFallback()) {
        throw Failures.of(address, e);
      }
      absence = e;
    }
  }

  private void plan(LlmModel model, int least) {
    ModelInfo info = model.info();
    int layers = info.layers();
    LayerCosts here = policy.costs(() -> LayerCosts.measure(model,
        SessionOptions.builder().threads(options.threads()).batchThreads(options.batchThreads()).build()));
    // A worker that does not tell is taken to be as fast as this device.
    LayerCosts there = worker.costs().orElse(here);
    double bytesPerRow = options.format(info, split).recordBytes() + FRAMING_BYTES;
    double layerBytes = Math.min(here.bytesPerPosition() * SplitSession.context(info, worker, options),
        options.techniques().memoryManager().map(memory -> memory.maxMemoryMb() * BYTES_PER_MB / layers)
            .orElse(Double.MAX_VALUE));
    SplitPlanner planner = policy.planner(here, there, bytesPerRow).range(least, layers - 1)
        .turn(options.promptTokens(), options.answerTokens())
        .fitsDevice(policy.fits(layers * layerBytes))
        .feasible(k -> options.readsRowsOf(k) && policy.fits(k * layerBytes)).build();
    SplitPlanner.Plan best;
    try {
      best = planner.plan();
    } catch (IllegalStateException e) {
      throw new LlmException(ErrorCode.OUT_OF_MEMORY, "the device has too little memory for the context, and "
          + policy.forbids().map(Reason::text).orElse("no split leaves it enough"), e);
    }
    plan = best;
    split = planner.bestSplit().orElse(split);
    if (best.reason() == Reason.DOES_NOT_FIT) {
      localFallback = false;
      choice = SplitChoice.always(policy, Reason.DOES_NOT_FIT);
    } else {
      choice = SplitChoice.weighing(policy, best, here, there, split, bytesPerRow);
    }
  }

  /** Whether the session should have a stream from the beginning. */
  boolean connects() {
    return absence == null && worker != null && !policy.forbids().isPresent()
        && (plan == null || plan.place() == Place.SPLIT);
  }
}
