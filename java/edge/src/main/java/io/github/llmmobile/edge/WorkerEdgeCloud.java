package io.github.llmmobile.edge;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.config.EdgeCloudConfig;
import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.edge.keys.CertificatePin;
import io.github.llmmobile.edge.keys.KeyFolder;
import io.github.llmmobile.edge.policy.DeviceState;
import io.github.llmmobile.edge.policy.Place;
import io.github.llmmobile.edge.policy.Reason;
import io.github.llmmobile.edge.policy.RoutingEvent;
import io.github.llmmobile.edge.policy.SplitPolicy;
import io.github.llmmobile.spi.EdgeCloud;
import io.github.llmmobile.spi.EdgeCloudAnswer;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.Collectors;

/** What {@code edge_cloud_config} does in the one-call form: a split session of its own for each answer. */
public final class WorkerEdgeCloud implements EdgeCloud {
  /** A process runs on one device. */
  private static volatile DeviceState device = DeviceState.desktop();

  /** For {@link java.util.ServiceLoader}. */
  public WorkerEdgeCloud() {}

  /**
   * Sets what is known of this device, for all answers of the one-call form from now on: an application that knows heat,
   * battery, memory and network says so here, since a configuration cannot. Default: nothing is known.
   *
   * @param state the state, which is asked again and again, on any thread (required)
   */
  public static void device(DeviceState state) {
    device = Objects.requireNonNull(state, "state");
  }

  @Override
  public EdgeCloudAnswer answer(LlmModel model, int[] prompt, GenerationOptions options, InferenceConfig techniques) {
    EdgeCloudConfig config = techniques.edgeCloud().orElseThrow(() -> new IllegalArgumentException("no edge_cloud_config"));
    SplitPolicy policy =
        SplitPolicy.builder().bandwidthThresholdMbps(config.bandwidthThresholdMbps()).device(device).build();
    SplitOptions.Builder split = SplitOptions.builder().policy(policy).split(config.split())
        .techniques(techniques.withoutEdgeCloud())
        .turn(prompt.length, options.maxTokens() < 0 ? SplitOptions.builder().build().answerTokens() : options.maxTokens());
    config.codec().ifPresent(name -> split.codec(RowCodec.of(name)));
    config.basis().ifPresent(file -> split.basis(RowBasis.read(file)).keepDims(config.keepDims()));
    try (SplitSession session = SplitSession.open(model, address(config), split.build())) {
      Optional<String> reason = local(session, policy);
      if (reason.isPresent()) {
        return EdgeCloudAnswer.local("the device makes the answer alone: " + reason.get());
      }
      return generate(session, prompt, options);
    }
  }

  private static WorkerAddress address(EdgeCloudConfig config) {
    String worker = config.worker().orElseThrow(
        () -> new LlmException(ErrorCode.INVALID_ARGUMENT, "edge_cloud_config names no worker"));
    if (!config.tls().isPresent()) {
      return WorkerAddress.insecure(worker);
    }
    WorkerAddress address = WorkerAddress.of(worker, KeyFolder.open(config.tls().get()));
    return config.pin().map(pin -> address.pinned(CertificatePin.parse(pin))).orElse(address);
  }

  /** Why the device should make the answer in a session of its own, where the other techniques act. */
  private static Optional<String> local(SplitSession session, SplitPolicy policy) {
    session.trouble().ifPresent(trouble -> {
      throw new LlmException(ErrorCode.REMOTE_UNAVAILABLE, trouble);
    });
    Optional<Reason> forbidden = policy.forbids();
    if (forbidden.isPresent()) {
      return Optional.of(forbidden.get().text() + measured(policy));
    }
    return session.plan().filter(plan -> plan.place() == Place.LOCAL)
        .map(plan -> String.format(Locale.ROOT, "%s: %.0f ms here, %.0f ms with the worker", plan.reason().text(),
            plan.localCost(), plan.splitCost()));
  }

  private static String measured(SplitPolicy policy) {
    OptionalDouble mbps = policy.link().goodputMbps();
    return mbps.isPresent() ? String.format(Locale.ROOT, " (%.3f Mbps measured)", mbps.getAsDouble()) : "";
  }

  private static EdgeCloudAnswer generate(SplitSession session, int[] prompt, GenerationOptions options) {
    SplitTrace trace = new SplitTrace();
    long[] micros = new long[2];
    SplitResult result = session.generate(prompt, options, new SplitListener() {
      @Override
      public void onStep(SplitEvent event) {
        trace.onStep(event);
        micros[event.position() > prompt.length ? 1 : 0] += event.lowerMicros() + event.upperMicros();
      }
    });
    String decisions = trace.events().stream().map(WorkerEdgeCloud::describe).collect(Collectors.joining(", "));
    String how = String.format(Locale.ROOT, "layers from %d on at the worker: %s; %d B sent, %d B received",
        session.split(), decisions, result.stats().sentBytes(), result.stats().receivedBytes());
    return EdgeCloudAnswer.of(how, new EdgeCloudAnswer.Made(result.text(), result.tokens(), result.stopReason(),
        session.deviceStats(), micros[0], micros[1], session.techniques()));
  }

  private static String describe(RoutingEvent event) {
    return event.tokens() + " steps " + event.place().jsonName() + " (" + event.reason().text()
        + (event.detail().isEmpty() ? "" : ": " + event.detail()) + ")";
  }
}
