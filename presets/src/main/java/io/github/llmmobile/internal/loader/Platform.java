package io.github.llmmobile.internal.loader;

import java.util.Locale;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** The platform under the JVM: its name in JavaCPP's terms, and what its libraries are called. */
final class Platform {

  private final String name;
  private final String description;

  private Platform(String name, String description) {
    this.name = name;
    this.description = description;
  }

  /**
   * Recognises the platform.
   *
   * @param property gives the value of a system property, or null
   */
  static Platform of(Function<String, @Nullable String> property) {
    String osName = valueOf(property, "os.name");
    String osArch = valueOf(property, "os.arch");
    String override = property.apply(NativeProperties.PLATFORM);
    boolean overridden = override != null && !override.isEmpty();
    String name = overridden ? override : name(osName, osArch, valueOf(property, "java.vm.name"));
    return new Platform(name, osName + " " + osArch + ", platform " + name);
  }

  /** JavaCPP's name of a platform from the JVM's names of system, architecture and virtual machine. */
  static String name(String osName, String osArch, String vmName) {
    return system(lower(osName), lower(vmName)) + "-" + architecture(lower(osArch));
  }

  private static String system(String os, String vm) {
    if (os.startsWith("linux")) {
      return vm.startsWith("dalvik") ? "android" : "linux";
    }
    if (os.startsWith("mac os x") || os.startsWith("darwin")) {
      return "macosx";
    }
    int space = os.indexOf(' ');
    return space > 0 ? os.substring(0, space) : os;       // "windows 11" is windows
  }

  private static String architecture(String arch) {
    switch (arch) {
      case "amd64":
      case "x86-64":
      case "x64":
        return "x86_64";
      case "i386":
      case "i486":
      case "i586":
      case "i686":
        return "x86";
      default:
        boolean arm64 = arch.startsWith("aarch64") || arch.startsWith("armv8") || arch.startsWith("arm64");
        return arm64 ? "arm64" : arch;
    }
  }

  /** Such as {@code linux-x86_64}; also the classifier of the jar with the natives. */
  String name() {
    return name;
  }

  /** What the JVM says about system and architecture, and the name that follows from it. */
  String description() {
    return description;
  }

  boolean isAndroid() {
    return name.startsWith("android");
  }

  boolean isLinux() {
    return name.startsWith("linux");
  }

  /** File name of a library: {@code libx.so}, {@code libx.dylib} or {@code x.dll}. */
  String fileName(String library) {
    if (name.startsWith("windows")) {
      return library + ".dll";
    }
    return "lib" + library + (name.startsWith("macosx") ? ".dylib" : ".so");
  }

  /** Folder of the natives inside their jar. */
  String resourceFolder() {
    return "META-INF/llmm/natives/" + name;
  }

  private static String valueOf(Function<String, @Nullable String> property, String key) {
    String value = property.apply(key);
    return value == null ? "" : value;
  }

  private static String lower(String text) {
    return text.toLowerCase(Locale.ROOT);
  }
}
