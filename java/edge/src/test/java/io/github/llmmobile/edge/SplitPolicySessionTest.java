package io.github.llmmobile.edge;

import static io.github.llmmobile.edge.SplitFixture.GREEDY;
import static io.github.llmmobile.edge.SplitFixture.local;
import static io.github.llmmobile.edge.SplitFixture.options;
import static io.github.llmmobile.edge.SplitFixture.prompt;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.HybridInference;
import io.github.llmmobile.InferenceResult;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.TechniqueReport;
import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.edge.policy.DeviceState;
import io.github.llmmobile.edge.policy.FakeClock;
import io.github.llmmobile.edge.policy.FakeDevice;
import io.github.llmmobile.edge.policy.LayerCosts;
import io.github.llmmobile.edge.policy.LinkEstimator.Gate;
import io.github.llmmobile.edge.policy.Place;
import io.github.llmmobile.edge.policy.Reason;
import io.github.llmmobile.edge.policy.RoutingEvent;
import io.github.llmmobile.edge.policy.SplitPolicy;
import io.github.llmmobile.edge.worker.Worker;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Sessions that ask a policy: what it forbids is not sent, where it plans is split, and all of that can be seen. */
@Timeout(120)
class SplitPolicySessionTest {
  private static final int[] PROMPT = prompt(1, 30);
  private static final LayerCosts SLOW_DEVICE = LayerCosts.of(TinyModels.LAYERS, 50, 50, 50, 10);
  private static final LayerCosts FAST_DEVICE = LayerCosts.of(TinyModels.LAYERS, 1e-3, 1e-3, 1e-3, 1e-4);

  private final FakeClock clock = new FakeClock();
  private final FakeDevice device = new FakeDevice();
  private LlmModel model;
  private Worker worker;
  private int port;

  @BeforeEach
  void start() {
    model = TinyModels.deepModel();
    worker = SplitFixture.worker();
    port = worker.port();
  }

  @AfterEach
  void stop() {
    worker.close();
  }

  private SplitPolicy.Builder policy() {
    return SplitPolicy.builder().device(device).nanoClock(clock);
  }

  private SplitSession open(SplitPolicy policy, SplitOptions.Builder options) {
    return SplitSession.open(model, SplitFixture.address(worker), options.policy(policy).build());
  }

  private static List<RoutingEvent> generate(SplitSession session, int[] prompt) {
    SplitTrace trace = new SplitTrace();
    assertArrayEquals(local(prompt, GREEDY), session.generate(prompt, GREEDY, trace).tokens());
    return trace.events();
  }

  private static void assertOnly(Place place, Reason reason, List<RoutingEvent> events) {
    assertEquals(1, events.size(), events::toString);
    assertEquals(place, events.get(0).place(), events::toString);
    assertEquals(reason, events.get(0).reason(), events::toString);
    assertEquals(place == Place.SPLIT, events.get(0).bytesUp() > 0, events::toString);
  }

  @Test
  void aSlowDeviceSplitsWhereThePlanSays() {
    try (SplitSession session = open(policy().costs(SLOW_DEVICE).build(), options())) {
      assertEquals(Place.SPLIT, session.plan().orElseThrow().place());
      assertEquals(1, session.split());
      assertOnly(Place.SPLIT, Reason.FASTER, generate(session, PROMPT));
    }
  }

  @Test
  void aFastDeviceStaysAloneAndLeavesTheWorkerInPeace() {
    try (SplitSession session = open(policy().costs(FAST_DEVICE).build(), options())) {
      assertEquals(Reason.NOT_FASTER, session.plan().orElseThrow().reason());
      assertOnly(Place.LOCAL, Reason.NOT_FASTER, generate(session, PROMPT));
      assertEquals(0, session.stats().connections());
      assertEquals(0, worker.sessionCount());
      assertFalse(session.trouble().isPresent());
    }
  }

  @Test
  void timesAreMeasuredWhereNobodyGivesThem() {
    try (SplitSession session = open(policy().build(), options())) {
      assertTrue(session.plan().orElseThrow().localCost() > 0);
      assertTrue(Double.isFinite(session.plan().orElseThrow().splitCost()));
      generate(session, PROMPT);
    }
  }

  @Test
  void aGivenSplitStaysWhatTheTimesMaySay() {
    try (SplitSession session = open(policy().costs(FAST_DEVICE).build(), options().split(3))) {
      assertFalse(session.plan().isPresent());
      assertEquals(3, session.split());
      assertOnly(Place.SPLIT, Reason.FIXED, generate(session, PROMPT));
    }
  }

  @Test
  void belowTheThresholdNothingIsSentUntilAProbeFindsTheLinkBetter() {
    SplitPolicy policy = policy().bandwidthThresholdMbps(1).build();
    // A slow link, as measured before the session.
    policy.link().sample(16 * 1024, 1_000_000_000);
    assertEquals(Gate.CLOSED, policy.link().gate());
    try (SplitSession session = open(policy, options().split(2))) {
      assertOnly(Place.LOCAL, Reason.BANDWIDTH, generate(session, PROMPT));
      assertEquals(0, session.stats().sentBytes());
      assertEquals(0, session.stats().probes(), "the measurement is fresh");
      clock.advanceMillis(11_000);
      int[] seed = {100};
      Eventually.await("a probe", () -> {
        generate(session, prompt(seed[0]++, 5));
        return session.stats().probes() > 0;
      });
      Eventually.await("the link is known to be better", () -> policy.link().gate() == Gate.OPEN);
      Eventually.await("split again", () ->
          generate(session, prompt(seed[0]++, 5)).stream().allMatch(event -> event.place() == Place.SPLIT));
      // And it falls again.
      clock.advanceMillis(11_000);
      policy.link().outage();
      policy.link().sample(16 * 1024, 1_000_000_000);
      long sent = session.stats().sentBytes();
      assertOnly(Place.LOCAL, Reason.BANDWIDTH, generate(session, prompt(seed[0], 40)));
      assertEquals(sent, session.stats().sentBytes());
    }
  }

  @Test
  void aMeteredNetworkIsLeftAlone() {
    device.metered = true;
    try (SplitSession session = open(policy().bandwidthThresholdMbps(0).build(), options().split(2))) {
      assertOnly(Place.LOCAL, Reason.METERED, generate(session, PROMPT));
      assertEquals(0, session.stats().connections());
      device.metered = false;
      int[] seed = {200};
      Eventually.await("split", () ->
          generate(session, prompt(seed[0]++, 5)).stream().allMatch(event -> event.place() == Place.SPLIT));
      device.online = false;
      assertOnly(Place.LOCAL, Reason.OFFLINE, generate(session, prompt(3, 20)));
    }
    device.online = true;
    device.metered = true;
    SplitOptions.Builder needy = options().split(2).localFallback(false);
    try (SplitSession session = open(policy().build(), needy)) {
      LlmException e =
          assertThrows(LlmException.class, () -> session.generate(PROMPT, GREEDY, new SplitListener() {}));
      assertEquals(ErrorCode.REMOTE_UNAVAILABLE, e.code());
      assertTrue(e.getMessage().contains("metered"), e.getMessage());
    }
  }

  @Test
  void whatDoesNotFitIsSplitWithoutFallback() {
    LayerCosts measured = LayerCosts.measure(model, io.github.llmmobile.SessionOptions.builder().threads(1).build());
    device.free = OptionalLong.of((long) (2.5 * measured.bytesPerPosition() * TinyModels.CONTEXT));
    try (SplitSession session = open(policy().costs(measured).build(), options())) {
      assertEquals(Reason.DOES_NOT_FIT, session.plan().orElseThrow().reason());
      assertTrue(session.split() <= 2, session.split() + "");
      assertOnly(Place.SPLIT, Reason.DOES_NOT_FIT, generate(session, PROMPT));
    }
    device.free = OptionalLong.of(1);
    LlmException e = assertThrows(LlmException.class, () -> open(policy().costs(measured).build(), options()));
    assertEquals(ErrorCode.OUT_OF_MEMORY, e.code());
  }

  private InferenceResult infer(String edge) {
    return HybridInference.runInference(model, "hello world", InferenceConfig.fromJson("{\"edge_cloud_config\":{"
        + "\"worker\":\"127.0.0.1:" + port + "\",\"insecure\":true," + edge + "},"
        + "\"memory_manager_config\":{},\"max_new_tokens\":12}"));
  }

  private static TechniqueReport report(InferenceResult result, int index) {
    return result.techniques().get(index);
  }

  @Test
  void oneCallUsesTheWorkerThatTheConfigurationNames(@TempDir Path folder) {
    InferenceResult alone = HybridInference.runInference(
        model, "hello world", InferenceConfig.fromJson("{\"max_new_tokens\":12}"));
    InferenceResult split = infer("\"split\":2,\"codec\":\"f32\",\"bandwidth_threshold\":0");
    assertEquals(TechniqueReport.Status.ACTIVE, report(split, 0).status(), split.techniques()::toString);
    assertTrue(report(split, 0).detail().contains("steps split (the split is fixed)"), split.techniques()::toString);
    assertEquals(TechniqueReport.Status.ACTIVE, report(split, 3).status());
    assertTrue(report(split, 3).detail().endsWith("in the device's layers alone"), split.techniques()::toString);
    assertEquals(split.tokens().length, split.stats().generatedTokens());
    assertTrue(split.stats().promptMicros() > 0 && split.stats().promptTokens() > 0);
    assertTrue(split.tokens().length > 0 && alone.tokens().length > 0);
    // How this machine is doing decides which; the reason must fit.
    InferenceResult planned = infer("\"bandwidth_threshold\":0");
    boolean stayed = !report(planned, 3).detail().endsWith("in the device's layers alone");
    assertTrue(report(planned, 0).detail().contains(stayed ? "nothing else is faster" : "this is faster"),
        planned.techniques()::toString);
    // No link carries that: the device makes it alone, with the techniques that act there.
    InferenceResult slow = infer("\"bandwidth_threshold\":\"1000 Gbps\",\"split\":2");
    assertEquals(TechniqueReport.Status.ACTIVE, report(slow, 0).status());
    assertTrue(report(slow, 0).detail().contains("below bandwidth_threshold"), slow.techniques()::toString);
    assertEquals(TechniqueReport.Status.ACTIVE, report(slow, 3).status());
    // A device that knows itself.
    device.metered = true;
    WorkerEdgeCloud.device(device);
    try {
      InferenceResult metered = infer("\"split\":2,\"bandwidth_threshold\":0");
      assertTrue(report(metered, 0).detail().contains("metered"), metered.techniques()::toString);
    } finally {
      WorkerEdgeCloud.device(DeviceState.desktop());
    }
    Path basis = folder.resolve("a.basis");
    TinyBasis.write(basis, 1);
    InferenceResult unread = infer("\"split\":2,\"bandwidth_threshold\":0,\"basis\":\"" + basis + "\"");
    assertEquals(TechniqueReport.Status.NOT_AVAILABLE, report(unread, 0).status());
    assertTrue(report(unread, 0).detail().contains("has no basis"), unread.techniques()::toString);
    worker.close();
    InferenceResult lost = infer("\"split\":2");
    assertEquals(TechniqueReport.Status.NOT_AVAILABLE, report(lost, 0).status());
    assertTrue(lost.tokens().length > 0);
  }
}
