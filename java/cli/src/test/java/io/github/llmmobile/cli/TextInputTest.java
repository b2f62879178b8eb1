package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.cli.console.CliEnvironment;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TextInputTest {
  @TempDir Path folder;

  @Test
  void plainTextStandsForItself() {
    assertEquals("a\n", TextInput.prompt(new TestCli().environment(), "a\n"));
  }

  @Test
  void doubleAtSignIsOne() {
    assertEquals("@home", TextInput.prompt(new TestCli().environment(), "@@home"));
  }

  @Test
  void fileLosesItsLastLineBreakOnly() throws IOException {
    Path file = Files.writeString(folder.resolve("p.txt"), "Zürich 日本\n\n");
    assertEquals("Zürich 日本\n", TextInput.prompt(new TestCli().environment(), "@" + file));
    Files.writeString(file, "a\r\n");
    assertEquals("a", TextInput.prompt(new TestCli().environment(), "@" + file));
  }

  @Test
  void dashReadsStandardInput() {
    assertEquals("grüße", TextInput.prompt(new TestCli().input("grüße\n").environment(), "-"));
    assertEquals("", TextInput.prompt(new TestCli().input("").environment(), "-"));
  }

  @Test
  void bytesThatAreNotUtf8AreRefused() {
    CliEnvironment env =
        new CliEnvironment.Builder().in(new ByteArrayInputStream(new byte[] {'a', (byte) 0xff})).build();
    CliException e = assertThrows(CliException.class, () -> TextInput.prompt(env, "-"));
    assertEquals(ExitCode.USAGE, e.exitCode());
    assertTrue(e.getMessage().contains("not valid UTF-8"), e.getMessage());
  }

  @Test
  void missingFileAndFolderAreNamed() {
    CliException missing = assertThrows(CliException.class,
        () -> TextInput.prompt(new TestCli().environment(), "@" + folder.resolve("none")));
    assertTrue(missing.getMessage().startsWith("no such file"), missing.getMessage());
    CliException directory =
        assertThrows(CliException.class, () -> TextInput.prompt(new TestCli().environment(), "@" + folder));
    assertTrue(directory.getMessage().contains("a folder"), directory.getMessage());
  }
}
