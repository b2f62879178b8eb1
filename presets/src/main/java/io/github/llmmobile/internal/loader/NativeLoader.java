package io.github.llmmobile.internal.loader;

import io.github.llmmobile.internal.jni.Llmm;
import java.nio.file.Path;
import java.util.Optional;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Makes the generated bindings ready for use. Whoever uses them calls {@link #load()} first.
 *
 * <p>An explicit call, where generated code would do with a static initialiser: a class whose initialiser failed
 * answers every later use with a NoClassDefFoundError that says nothing. Threads: any.
 */
public final class NativeLoader {

  private static final Logger LOG = LoggerFactory.getLogger(NativeLoader.class);

  private static boolean loaded;
  private static @Nullable UnsatisfiedLinkError failure;

  private NativeLoader() {}

  /**
   * Finds and links the library, and checks that it speaks the bindings' version of the interface. Does nothing if that
   * was done before.
   *
   * @throws UnsatisfiedLinkError if there is no library that links, or it is of another version; every later call
   *     throws the same text
   */
  public static synchronized void load() {
    if (loaded) {
      return;
    }
    if (failure != null) {
      throw NativeLibrary.repeat(failure);
    }
    try {
      Optional<Path> folder = NativeLibrary.link();
      String place = folder.map(Path::toString).orElse("the libraries of the app");
      bind(place);
      checkAbi(BuildProperties.load(NativeLoader.class.getClassLoader()), place);
      LOG.debug("{} loaded from {}", NativeLibrary.NAME, place);
      if (Pointer.maxPhysicalBytes() != 0) {
        LOG.warn(
            "{} is {}: allocations will stall and fail beside a large model; 0 lifts the limit",
            NativeProperties.MAX_PHYSICAL_BYTES,
            Pointer.maxPhysicalBytes());
      }
      loaded = true;
    } catch (UnsatisfiedLinkError e) {
      failure = e;
      throw e;
    }
  }

  /** Initialises the bindings. A library of that name that is not ours has none of the functions they need. */
  private static void bind(String place) {
    try {
      Loader.load(Llmm.class);
      Llmm.llmm_abi_version();
    } catch (LinkageError e) {
      throw LoadFailure.error(
          "LLM Mobile: the library " + NativeLibrary.NAME + " from " + place + " is another one: " + e, e);
    }
  }

  private static void checkAbi(BuildProperties build, String place) {
    checkAbi(Llmm.llmm_abi_version(), build, place);
  }

  /** Compares the library's version of the interface with the bindings'. */
  static void checkAbi(int actual, BuildProperties build, String place) {
    if (actual != build.abi()) {
      throw new UnsatisfiedLinkError(
          "LLM Mobile: the native library from "
              + place
              + " has version "
              + actual
              + " of the interface, but llmm-presets "
              + build.version()
              + " needs version "
              + build.abi()
              + ". Use jar and natives of the same release.");
    }
  }
}
