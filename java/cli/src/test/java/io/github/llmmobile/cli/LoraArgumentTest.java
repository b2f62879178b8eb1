package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LoraArgumentTest {
  @ParameterizedTest
  @CsvSource({
    "a.gguf,         a.gguf,       1",
    "a.gguf:0.5,     a.gguf,       0.5",
    "a.gguf:-2,      a.gguf,       -2",
    "d/a.gguf:1e-1,  d/a.gguf,     0.1",
    "a:b.gguf,       a:b.gguf,     1",
    "a:b.gguf:3,     a:b.gguf,     3",
    "a.gguf:,        a.gguf:,      1",
    "a.gguf:NaN,     a.gguf:NaN,   1",
    ":5,             :5,           1",
  })
  void scaleIsWhatFollowsTheLastColonIfItIsANumber(String text, String path, float scale) {
    assertEquals(new LoraArgument(Path.of(path), scale), LoraArgument.parse(text));
  }
}
