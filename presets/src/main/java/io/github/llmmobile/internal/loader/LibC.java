package io.github.llmmobile.internal.loader;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;

/** The C library that the JVM runs on: a library built for one does not load on the other. */
enum LibC {
  GLIBC,
  MUSL,
  /** Not Linux, or nothing in the process's memory map tells. */
  UNKNOWN;

  /** The C library of this process. */
  static LibC ofThisProcess() {
    Path maps = Paths.get("/proc/self/maps");
    // A proc file has no length of its own, so Files.exists and reading until the end are all there is.
    if (!Files.isReadable(maps)) {
      return UNKNOWN;
    }
    // The names of mapped files are bytes in no certain charset; Latin-1 reads any.
    try (BufferedReader reader = Files.newBufferedReader(maps, StandardCharsets.ISO_8859_1)) {
      return ofMaps(reader);
    } catch (IOException e) {
      return UNKNOWN;
    }
  }

  /** The C library in a memory map: one mapped file per line, the path at the end. */
  static LibC ofMaps(BufferedReader maps) throws IOException {
    LibC found = UNKNOWN;
    for (String line = maps.readLine(); line != null; line = maps.readLine()) {
      String file = line.substring(line.lastIndexOf('/') + 1);
      // musl's loader is its C library. Alpine's glibc shim maps a libc.so.6 beside it, so musl decides.
      if (file.startsWith("ld-musl-") || file.startsWith("libc.musl-")) {
        return MUSL;
      }
      if (file.startsWith("libc.so.6") || file.startsWith("libc-2.")) {
        found = GLIBC;
      }
    }
    return found;
  }
}
