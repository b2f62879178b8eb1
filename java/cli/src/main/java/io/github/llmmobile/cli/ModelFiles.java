package io.github.llmmobile.cli;

import java.nio.file.Files;
import java.nio.file.Path;

/** What commands that make files of a model check before they begin. */
final class ModelFiles {
  private ModelFiles() {}

  /** Refuses a model that is not there. */
  static void requireModel(Path model) {
    if (!Files.isRegularFile(model)) {
      throw new CliException(ExitCode.MODEL, "no such model file: " + model, "");
    }
  }

  /** Refuses an output whose folder is not there. */
  static void requireFolder(Path output, String hint) {
    Path folder = output.toAbsolutePath().getParent();
    if (folder == null || !Files.isDirectory(folder)) {
      throw CliException.usage("no such folder: " + folder, hint);
    }
  }
}
