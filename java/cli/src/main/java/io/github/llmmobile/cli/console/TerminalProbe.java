package io.github.llmmobile.cli.console;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Tells whether a standard stream is a terminal, without loading a terminal library at every start. */
final class TerminalProbe {
  private static final Path DESCRIPTORS = Path.of("/proc/self/fd");

  private TerminalProbe() {}

  /**
   * Whether a file descriptor is a terminal. On Linux each descriptor is looked at by itself. Elsewhere Java only
   * tells whether input and output are both terminals, and that answer stands for all three.
   *
   * @param descriptor 0, 1 or 2
   */
  static boolean isTerminal(int descriptor) {
    Path link = DESCRIPTORS.resolve(Integer.toString(descriptor));
    try {
      return isTerminalDevice(Files.readSymbolicLink(link).toString());
    } catch (IOException | UnsupportedOperationException e) {
      return System.console() != null;
    }
  }

  /** Whether the target of a descriptor's link is a terminal: "/dev/pts/3", "/dev/tty1", "/dev/console". */
  static boolean isTerminalDevice(String target) {
    return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty") || target.equals("/dev/console");
  }
}
