package io.github.llmmobile.cli.console;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CliEnvironmentTest {
  @Test
  void outputIsUtf8() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    CliEnvironment env = new CliEnvironment.Builder().out(bytes).build();
    env.out().print("é\uD83D\uDE00");
    env.flush();
    assertEquals("é\uD83D\uDE00", bytes.toString(StandardCharsets.UTF_8));
  }

  @Test
  void firstFailureOfTheOutputStays() {
    OutputStream failing = new OutputStream() {
      private int calls;

      @Override
      public void write(int b) throws IOException {
        calls++;
        throw new IOException(calls == 1 ? "No space left on device" : "Broken pipe");
      }
    };
    CliEnvironment env = new CliEnvironment.Builder().out(failing).build();
    env.out().print("text");
    UncheckedIOException first = assertThrows(UncheckedIOException.class, env::flush);
    assertTrue(first.getMessage().contains("No space left"), first.getMessage());
    env.out().print("more");
    assertThrows(UncheckedIOException.class, env::flush);
  }

  @ParameterizedTest
  @CsvSource({"Broken pipe", "The pipe is being closed", "Pipe closed"})
  void brokenPipeIsRecognised(String reason) {
    OutputStream failing = new OutputStream() {
      @Override
      public void write(int b) throws IOException {
        throw new IOException(reason);
      }
    };
    CliEnvironment env = new CliEnvironment.Builder().out(failing).build();
    env.out().print("text");
    assertThrows(BrokenPipeException.class, env::flush);
  }

  @Test
  void emptyVariableCountsAsAbsent() {
    CliEnvironment env = new CliEnvironment.Builder().variables(Map.of("A", "", "B", "x")).build();
    assertTrue(env.variable("A").isEmpty());
    assertEquals("x", env.variable("B").orElseThrow());
  }

  @ParameterizedTest
  @CsvSource({"'', 80", "120, 120", "0, 80", "wide, 80", "-5, 80", "99999, 80"})
  void columnsFollowTheShellWhereThatMakesSense(String value, int columns) {
    assertEquals(columns, new CliEnvironment.Builder().variables(Map.of("COLUMNS", value)).build().columns());
  }

  @Test
  void progressNeedsATerminalOnStandardError() {
    assertTrue(new CliEnvironment.Builder().terminals(false, false, true).build().showsProgress());
    assertFalse(new CliEnvironment.Builder().terminals(true, true, false).build().showsProgress());
  }

  @Test
  void coloursAreDecidedPerStream() {
    CliEnvironment env = new CliEnvironment.Builder().terminals(true, false, true).build();
    assertFalse(env.outStyle().enabled());
    assertTrue(env.errStyle().enabled());
    assertFalse(env.interactive());
  }

  @ParameterizedTest
  @CsvSource({"/dev/pts/0, true", "/dev/tty1, true", "/dev/console, true", "/dev/null, false", "pipe:[123], false",
      "/tmp/file, false"})
  void terminalsAreToldByTheirDevice(String target, boolean terminal) {
    assertEquals(terminal, TerminalProbe.isTerminalDevice(target));
  }
}
