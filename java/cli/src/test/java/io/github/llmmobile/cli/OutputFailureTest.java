package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.OutputStream;
import org.junit.jupiter.api.Test;

class OutputFailureTest {
  private static OutputStream failing(String reason) {
    return new OutputStream() {
      @Override
      public void write(int b) throws IOException {
        throw new IOException(reason);
      }
    };
  }

  @Test
  void readerThatHasLeftEndsQuietly() {
    TestCli.Outcome outcome = new TestCli().output(failing("Broken pipe")).run("models");
    assertEquals(141, outcome.code());
    assertEquals("", outcome.err());
  }

  @Test
  void readerThatLeavesDuringHelpEndsQuietly() {
    TestCli.Outcome outcome = new TestCli().output(failing("Broken pipe")).run("run", "--help");
    assertEquals(141, outcome.code());
    assertEquals("", outcome.err());
  }

  @Test
  void fullDiskIsAnError() {
    TestCli.Outcome outcome = new TestCli().output(failing("No space left on device")).run("models");
    assertEquals(1, outcome.code());
    assertEquals("error: cannot write the output: No space left on device\n", outcome.err());
  }
}
