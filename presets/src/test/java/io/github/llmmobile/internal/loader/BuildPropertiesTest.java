package io.github.llmmobile.internal.loader;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.internal.jni.Llmm;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BuildPropertiesTest {

  @TempDir Path temp;

  @Test
  void theBuildWritesTheInterfaceOfTheBindings() {
    BuildProperties build = BuildProperties.load(BuildProperties.class.getClassLoader());
    assertEquals(Llmm.LLMM_ABI_VERSION, build.abi());
    assertTrue(build.version().matches("[0-9]+\\.[0-9]+\\.[0-9]+(-SNAPSHOT)?"), build.version());
  }

  @Test
  void missingFileIsALinkError() {
    UnsatisfiedLinkError e = assertThrows(UnsatisfiedLinkError.class, this::load);
    assertTrue(e.getMessage().contains("build.properties is missing"), e.getMessage());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "version=1", "abi=1", "version=1\nabi=x", "version=1\nabi=", "version=${project.version}\nabi=1"})
  void damagedFileIsALinkError(String text) throws IOException {
    write(text);
    UnsatisfiedLinkError e = assertThrows(UnsatisfiedLinkError.class, this::load);
    assertTrue(e.getMessage().contains("build.properties cannot be read"), e.getMessage());
  }

  @Test
  void libraryOfAnotherInterfaceIsRefused() throws IOException {
    write("version=1.2.3\nabi=7\n");
    BuildProperties build = load();
    assertDoesNotThrow(() -> NativeLoader.checkAbi(7, build, "/x"));
    UnsatisfiedLinkError e = assertThrows(UnsatisfiedLinkError.class, () -> NativeLoader.checkAbi(8, build, "/x"));
    assertTrue(e.getMessage().contains("from /x has version 8"), e.getMessage());
    assertTrue(e.getMessage().contains("llmm-presets 1.2.3 needs version 7"), e.getMessage());
  }

  private BuildProperties load() throws IOException {
    try (URLClassLoader loader = new URLClassLoader(new URL[] {temp.toUri().toURL()}, null)) {
      return BuildProperties.load(loader);
    }
  }

  private void write(String text) throws IOException {
    Path file = temp.resolve("META-INF/llmm/build.properties");
    Files.createDirectories(file.getParent());
    Files.write(file, text.getBytes(StandardCharsets.UTF_8));
  }
}
