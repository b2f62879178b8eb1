package io.github.llmmobile.cli.algebra;

import io.github.llmmobile.LlmException;
import java.nio.file.Path;

/** OpenBLAS, which is unpacked and loaded only where it is needed. */
public final class LinearAlgebraLibrary {
  private static final String CACHE = "org.bytedeco.javacpp.cachedir";

  private LinearAlgebraLibrary() {}

  /**
   * Loads the library; later calls only set the threads.
   *
   * @param threads 1 or more
   * @param cache the folder that it is unpacked to, unless the system property of JavaCPP names one (required)
   * @throws LlmException NATIVE_LIBRARY if there is none for this platform
   */
  public static void prepare(int threads, Path cache) {
    if (System.getProperty(CACHE) == null) {
      System.setProperty(CACHE, cache.toString());
    }
    LinearAlgebra.prepare(threads);
  }
}
