package io.github.llmmobile.cli;

import io.github.llmmobile.cli.console.CliEnvironment;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.function.LongConsumer;

/**
 * The model that commands use when none is named: SmolLM2-135M-Instruct. {@code ci/fetch-models} brings it to the
 * cache; nothing here downloads.
 */
final class DefaultModel {
  static final String NAME = "SmolLM2-135M-Instruct";
  static final String FILE = "SmolLM2-135M-Instruct.Q4_1.gguf";
  static final String LICENSE = "Apache-2.0";
  static final long SIZE_BYTES = 98_362_432L;
  static final String SHA_256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
  static final String HINT_FETCH = "fetch the default model with: ci/fetch-models default   or name one: --model FILE";

  private static final int READ_BYTES = 1 << 20;

  private DefaultModel() {}

  /** The folder of all that can be fetched or built again. */
  static Path cacheFolder(CliEnvironment env) {
    return env.variable("LLMM_CACHE_DIR").map(Path::of)
        .or(() -> env.variable("XDG_CACHE_HOME").map(folder -> Path.of(folder, "llm-mobile")))
        .orElseGet(() -> env.home().resolve(".cache").resolve("llm-mobile"));
  }

  /** The folder of fetched models. */
  static Path modelFolder(CliEnvironment env) {
    return cacheFolder(env).resolve("models");
  }

  /** Where the default model is, or would be. */
  static Path path(CliEnvironment env) {
    return modelFolder(env).resolve(FILE);
  }

  /**
   * The default model's file.
   *
   * @throws CliException if it is not there or was not fetched completely
   */
  static Path require(CliEnvironment env) {
    Path path = path(env);
    if (!Files.isRegularFile(path)) {
      throw new CliException(ExitCode.MODEL, "the default model is missing: " + path, HINT_FETCH);
    }
    long size = size(path);
    if (size != SIZE_BYTES) {
      throw new CliException(ExitCode.MODEL,
          "the default model is incomplete: " + path + " has " + size + " bytes, not " + SIZE_BYTES, HINT_FETCH);
    }
    return path;
  }

  /** Size of a file in bytes; -1 if it cannot be read. */
  static long size(Path path) {
    try {
      return Files.size(path);
    } catch (IOException e) {
      return -1;
    }
  }

  /**
   * The SHA-256 of a file in lower-case hexadecimal.
   *
   * @param path the file
   * @param progress gets the number of bytes read so far, again and again
   */
  static String sha256(Path path, LongConsumer progress) throws IOException {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java has SHA-256", e);
    }
    byte[] chunk = new byte[READ_BYTES];
    long total = 0;
    try (InputStream in = Files.newInputStream(path)) {
      for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
        digest.update(chunk, 0, n);
        total += n;
        progress.accept(total);
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }
}
