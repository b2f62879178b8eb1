package io.github.llmmobile.cli;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The arguments as they were typed. Java decodes them in the locale's character set, so that under {@code LANG=C}
 * every letter outside ASCII is lost before {@code main} begins. Linux still has the bytes.
 */
final class NativeArguments {
  private static final Path COMMAND_LINE = Path.of("/proc/self/cmdline");

  private NativeArguments() {}

  /** The arguments of this process, decoded as UTF-8 where Java did not do so. */
  static String[] recover(String[] args) {
    String charset = System.getProperty("sun.jnu.encoding", "UTF-8");
    if (args.length == 0 || isUtf8(charset)) {
      return args;
    }
    try {
      return recover(args, Files.readAllBytes(COMMAND_LINE));
    } catch (IOException e) {
      return args;
    }
  }

  /**
   * Takes the last arguments from a raw command line: the JVM's own ones stand in front of them.
   *
   * @param args what Java made of the arguments
   * @param commandLine all arguments of the process, each ended by a zero byte
   * @return the arguments as UTF-8; {@code args} if the bytes are not UTF-8 or do not match
   */
  static String[] recover(String[] args, byte[] commandLine) {
    List<String> all = new ArrayList<>();
    int start = 0;
    try {
      for (int i = 0; i < commandLine.length; i++) {
        if (commandLine[i] == 0) {
          ByteBuffer word = ByteBuffer.wrap(commandLine, start, i - start);
          all.add(StandardCharsets.UTF_8.newDecoder().decode(word).toString());
          start = i + 1;
        }
      }
    } catch (CharacterCodingException e) {
      return args;
    }
    if (all.size() < args.length) {
      return args;
    }
    String[] typed = all.subList(all.size() - args.length, all.size()).toArray(new String[0]);
    for (int i = 0; i < args.length; i++) {
      if (isAscii(typed[i]) && !typed[i].equals(args[i])) {
        return args;
      }
    }
    return typed;
  }

  private static boolean isUtf8(String charset) {
    return Charset.isSupported(charset) && Charset.forName(charset).equals(StandardCharsets.UTF_8);
  }

  private static boolean isAscii(String text) {
    return text.chars().allMatch(c -> c < 0x80);
  }
}
