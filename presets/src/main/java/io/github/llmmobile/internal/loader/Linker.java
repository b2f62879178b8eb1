package io.github.llmmobile.internal.loader;

import java.nio.file.Path;

/** The JVM's way to load libraries, so that tests can do without any. */
interface Linker {

  /** The real one. */
  Linker JVM =
      new Linker() {
        @Override
        public void link(Path file) {
          System.load(file.toString());
        }

        @Override
        public void linkByName(String library) {
          System.loadLibrary(library);
        }
      };

  /**
   * Loads a file, given by its absolute path. Loading a file twice does nothing.
   *
   * @throws UnsatisfiedLinkError if the system's linker refuses it; the message has its reason
   */
  void link(Path file);

  /**
   * Loads a library from wherever the system keeps the application's.
   *
   * @throws UnsatisfiedLinkError if there is none, or the system's linker refuses it
   */
  void linkByName(String library);
}
