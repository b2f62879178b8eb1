package io.github.llmmobile.edge;

import static io.github.llmmobile.edge.SplitFixture.local;
import static io.github.llmmobile.edge.SplitFixture.options;
import static io.github.llmmobile.edge.SplitFixture.prompt;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.edge.policy.FakeClock;
import io.github.llmmobile.edge.policy.LinkEstimator.Gate;
import io.github.llmmobile.edge.policy.Reason;
import io.github.llmmobile.edge.policy.SplitPolicy;
import io.github.llmmobile.edge.worker.Worker;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Networks that are far, narrow or silent. The long form, {@code -Dllmm.edge.network=long}, takes real times, and wants each
 * token within its deadline and 300 ms, and the worker back 15 s after the network: {@code ci/edge-faults --network}.
 */
@Timeout(300)
class NetworkFaultTest {
  private static final boolean LONG = "long".equals(System.getProperty("llmm.edge.network"));
  private static final boolean LOSSY = "lossy".equals(System.getProperty("llmm.edge.network"));
  private static final int LOSSY_ANSWERS = 150;
  private static final int SILENT_SECONDS = LONG ? 30 : 1;
  private static final int DEADLINE_MS = 500;
  /** Machines that do other work as well are slow, yet not so slow. */
  private static final int SLACK_MS = LONG || LOSSY ? 300 : 20_000;
  private static final int BACK_MS = LONG || LOSSY ? 15_000 : 60_000;
  private static final GenerationOptions SHORT = GenerationOptions.builder().temperature(0).maxTokens(6).build();

  private Worker worker;
  private FaultProxy proxy;
  private int seed = 1;
  private double longestMs;

  @BeforeEach
  void start() {
    TinyModels.deep();
    worker = SplitFixture.worker();
    proxy = new FaultProxy(worker.port());
  }

  @AfterEach
  void stop() throws IOException {
    proxy.close();
    worker.close();
  }

  private SplitSession open(SplitPolicy policy) {
    return SplitSession.open(TinyModels.deepModel(), proxy.address(), options().split(2).policy(policy)
        .stepDeadline(Duration.ofMillis(DEADLINE_MS)).connectTimeout(Duration.ofSeconds(3)).build());
  }

  /** An answer that must be right, and its steps. */
  private SplitFixture.Heard generate(SplitSession session) {
    int[] prompt = prompt(seed++, 20);
    SplitFixture.Heard heard = new SplitFixture.Heard();
    assertArrayEquals(local(prompt, SHORT), session.generate(prompt, SHORT, heard).tokens());
    for (SplitEvent step : heard.steps) {
      longestMs = Math.max(longestMs, (step.lowerMicros() + step.upperMicros()) / 1e3);
    }
    return heard;
  }

  private static boolean split(SplitFixture.Heard heard) {
    return heard.count(SplitEvent.Where.LOCAL) == 0;
  }

  /** Answers until one is split again; the time that takes. */
  private double awaitSplit(SplitSession session) {
    long began = System.nanoTime();
    Eventually.await("split again", () -> split(generate(session)));
    return (System.nanoTime() - began) / 1e6;
  }

  private void report(TestReporter reporter, String what, double backMs) {
    String figures = String.format(Locale.ROOT, "longest step %.0f ms, deadline %d ms, split again after %.0f ms",
        longestMs, DEADLINE_MS, backMs);
    reporter.publishEntry(what, figures);
    if (LONG || LOSSY) {
      // Surefire drops what is published.
      System.out.println(what + ": " + figures);
    }
    assertTrue(longestMs <= DEADLINE_MS + SLACK_MS, longestMs + " ms");
    assertTrue(backMs <= BACK_MS, backMs + " ms");
  }

  @Test
  void silenceCostsADeadlineAndEndsWithTheNetworkBack(TestReporter reporter) {
    SplitPolicy policy = SplitPolicy.builder().bandwidthThresholdMbps(0).build();
    try (SplitSession session = open(policy)) {
      assertTrue(split(generate(session)));
      proxy.blackhole();
      long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(SILENT_SECONDS);
      int answers = 0;
      while (System.nanoTime() < end) {
        assertTrue(generate(session).count(SplitEvent.Where.LOCAL) > 0);
        answers++;
      }
      assertTrue(answers > 1 && session.stats().missedDeadlines() > 0);
      proxy.heal();
      report(reporter, SILENT_SECONDS + " s of silence", awaitSplit(session));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {50, 150})
  void distanceCostsTimeAndNothingElse(int roundTripMs, TestReporter reporter) {
    proxy.delay(roundTripMs / 2);
    SplitPolicy policy = SplitPolicy.builder().bandwidthThresholdMbps(1).build();
    try (SplitSession session = open(policy)) {
      assertEquals(Gate.OPEN, policy.link().gate(), policy.toString());
      SplitFixture.Heard heard = generate(session);
      assertTrue(heard.count(SplitEvent.Where.SPLIT) > 0, heard.steps::toString);
      assertTrue(policy.link().leastRttNanos().getAsLong() >= TimeUnit.MILLISECONDS.toNanos(roundTripMs));
      report(reporter, roundTripMs + " ms", 0);
    }
  }

  /** {@code -Dllmm.edge.network=lossy}: packets of the loopback interface get lost, and nothing has to pretend it. */
  @Test
  void lostPacketsCostTimeAndNothingElse(TestReporter reporter) throws IOException {
    proxy.lose(LOSSY ? 0 : 0.1);
    SplitPolicy policy = SplitPolicy.builder().bandwidthThresholdMbps(0).build();
    long resent = retransmissions();
    try (SplitSession session = open(policy)) {
      int answers = 0;
      do {
        generate(session);
        answers++;
      } while (LOSSY ? answers < LOSSY_ANSWERS : proxy.lost() == 0 || session.stats().splitSteps() == 0);
      SplitStats stats = session.stats();
      assertTrue(stats.splitSteps() > 0);
      resent = retransmissions() - resent;
      assertTrue(!LOSSY || resent > 0, "no packet was lost");
      report(reporter, answers + " answers, " + resent + " packets sent again, " + stats.splitSteps() + " steps split, "
          + stats.localSteps() + " local, " + stats.missedDeadlines() + " deadlines missed, " + stats.losses()
          + " streams lost", awaitSplit(session));
    }
  }

  /** What TCP has sent again on this machine, or in this name space. */
  private static long retransmissions() throws IOException {
    if (!LOSSY) {
      return 0;
    }
    String[] lines = Files.readAllLines(Path.of("/proc/self/net/snmp")).stream()
        .filter(line -> line.startsWith("Tcp:")).toArray(String[]::new);
    return Long.parseLong(lines[1].split(" ")[Arrays.asList(lines[0].split(" ")).indexOf("RetransSegs")]);
  }

  @Test
  void aNarrowLinkIsLeftAloneUntilItIsWide(TestReporter reporter) {
    FakeClock fake = new FakeClock();
    LongSupplier clock = LONG ? System::nanoTime : fake;
    proxy.rate(256_000);
    SplitPolicy policy = SplitPolicy.builder().bandwidthThresholdMbps(1).nanoClock(clock).build();
    try (SplitSession session = open(policy)) {
      assertEquals(Gate.CLOSED, policy.link().gate());
      double mbps = policy.link().goodputMbps().getAsDouble();
      assertTrue(mbps > 0.1 && mbps < 0.3, mbps + " Mbps");
      SplitFixture.Heard heard = generate(session);
      heard.steps.forEach(step -> assertEquals(Reason.BANDWIDTH, step.why()));
      assertEquals(0, session.stats().sentBytes());
      proxy.rate(0);
      fake.advanceMillis(11_000);
      report(reporter, "256 kbit/s", awaitSplit(session));
    }
  }
}
