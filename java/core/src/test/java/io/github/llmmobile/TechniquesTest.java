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
    InferenceConfig config = InferenceConfig.fromJson("{\"layer_compression_config\":{}}");
    PrintStream before = System.err;
    ByteArrayOutputStream log = new ByteArrayOutputStream();
    List<TechniqueReport> reports;
    System.setErr(new PrintStream(log, true, StandardCharsets.UTF_8));
    try {
      reports = Techniques.plan(config);
    } finally {
      System.setErr(before);
    }
    assertEquals(TechniqueReport.Status.NOT_AVAILABLE, reports.get(2).status());
    assertEquals(TechniqueReport.Status.OFF, reports.get(0).status());
    List<String> lines = log.toString(StandardCharsets.UTF_8).lines().collect(Collectors.toList());
    assertEquals(1, lines.size(), lines::toString);
    assertTrue(lines.get(0).contains("WARN") && lines.get(0).contains("layer_compression_config"), lines::toString);
  }

  @Test
  void strictTurnsItIntoAnError() {
    for (String section : List.of("edge_cloud", "layer_compression")) {
      InferenceConfig config = InferenceConfig.fromJson("{\"" + section + "_config\":{},\"strict\":true}");
      assertTrue(fails(ErrorCode.NOT_AVAILABLE, () -> Techniques.plan(config)).startsWith(section + "_config: "));
    }
    assertEquals(4, Techniques.plan(InferenceConfig.fromJson("{\"strict\":true}")).size());
  }

  @Test
  void whatNeedsPagesActsUnlessTheModelRefuses() {
    for (int i : new int[] {1, 3}) {
      String technique = i == 1 ? Techniques.PRUNING : Techniques.MEMORY;
      InferenceConfig config = InferenceConfig.fromJson("{\"" + technique + "_config\":{}}");
      List<TechniqueReport> planned = Techniques.plan(config);
      assertEquals(TechniqueReport.Status.ACTIVE, planned.get(i).status());
      List<TechniqueReport> acting = Techniques.active(planned, technique, "some pages");
      assertEquals(technique + ": ACTIVE (some pages)", acting.get(i).toString());
      List<TechniqueReport> idle = Techniques.off(planned, technique, "nothing to do");
      assertEquals(technique + ": OFF (nothing to do)", idle.get(i).toString());
      List<TechniqueReport> refused = Techniques.notAvailable(config, planned, technique, "no pages");
      assertEquals(technique + ": NOT_AVAILABLE (no pages)", refused.get(i).toString());
      for (int other = 0; other < 4; other++) {
        if (other != i) {
          assertEquals(planned.get(other), acting.get(other));
          assertEquals(planned.get(other), refused.get(other));
        }
      }
      InferenceConfig strict = config.toBuilder().strict(true).build();
      assertEquals(technique + "_config: no pages; leave it out, or set strict to false",
          fails(ErrorCode.NOT_AVAILABLE,
              () -> Techniques.notAvailable(strict, Techniques.plan(strict), technique, "no pages")));
    }
  }

  @Test
  void aWishThatTheModelCannotBearIsLoggedOrRefused() {
    InferenceConfig config = InferenceConfig.fromJson("{\"memory_manager_config\":{}}");
    List<TechniqueReport> limited = Techniques.limited(
        config, Techniques.plan(config), Techniques.MEMORY, "16 bits, for 4 are unsafe", "ask for less");
    assertEquals("memory_manager: ACTIVE (16 bits, for 4 are unsafe)", limited.get(3).toString());
    InferenceConfig strict = config.toBuilder().strict(true).build();
    assertEquals("memory_manager_config: 16 bits, for 4 are unsafe; ask for less, or set strict to false",
        fails(ErrorCode.NOT_AVAILABLE, () -> Techniques.limited(
            strict, Techniques.plan(strict), Techniques.MEMORY, "16 bits, for 4 are unsafe", "ask for less")));
  }

  @Test
  void aTechniqueOfTwoPartsIsAtWorkIfEitherIs() {
    InferenceConfig config = InferenceConfig.fromJson("{\"layer_compression_config\":{\"lossless\":true}}");
    List<TechniqueReport> planned = Techniques.plan(config);
    List<TechniqueReport> active = Techniques.active(planned, Techniques.LAYERS, "factors");
    List<TechniqueReport> refused = Techniques.notAvailable(config, planned, Techniques.LAYERS, "bad factors");
    List<TechniqueReport> idle = Techniques.off(planned, Techniques.LAYERS, "no rank");
    TechniqueReport.Status on = TechniqueReport.Status.ACTIVE;
    TechniqueReport.Status off = TechniqueReport.Status.OFF;
    assertEquals("layer_compression: OFF (dear)", layers(Techniques.also(planned, Techniques.LAYERS, off, "dear")));
    assertEquals("layer_compression: ACTIVE (gates)", layers(Techniques.also(planned, Techniques.LAYERS, on, "gates")));
    assertEquals("layer_compression: ACTIVE (factors; dear)", layers(Techniques.also(active, Techniques.LAYERS, off, "dear")));
    assertEquals("layer_compression: ACTIVE (bad factors; gates)",
        layers(Techniques.also(refused, Techniques.LAYERS, on, "gates")));
    assertEquals("layer_compression: NOT_AVAILABLE (bad factors; dear)",
        layers(Techniques.also(refused, Techniques.LAYERS, off, "dear")));
    assertEquals("layer_compression: ACTIVE (factors; no such rank)",
        layers(Techniques.alsoNotAvailable(config, active, Techniques.LAYERS, "no such rank")));
    assertEquals("layer_compression: NOT_AVAILABLE (no rank; no such rank)",
        layers(Techniques.alsoNotAvailable(config, idle, Techniques.LAYERS, "no such rank")));
    InferenceConfig strict = config.toBuilder().strict(true).build();
    fails(ErrorCode.NOT_AVAILABLE, () -> Techniques.alsoNotAvailable(strict, active, Techniques.LAYERS, "no such rank"));
  }

  private static String layers(List<TechniqueReport> reports) {
    return reports.get(2).toString();
  }
}
