package io.github.llmmobile.internal.loader;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Collects the places that were tried, each with the reason why it did not work, and words the one error that users
 * see.
 */
final class LoadFailure {

  private final Map<String, String> reasonByPlace = new LinkedHashMap<>();
  private @Nullable Throwable firstRefusal;
  private boolean noexec;

  /** A place that holds no library. */
  void absent(String place, String reason) {
    reasonByPlace.put(place, reason);
  }

  /** A place whose library could not be unpacked or linked. */
  void refused(String place, Throwable cause) {
    String reason = reason(cause);
    reasonByPlace.put(place, reason);
    noexec |= soundsLikeNoexec(reason);
    if (firstRefusal == null) {
      firstRefusal = cause;
    }
  }

  /**
   * The error to throw.
   *
   * @param version of these jars, for the name of the jar that may be missing
   */
  UnsatisfiedLinkError toError(Platform platform, LibC libC, String javaVersion, String version, String library) {
    String file = platform.fileName(library);
    StringBuilder text = new StringBuilder("LLM Mobile cannot load its native library ").append(file).append('.');
    text.append("\n  system: ").append(platform.description());
    if (libC != LibC.UNKNOWN) {
      text.append(", C library ").append(libC.name().toLowerCase(Locale.ROOT));
    }
    text.append(", Java ").append(javaVersion);
    for (Map.Entry<String, String> tried : reasonByPlace.entrySet()) {
      text.append("\n  tried ").append(tried.getKey()).append(": ").append(tried.getValue());
    }
    if (noexec) {
      text.append("\n  hint: the folder may be on a file system mounted noexec; name another one with -D")
          .append(NativeProperties.CACHE_DIR)
          .append("=<folder>");
    }
    if (libC == LibC.MUSL) {
      text.append("\n  hint: the libraries that come in jars need glibc, and this system has musl; build them here");
    }
    text.append("\n  Put llmm-presets-").append(version).append('-').append(platform.name());
    text.append(".jar on the class path, or set -D").append(NativeProperties.PATH);
    text.append("=<folder that holds ").append(file).append(">.");
    return error(text.toString(), firstRefusal);
  }

  /** An UnsatisfiedLinkError with a cause, for which it has no constructor. */
  static UnsatisfiedLinkError error(String message, @Nullable Throwable cause) {
    UnsatisfiedLinkError error = new UnsatisfiedLinkError(message);
    if (cause != null) {
      error.initCause(cause);
    }
    return error;
  }

  private static String reason(Throwable cause) {
    String message = cause.getMessage();
    // The linker's message says all; the messages of IO exceptions are often a bare path.
    return cause instanceof UnsatisfiedLinkError && message != null ? message : cause.toString();
  }

  /** What glibc, musl and the kernel say when a file may be read but not mapped as a program. */
  private static boolean soundsLikeNoexec(String reason) {
    return reason.contains("failed to map segment")
        || reason.contains("Operation not permitted")
        || reason.contains("Permission denied");
  }
}
