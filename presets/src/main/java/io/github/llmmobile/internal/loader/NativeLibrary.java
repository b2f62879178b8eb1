package io.github.llmmobile.internal.loader;

import java.nio.file.Path;
import java.util.Optional;
import org.bytedeco.javacpp.ClassProperties;
import org.jspecify.annotations.Nullable;

/**
 * The native library of this process, linked at most once. The state is static because a process can have a library
 * only once.
 *
 * <p>Knows nothing of the generated bindings, for the parser that writes them needs this class. Threads: any.
 */
public final class NativeLibrary {

  /** The library's name without what platforms put around it. */
  public static final String NAME = "jnillmm";

  private static @Nullable Optional<Path> folder;
  private static @Nullable UnsatisfiedLinkError failure;

  private NativeLibrary() {}

  /**
   * Links the library unless it is linked already.
   *
   * @return the folder it was linked from; empty on Android, where the system knows
   * @throws UnsatisfiedLinkError if that failed, now or before; the message tells what to do
   */
  public static synchronized Optional<Path> link() {
    if (failure != null) {
      throw repeat(failure);
    }
    Optional<Path> linked = folder;
    if (linked == null) {
      liftMemoryLimit();
      try {
        linked =
            new LibrarySearch(System::getProperty, System::getenv, NativeLibrary.class.getClassLoader(), Linker.JVM)
                .link(NAME);
      } catch (UnsatisfiedLinkError e) {
        failure = e;
        throw e;
      }
      folder = linked;
    }
    return linked;
  }

  /**
   * Links the library and points JavaCPP to it, which looks it up once more for every generated class.
   *
   * @param properties JavaCPP's settings for a generated class
   * @throws UnsatisfiedLinkError as {@link #link()}
   */
  public static void configure(ClassProperties properties) {
    // The preset inherits from nothing, so JavaCPP's own places come after this one.
    link().ifPresent(path -> properties.addAll("platform.preloadpath", path.toString()));
  }

  /**
   * Takes JavaCPP's limit on physical memory away unless the user has set one. It has an effect only before the class
   * Pointer is initialised. See {@link NativeProperties#MAX_PHYSICAL_BYTES}.
   */
  static void liftMemoryLimit() {
    String lowerCase = "org.bytedeco.javacpp.maxphysicalbytes";      // JavaCPP reads both spellings
    if (System.getProperty(NativeProperties.MAX_PHYSICAL_BYTES) == null && System.getProperty(lowerCase) == null) {
      System.setProperty(NativeProperties.MAX_PHYSICAL_BYTES, "0");
    }
  }

  /** The same failure for another caller: its own stack trace, the first one as its cause. */
  static UnsatisfiedLinkError repeat(UnsatisfiedLinkError first) {
    return LoadFailure.error(String.valueOf(first.getMessage()), first);
  }
}
