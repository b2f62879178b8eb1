package io.github.llmmobile.cli;

import java.io.IOException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;

/**
 * Files that get their names together when all is done. Until then they lie beside them under names of their own, and
 * closing removes them, so that a run that fails or is interrupted leaves nothing behind.
 */
final class StagedFiles implements AutoCloseable {
  /** By temporary file; what has no target is removed in any case. */
  private final Map<Path, Path> targets = new LinkedHashMap<>();

  /** A temporary file for a target. It does not exist yet. */
  Path forTarget(Path target) {
    Path file = temporary(target, "new");
    targets.put(file, target);
    return file;
  }

  /** A temporary file beside a target that is removed at the end. It does not exist yet. */
  Path beside(Path target, String what) {
    Path file = temporary(target, what);
    targets.put(file, file);
    return file;
  }

  private static Path temporary(Path target, String what) {
    return target.resolveSibling("." + target.getFileName() + "." + UUID.randomUUID() + "." + what);
  }

  /** Gives all files their names, in place of those that have them. */
  void commit() {
    targets.forEach((file, target) -> {
      if (!file.equals(target)) {
        try {
          move(file, target);
        } catch (IOException e) {
          throw new CliException(ExitCode.RUNTIME, "cannot write " + target + ": " + e.getMessage(), "", e);
        }
      }
    });
  }

  private static void move(Path file, Path target) throws IOException {
    try {
      Files.move(file, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (AtomicMoveNotSupportedException e) {
      Files.move(file, target, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  @Override
  public void close() {
    for (Path file : targets.keySet()) {
      try {
        Files.deleteIfExists(file);
      } catch (IOException ignored) {
        // It was only ours, and the next best thing is to go on.
      }
    }
  }
}
