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
    for (String section : List.of("edge_cloud", "token_pruning", "layer_compression", "memory_manager")) {
      InferenceConfig config = InferenceConfig.fromJson("{\"" + section + "_config\":{},\"strict\":true}");
      assertTrue(fails(ErrorCode.NOT_AVAILABLE, () -> Techniques.plan(config)).startsWith(section + "_config: "));
    }
    assertEquals(4, Techniques.plan(InferenceConfig.fromJson("{\"strict\":true}")).size());
  }
}
