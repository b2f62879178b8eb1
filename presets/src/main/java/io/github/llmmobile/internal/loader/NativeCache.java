package io.github.llmmobile.internal.loader;

import java.io.FileNotFoundException;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.UUID;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Unpacked natives on disk: {@code natives/<version>-<index digest>/} under the cache folder.
 *
 * <p>Every file in it is checked against the index at each use. A file that fits is left alone, so that processes that
 * have it mapped are not disturbed; any other is replaced in one step. Several processes may do so at once: they move
 * the same content to the same name.
 */
final class NativeCache {

  /** Opens a file of the folder that is unpacked. */
  interface Source {
    /** Returns null if there is no such file. */
    @Nullable InputStream open(String file) throws IOException;
  }

  private final Path root;

  NativeCache(Path root) {
    this.root = root;
  }

  /**
   * The cache folder that properties and environment ask for.
   *
   * @param property gives the value of a system property, or null
   * @param variable gives the value of an environment variable, or null
   * @throws IOException if nothing is set and the user has no home folder
   */
  static NativeCache of(Function<String, @Nullable String> property, Function<String, @Nullable String> variable)
      throws IOException {
    return new NativeCache(CacheFolder.find(property, variable).orElseThrow(
        () -> new IOException("the user has no home folder; set -D" + NativeProperties.CACHE_DIR)));
  }

  /** The folder for the natives of an index. */
  Path folder(String version, NativeIndex index) {
    return root.toAbsolutePath().resolve("natives").resolve(version + "-" + index.digest());
  }

  /**
   * Makes sure that every file of the index lies in the cache with the right content.
   *
   * @return the folder of the files
   * @throws IOException if a file is missing in the source, has another checksum than the index says, or cannot be
   *     written; files that are already in place stay
   */
  Path unpack(String version, NativeIndex index, Source source) throws IOException {
    Path folder = Files.createDirectories(folder(version, index));
    for (Map.Entry<String, String> entry : index.sha256ByFile().entrySet()) {
      Path target = folder.resolve(entry.getKey());
      if (!Files.isRegularFile(target) || !Sha256.of(target).equals(entry.getValue())) {
        unpackFile(source, entry.getKey(), entry.getValue(), target);
      }
    }
    return folder;
  }

  private static void unpackFile(Source source, String file, String sha256, Path target) throws IOException {
    // Not a temporary file of Files.createTempFile: those only their owner can read, and a cache can be shared.
    Path temporary = target.resolveSibling(file + "." + UUID.randomUUID() + ".tmp");
    try {
      String actual;
      try (InputStream in = source.open(file)) {
        if (in == null) {
          throw new FileNotFoundException(NativeIndex.FILE + " lists " + file + ", but it is not there");
        }
        try (FileOutputStream out = new FileOutputStream(temporary.toFile())) {
          actual = Sha256.copy(in, out);
          out.getFD().sync();        // a crash must not leave a whole name with half a content
        }
      }
      if (!actual.equals(sha256)) {
        throw new IOException(file + " is damaged: its SHA-256 is " + actual + ", the index says " + sha256);
      }
      CacheFolder.put(temporary, target);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }
}
