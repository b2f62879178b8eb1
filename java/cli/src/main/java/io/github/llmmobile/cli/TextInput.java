package io.github.llmmobile.cli;

import io.github.llmmobile.cli.console.CliEnvironment;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Text that a user hands over: an argument, a file, or standard input. Bytes are strict UTF-8. */
final class TextInput {
  private static final String HINT_UTF8 = "convert it to UTF-8 first, for example with iconv";

  private TextInput() {}

  /**
   * A prompt. {@code -} is standard input, {@code @FILE} a file, {@code @@text} the text "@text"; anything else
   * stands for itself. One line break at the end of a file or of standard input is dropped: editors and echo add it.
   */
  static String prompt(CliEnvironment env, String argument) {
    if (argument.equals("-")) {
      return withoutLastLineBreak(standardInput(env));
    }
    if (argument.startsWith("@@")) {
      return argument.substring(1);
    }
    if (argument.startsWith("@")) {
      return withoutLastLineBreak(file(Path.of(argument.substring(1))));
    }
    return argument;
  }

  /** The whole of a text file. */
  static String file(Path path) {
    if (Files.isDirectory(path)) {
      throw CliException.usage("not a file but a folder: " + path, "");
    }
    try {
      return decode(Files.readAllBytes(path));
    } catch (NoSuchFileException e) {
      throw CliException.usage("no such file: " + path, "");
    } catch (CharacterCodingException e) {
      throw new CliException(ExitCode.USAGE, "not valid UTF-8: " + path, HINT_UTF8, e);
    } catch (IOException e) {
      throw new CliException(ExitCode.RUNTIME, "cannot read " + path + ": " + e.getMessage(), "", e);
    }
  }

  private static String standardInput(CliEnvironment env) {
    try {
      return decode(env.in().readAllBytes());
    } catch (CharacterCodingException e) {
      throw new CliException(ExitCode.USAGE, "not valid UTF-8: standard input", HINT_UTF8, e);
    } catch (IOException e) {
      throw new CliException(ExitCode.RUNTIME, "cannot read standard input: " + e.getMessage(), "", e);
    }
  }

  private static String decode(byte[] bytes) throws CharacterCodingException {
    return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
  }

  private static String withoutLastLineBreak(String text) {
    if (text.endsWith("\r\n")) {
      return text.substring(0, text.length() - 2);
    }
    return text.endsWith("\n") ? text.substring(0, text.length() - 1) : text;
  }
}
