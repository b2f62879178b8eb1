package io.github.llmmobile;

import io.github.llmmobile.internal.NativeRuntime;

/** The library as a whole. Each method loads the native library if that has not happened yet. Threads: any. */
public final class LlmMobile {
  private LlmMobile() {}

  /**
   * The version of the native library, which is also that of this artifact.
   *
   * @return such as {@code 0.1.0} (never null)
   * @throws LlmException NATIVE_LIBRARY if the library cannot be loaded
   */
  public static String version() {
    return JsonFields.parse(buildInfo()).text("version");
  }

  /**
   * How the native library was built: its version, that of llama.cpp with its patches, compiler and build type.
   *
   * @return one JSON object (never null)
   * @throws LlmException NATIVE_LIBRARY if the library cannot be loaded
   */
  public static String buildInfo() {
    return NativeRuntime.buildInfo();
  }

  /**
   * The machine: CPU, its cores and features.
   *
   * @return one JSON object (never null)
   * @throws LlmException NATIVE_LIBRARY if the library cannot be loaded
   */
  public static String systemInfo() {
    return NativeRuntime.systemInfo();
  }

  /**
   * Memory of this process.
   *
   * @return now and at its peak (never null)
   * @throws LlmException NATIVE_LIBRARY if the library cannot be loaded
   */
  public static ProcessMemory processMemory() {
    long[] bytes = NativeRuntime.processMemory();
    return new ProcessMemory(bytes[0], bytes[1]);
  }

  /**
   * How many physical cores the machine has; the default number of threads of a session.
   *
   * @return at least 1
   * @throws LlmException NATIVE_LIBRARY if the library cannot be loaded
   */
  public static int physicalCores() {
    return JsonFields.parse(systemInfo()).integer("physical_cores");
  }
}
