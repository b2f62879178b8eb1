package io.github.llmmobile.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ProbeFileTest {
  private static final KvProbe PROBE = new KvProbe(Quantization.FOUR_BIT, 0.005, 0.03, 0.001, 0.02);

  @TempDir Path cache;

  private int probes;

  private KvProbe probe() {
    probes++;
    return PROBE;
  }

  private ProbeFile file() {
    return ProbeFile.of(cache, "0123456789abcdef", 32, "0.1.0");
  }

  private Path path() {
    return cache.resolve("probes").resolve("0123456789abcdef-32-0.1.0-2.json");
  }

  @Test
  void whatWasFoundOutIsReadBack() throws IOException {
    assertSame(PROBE, file().readOr(this::probe));
    KvProbe read = file().readOr(this::probe);
    assertEquals(1, probes);
    assertEquals(Quantization.FOUR_BIT, read.safe());
    assertEquals(0.005, read.divergence(Quantization.FOUR_BIT));
    assertEquals(0.005, read.divergence(Quantization.ADAPTIVE));
    assertEquals(0.03, read.divergence(Quantization.SMALLEST));
    assertEquals(0, read.divergence(Quantization.F16));
    assertEquals(0.001, read.noise);
    assertEquals(0.02, read.limit());
    assertEquals("{\"model\":\"0123456789abcdef\",\"page_tokens\":32,\"library\":\"0.1.0\",\"revision\":2,"
        + "\"safe\":\"four_bit\",\"kl_4bit\":0.005,\"kl_smallest\":0.03,\"kl_noise\":0.001,\"limit\":0.02}\n", Files.readString(path()));
    try (Stream<Path> files = Files.list(path().getParent())) {
      assertEquals(List.of(path()), files.collect(Collectors.toList()));
    }
  }

  @Test
  void modelPageSizeAndVersionTellFilesApart() {
    file().readOr(this::probe);
    ProbeFile.of(cache, "0123456789abcdee", 32, "0.1.0").readOr(this::probe);
    ProbeFile.of(cache, "0123456789abcdef", 16, "0.1.0").readOr(this::probe);
    ProbeFile.of(cache, "0123456789abcdef", 32, "0.1.1").readOr(this::probe);
    assertEquals(4, probes);
  }

  @Test
  void damagedFilesAreWrittenAgain() throws IOException {
    file().readOr(this::probe);
    String sound = Files.readString(path());
    List<String> damaged = List.of("", "{", "[]", "null", "7", "{}", sound.substring(0, 40),
        sound.replace("four_bit", "adaptive"), sound.replace("four_bit", "five_bit"), sound.replace("0.005", "null"),
        sound.replace("0.005", "\"x\""), sound.replace("0.005", "1e999"), sound.replace("0.005", "[1,2]"),
        sound.replace("32", "16"), sound.replace("cdef", "cdee"), sound.replace("0.1.0", "0.1.1"),
        sound.replace("revision\":2", "revision\":1"));
    for (String text : damaged) {
      Files.writeString(path(), text);
      probes = 0;
      assertSame(PROBE, file().readOr(this::probe), text);
      assertEquals(1, probes, text);
      assertEquals(sound, Files.readString(path()), text);
    }
  }

  @Test
  void aFolderThatCannotBeWrittenIsNoError() throws IOException {
    Path notAFolder = Files.writeString(cache.resolve("file"), "");
    assertSame(PROBE, ProbeFile.of(notAFolder, "0", 32, "0").readOr(this::probe));
    assertTrue(Files.isRegularFile(notAFolder));
  }

  @Test
  void aFailureIsNotKept() {
    LlmException failure = new LlmException(ErrorCode.NOT_AVAILABLE, "no pages");
    assertSame(failure, assertThrows(LlmException.class, () -> file().readOr(() -> {
      throw failure;
    })));
    assertTrue(Files.notExists(path()));
  }
}
