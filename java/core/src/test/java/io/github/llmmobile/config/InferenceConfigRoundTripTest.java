package io.github.llmmobile.config;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.gson.JsonParser;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.nio.file.Paths;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Properties over random configurations and random damage; the message names the seed. */
class InferenceConfigRoundTripTest {
  private static final int ROUNDS = 2000;

  @Test
  void whatIsWrittenReadsBackEqual() {
    for (int seed = 0; seed < ROUNDS; seed++) {
      InferenceConfig config = random(new Random(seed));
      InferenceConfig back = InferenceConfig.fromJson(config.toJson());
      assertEquals(config, back, "seed " + seed);
      assertEquals(config.hashCode(), back.hashCode(), "seed " + seed);
      assertEquals(config.toJson(), back.toJson(), "seed " + seed);
      assertEquals(config, config.toBuilder().build(), "seed " + seed);
    }
  }

  @Test
  void damagedTextIsAConfigErrorOrStillAConfiguration() {
    for (int seed = 0; seed < ROUNDS; seed++) {
      Random random = new Random(seed);
      StringBuilder text = new StringBuilder(random(random).toJson());
      for (int i = 0; i <= random.nextInt(3); i++) {
        int at = random.nextInt(text.length());
        if (random.nextBoolean()) {
          text.setCharAt(at, (char) (32 + random.nextInt(95)));
        } else {
          text.setLength(Math.max(1, at));
        }
      }
      String damaged = text.toString();
      try {
        InferenceConfig config = InferenceConfig.fromJson(damaged);
        assertDoesNotThrow(() -> JsonParser.parseString(damaged));
        assertEquals(config, InferenceConfig.fromJson(config.toJson()), "seed " + seed);
      } catch (LlmException e) {
        assertEquals(ErrorCode.CONFIG, e.code(), "seed " + seed);
      }
    }
  }

  private static InferenceConfig random(Random random) {
    InferenceConfig.Builder b = InferenceConfig.builder().strict(random.nextBoolean());
    if (random.nextBoolean()) {
      b.maxNewTokens(random.nextInt(1000) - 1);
    }
    if (random.nextBoolean()) {
      EdgeCloudConfig.Builder edge = EdgeCloudConfig.builder().bandwidthThresholdMbps(real(random, 1e6));
      if (random.nextBoolean()) {
        edge.worker("worker-" + random.nextInt(100) + ".example:7443").split(random.nextInt(100));
        if (random.nextBoolean()) {
          edge.insecure(true).codec("int8").basis(Paths.get("a.basis")).keepDims(40);
        } else {
          edge.tls(Paths.get("keys", "of \"mine\"")).pin("sha256/x");
        }
      }
      b.edgeCloud(edge.build());
    }
    if (random.nextBoolean()) {
      b.tokenPruning(TokenPruningConfig.builder()
          .pruningThreshold(Math.min(1, real(random, 1)))
          .maxShadowSize(random.nextInt(1000) - 1)
          .keepRatio(Math.min(1, real(random, 1)))
          .maxActiveTokens(random.nextInt(1 << 27))
          .selectionMass(Math.min(1, real(random, 1)))
          .testInterval(1 + random.nextInt(1 << 27))
          .minTokens(random.nextInt(1 << 27))
          .policy(PruningPolicy.values()[random.nextInt(3)])
          .recordEvents(random.nextBoolean())
          .prunePrefillKeep(Math.min(1, real(random, 1)))
          .prunePrefillLayer(random.nextInt(1 << 16))
          .build());
    }
    if (random.nextBoolean()) {
      List<Integer> layers = new ArrayList<>();
      for (int i = random.nextInt(5); i > 0; i--) {
        layers.add(random.nextInt());
      }
      LayerCompressionConfig.Builder compression = LayerCompressionConfig.builder()
          .compressionRank(random.nextInt(Integer.MAX_VALUE))
          .hotPathIndices(layers)
          .mode(LayerMode.values()[random.nextInt(2)])
          .klBudget(random.nextDouble())
          .skipBudget(random.nextDouble())
          .lossless(random.nextBoolean());
      if (random.nextBoolean()) {
        compression.profile(Path.of("some \u00e9.profile"));
      }
      if (random.nextBoolean()) {
        compression.factors(Path.of("factors", random.nextInt() + ".gguf"));
      }
      b.layerCompression(compression.build());
    }
    if (random.nextBoolean()) {
      b.memoryManager(memory(random));
    }
    return b.build();
  }

  private static MemoryManagerConfig memory(Random random) {
    boolean quantization = random.nextBoolean();
    MemoryManagerConfig.Builder b = MemoryManagerConfig.builder()
        .maxMemoryMb(1 + random.nextInt(Integer.MAX_VALUE))
        .pageSize(16 << random.nextInt(3))
        .quantizationEnabled(quantization)
        .smallestTier(quantization && random.nextBoolean())
        .probeEnabled(random.nextBoolean())
        .evictionEnabled(random.nextBoolean())
        .recentWindow(random.nextInt(1 << 27))
        .pinnedPrefix(random.nextInt(1 << 27))
        .exactAttention(random.nextBoolean());
    if (random.nextBoolean()) {
      b.spillDirectory(Path.of("spill", Integer.toString(random.nextInt())));
    }
    if (random.nextBoolean()) {
      b.cacheDirectory(Path.of("/cache", Integer.toString(random.nextInt())));
    }
    return b.build();
  }

  private static double real(Random random, double most) {
    switch (random.nextInt(4)) {
      case 0:
        return 0;
      case 1:
        return most;
      case 2:
        return Double.MIN_VALUE;
      default:
        return random.nextDouble() * most;
    }
  }
}
