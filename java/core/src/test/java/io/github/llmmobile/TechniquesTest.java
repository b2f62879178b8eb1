package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.config.InferenceConfig;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class TechniquesTest {
  @Test
  void whatIsNotAskedForIsOff() {
    List<TechniqueReport> reports = Techniques.plan(InferenceConfig.empty());
    assertEquals(List.of("edge_cloud", "token_pruning", "layer_compression", "memory_manager"),
        reports.stream().map(TechniqueReport::technique).collect(Collectors.toList()));
    reports.forEach(report -> assertEquals(TechniqueReport.Status.OFF, report.status()));
  }

  @Test
  void whatIsAskedForAndMissingIsReportedAndLoggedOnce() {
    InferenceConfig config = InferenceConfig.fromJson("{\"token_pruning_config\":{}}");
    PrintStream before = System.err;
    ByteArrayOutputStream log = new ByteArrayOutputStream();
    List<TechniqueReport> reports;
    System.setErr(new PrintStream(log, true, StandardCharsets.UTF_8));
    try {
      reports = Techniques.plan(config);
    } finally {
      System.setErr(before);
    }
    assertEquals(TechniqueReport.Status.NOT_AVAILABLE, reports.get(1).status());
    assertEquals(TechniqueReport.Status.OFF, reports.get(0).status());
    List<String> lines = log.toString(StandardCharsets.UTF_8).lines().collect(Collectors.toList());
    assertEquals(1, lines.size(), lines::toString);
    assertTrue(lines.get(0).contains("WARN") && lines.get(0).contains("token_pruning_config"), lines::toString);
  }

  @Test
  void strictTurnsItIntoAnError() {
    for (String section : List.of("edge_cloud", "token_pruning", "layer_compression")) {
      InferenceConfig config = InferenceConfig.fromJson("{\"" + section + "_config\":{},\"strict\":true}");
      assertTrue(fails(ErrorCode.NOT_AVAILABLE, () -> Techniques.plan(config)).startsWith(section + "_config: "));
    }
    assertEquals(4, Techniques.plan(InferenceConfig.fromJson("{\"strict\":true}")).size());
  }

  @Test
  void theMemoryManagerActsUnlessTheModelRefuses() {
    InferenceConfig config = InferenceConfig.fromJson("{\"memory_manager_config\":{\"page_size\":64}}");
    List<TechniqueReport> planned = Techniques.plan(config);
    assertEquals(TechniqueReport.Status.ACTIVE, planned.get(3).status());
    List<TechniqueReport> acting = Techniques.withMemoryManager(planned, "some pages");
    assertEquals("memory_manager: ACTIVE (some pages)", acting.get(3).toString());
    assertEquals(planned.subList(0, 3), acting.subList(0, 3));
    List<TechniqueReport> refused = Techniques.withoutMemoryManager(config, planned, "no pages");
    assertEquals(TechniqueReport.Status.NOT_AVAILABLE, refused.get(3).status());
    assertEquals("no pages", refused.get(3).detail());
    assertEquals(planned.subList(0, 3), refused.subList(0, 3));
    InferenceConfig strict = InferenceConfig.fromJson("{\"memory_manager_config\":{},\"strict\":true}");
    assertEquals("memory_manager_config: no pages; leave it out, or set strict to false",
        fails(ErrorCode.NOT_AVAILABLE,
            () -> Techniques.withoutMemoryManager(strict, Techniques.plan(strict), "no pages")));
  }

  @Test
  void aWishThatTheModelCannotBearIsLoggedOrRefused() {
    InferenceConfig config = InferenceConfig.fromJson("{\"memory_manager_config\":{}}");
    List<TechniqueReport> limited =
        Techniques.withLimitedMemoryManager(config, Techniques.plan(config), "16 bits, for 4 are unsafe");
    assertEquals("memory_manager: ACTIVE (16 bits, for 4 are unsafe)", limited.get(3).toString());
    InferenceConfig strict = config.toBuilder().strict(true).build();
    assertEquals("memory_manager_config: 16 bits, for 4 are unsafe; ask for less, set probe_enabled to false, or set"
        + " strict to false", fails(ErrorCode.NOT_AVAILABLE, () -> Techniques.withLimitedMemoryManager(
            strict, Techniques.plan(strict), "16 bits, for 4 are unsafe")));
  }
}
