package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.edge.keys.KeyFolder;
import io.github.llmmobile.edge.worker.Worker;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/**
 * What a split token takes besides evaluating layers, on the loopback interface with TLS and sealed frames. Says nothing on a
 * machine that does something else; {@code -Dllmm.edge.overhead=4000} measures so many tokens for each codec.
 */
class SplitOverheadTest {
  private static final int STEPS = Integer.getInteger("llmm.edge.overhead", 0);
  private static final int WARM_UP = 4000;
  private static final double MEDIAN_MS = 0.5;
  private static final double TAIL_MS = 6;
  private static final GenerationOptions LONG = GenerationOptions.builder().temperature(0).maxTokens(400).build();

  private static SplitStats stepsOf(WorkerAddress address, RowCodec codec, int steps) {
    SplitOptions options = SplitFixture.options().codec(codec).split(1).build();
    try (SplitSession session = SplitSession.open(TinyModels.deepModel(), address, options)) {
      for (int seed = 0; session.stats().splitSteps() < steps; seed++) {
        session.generate(SplitFixture.prompt(seed, 10), LONG, new SplitListener() {});
      }
      assertEquals(0, session.stats().localSteps());
      return session.stats();
    }
  }

  private static double ms(SplitStats stats, double share) {
    return stats.overheadMicros(share) / 1e3;
  }

  @Test
  void itIsLittle(@TempDir Path folder) {
    assumeTrue(STEPS > 0, "measures time, and wants the machine for itself");
    KeyFolder keys = KeyFolder.create(folder.resolve("keys"), List.of());
    try (Worker worker = Worker.start(SplitFixture.workerOptions().keys(keys).build())) {
      WorkerAddress address = WorkerAddress.of("localhost:" + worker.port(), keys);
      stepsOf(address, RowCodec.F32, WARM_UP);
      List<Executable> bars = new ArrayList<>();
      for (RowCodec codec : RowCodec.values()) {
        SplitStats stats = stepsOf(address, codec, STEPS);
        System.out.printf(Locale.ROOT, "%s: median %.2f ms, 90 %% %.2f ms, 99 %% %.2f ms%n", codec, ms(stats, 0.5),
            ms(stats, 0.9), ms(stats, 0.99));
        bars.add(() -> assertTrue(ms(stats, 0.5) <= MEDIAN_MS && ms(stats, 0.99) <= TAIL_MS, codec.toString()));
      }
      assertAll(bars);
    }
  }
}
