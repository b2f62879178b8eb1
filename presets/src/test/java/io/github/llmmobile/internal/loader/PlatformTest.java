package io.github.llmmobile.internal.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Properties;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PlatformTest {

  @ParameterizedTest
  @CsvSource({
    "Linux, amd64, OpenJDK 64-Bit Server VM, linux-x86_64",
    "Linux, x86-64, OpenJDK 64-Bit Server VM, linux-x86_64",
    "Linux, i686, OpenJDK Server VM, linux-x86",
    "Linux, aarch64, OpenJDK 64-Bit Server VM, linux-arm64",
    "Linux, riscv64, OpenJDK 64-Bit Server VM, linux-riscv64",
    "Linux, aarch64, Dalvik, android-arm64",
    "Linux, x86_64, Dalvik, android-x86_64",
    "Linux, armv8l, Dalvik, android-arm64",
    "Mac OS X, aarch64, OpenJDK 64-Bit Server VM, macosx-arm64",
    "Mac OS X, x86_64, OpenJDK 64-Bit Server VM, macosx-x86_64",
    "Windows 11, amd64, OpenJDK 64-Bit Server VM, windows-x86_64",
    "FreeBSD, amd64, OpenJDK 64-Bit Server VM, freebsd-x86_64",
  })
  void nameFollowsFromTheNamesOfTheJvm(String os, String arch, String vm, String expected) {
    assertEquals(expected, Platform.name(os, arch, vm));
  }

  @Test
  void nameIsTheOneThatJavacppUses() {
    assertEquals(org.bytedeco.javacpp.Loader.Detector.getPlatform(), Platform.of(System::getProperty).name());
  }

  @Test
  void namesDoNotDependOnTheLocale() {
    java.util.Locale before = java.util.Locale.getDefault();
    try {
      java.util.Locale.setDefault(new java.util.Locale("tr"));      // where the lower case of I is not i
      assertEquals("linux-x86_64", Platform.name("LINUX", "AMD64", ""));
    } finally {
      java.util.Locale.setDefault(before);
    }
  }

  @Test
  void propertyReplacesTheRecognisedName() {
    Properties properties = new Properties();
    properties.setProperty("os.name", "Linux");
    properties.setProperty("os.arch", "amd64");
    properties.setProperty(NativeProperties.PLATFORM, "android-arm64");
    Platform platform = Platform.of(properties::getProperty);
    assertEquals("android-arm64", platform.name());
    assertTrue(platform.isAndroid());
    assertFalse(platform.isLinux());
    assertEquals("Linux amd64, platform android-arm64", platform.description());
  }

  @ParameterizedTest
  @CsvSource({
    "linux-x86_64, libx.so",
    "android-arm64, libx.so",
    "macosx-arm64, libx.dylib",
    "windows-x86_64, x.dll",
  })
  void fileNameFollowsThePlatform(String name, String expected) {
    Properties properties = new Properties();
    properties.setProperty(NativeProperties.PLATFORM, name);
    assertEquals(expected, Platform.of(properties::getProperty).fileName("x"));
  }
}
