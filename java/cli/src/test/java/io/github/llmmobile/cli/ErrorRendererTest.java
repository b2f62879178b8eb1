package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.cli.console.BrokenPipeException;
import io.github.llmmobile.cli.console.CliEnvironment;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class ErrorRendererTest {
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  private ExitCode render(Throwable failure, boolean verbose) {
    CliEnvironment env = new CliEnvironment.Builder().err(err).build();
    return new ErrorRenderer(env, verbose).render(failure);
  }

  private String text() {
    return err.toString(StandardCharsets.UTF_8);
  }

  @ParameterizedTest
  @CsvSource({
    "MODEL_NOT_FOUND, 3", "MODEL_INVALID, 3", "MODEL_UNSUPPORTED, 3", "CONFIG, 4", "CONTEXT_FULL, 5",
    "INVALID_ARGUMENT, 2", "RANGE, 2", "GRAMMAR, 2", "NOT_AVAILABLE, 6", "NATIVE_LIBRARY, 7", "NO_BACKEND, 7",
    "CANCELLED, 130", "IO, 1", "OUT_OF_MEMORY, 1", "STATE_MISMATCH, 1", "ADAPTER_INVALID, 1", "INTERNAL, 1",
  })
  void errorCodesHaveTheirExitCodes(ErrorCode code, int number) {
    assertEquals(number, render(new LlmException(code, "reason"), false).number());
  }

  @ParameterizedTest
  @EnumSource(value = ErrorCode.class, names = "CANCELLED", mode = EnumSource.Mode.EXCLUDE)
  void everyErrorIsOneLineAndAtMostOneHint(ErrorCode code) {
    render(new LlmException(code, "first\n  second\r\nthird\n"), false);
    String[] lines = text().split("\n");
    assertEquals("error: first; second; third", lines[0]);
    assertTrue(lines.length == 1 || lines.length == 2 && lines[1].startsWith("hint: "), text());
  }

  @Test
  void interruptionIsSilent() {
    assertEquals(ExitCode.INTERRUPTED, render(new LlmException(ErrorCode.CANCELLED, "cancelled"), true));
    assertEquals("", text());
  }

  @Test
  void brokenPipeIsSilent() {
    assertEquals(141, render(new BrokenPipeException(), true).number());
    assertEquals("", text());
  }

  @Test
  void stackTraceIsForVerboseOnly() {
    render(new CliException(ExitCode.RUNTIME, "m", "", new IOException("inner")), false);
    assertFalse(text().contains("\tat "), text());
    err.reset();
    render(new CliException(ExitCode.RUNTIME, "m", "", new IOException("inner")), true);
    assertTrue(text().startsWith("error: m\n"), text());
    assertTrue(text().contains("\tat ") && text().contains("Caused by: java.io.IOException: inner"), text());
  }

  @Test
  void bareFileNamesGetTheirReason() {
    assertEquals(ExitCode.RUNTIME, render(new NoSuchFileException("/x/y"), false));
    assertEquals("error: no such file: /x/y\n", text());
  }

  @Test
  void wrappedInputErrorsShowTheMessageAndNotTheClass() {
    render(new UncheckedIOException(new IOException("disk full")), false);
    assertEquals("error: disk full\n", text());
    err.reset();
    render(new UncheckedIOException("cannot write the output: disk full", new IOException("disk full")), false);
    assertEquals("error: cannot write the output: disk full\n", text());
  }

  @Test
  void bugNamesItsClassAndTheWayToItsTrace() {
    assertEquals(ExitCode.RUNTIME, render(new IllegalStateException(), false));
    assertEquals("error: unexpected IllegalStateException: IllegalStateException\n"
        + "hint: run again with --verbose to see where it happened\n", text());
  }

  @Test
  void missingNativeLibraryHasItsOwnCode() {
    assertEquals(7, render(new UnsatisfiedLinkError("no jnillmm"), false).number());
    assertTrue(text().contains("llmm.native.path"), text());
  }

  @Test
  void exitNumbersAreUnique() {
    assertEquals(ExitCode.values().length, ExitCode.helpList().size());
  }
}
