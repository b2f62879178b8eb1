package io.github.llmmobile.internal.loader;

/**
 * Every system property and environment variable that has a say in loading the native library. They are read once, at
 * the first use of the library.
 */
public final class NativeProperties {

  /**
   * System property: the folder to load the library from. Either the libraries lie in it, or it has the layout of a
   * natives jar ({@code META-INF/llmm/natives/<platform>/}). If it is set, no other place is tried. Default: not set.
   */
  public static final String PATH = "llmm.native.path";

  /**
   * System property: the cache folder. A library that comes in a jar is unpacked under it, as {@code
   * natives/<version>-<digest>/}, and programs must be allowed to run from there; what quantised pages do to a model is
   * noted in {@code probes/}. Default: {@value #CACHE_DIR_VARIABLE}, else {@code llm-mobile} in {@value
   * #XDG_CACHE_VARIABLE}, else, but not on Android, {@code .cache/llm-mobile} in the user's home folder.
   */
  public static final String CACHE_DIR = "llmm.cachedir";

  /** Environment variable: the folder of all caches of LLM Mobile. See {@link #CACHE_DIR}. */
  public static final String CACHE_DIR_VARIABLE = "LLMM_CACHE_DIR";

  /** Environment variable of the XDG base directory specification. See {@link #CACHE_DIR}. */
  public static final String XDG_CACHE_VARIABLE = "XDG_CACHE_HOME";

  /**
   * System property of JavaCPP: the platform, such as {@code linux-x86_64}, in place of the one that was recognised.
   * Default: not set.
   */
  public static final String PLATFORM = "org.bytedeco.javacpp.platform";

  /**
   * System property of the JVM: folders to look for the library in, before the one that comes in a jar. Default: the
   * JVM's.
   */
  public static final String LIBRARY_PATH = "java.library.path";

  /**
   * System property of JavaCPP: the bytes of physical memory the process may use before JavaCPP refuses to allocate; 0
   * is no limit. JavaCPP's own default is four times the Java heap and counts mapped model files, so that every
   * allocation beside a large model first stalls and then fails. Default here: 0, set before JavaCPP starts unless the
   * property has a value.
   */
  public static final String MAX_PHYSICAL_BYTES = "org.bytedeco.javacpp.maxPhysicalBytes";

  private NativeProperties() {}
}
