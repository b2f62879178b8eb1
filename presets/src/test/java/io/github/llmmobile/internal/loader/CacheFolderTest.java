package io.github.llmmobile.internal.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Paths;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class CacheFolderTest {

  private final Map<String, String> properties = new HashMap<>();
  private final Map<String, String> variables = new HashMap<>();

  @Test
  void propertyBeatsVariablesAndVariablesBeatTheHomeFolder() {
    properties.putAll(Map.of("user.home", "/home/u", NativeProperties.CACHE_DIR, "/p"));
    variables.putAll(
        Map.of(NativeProperties.CACHE_DIR_VARIABLE, "/v", NativeProperties.XDG_CACHE_VARIABLE, "/x", "HOME", "/h"));
    assertFolder("/p");
    properties.put(NativeProperties.CACHE_DIR, "");
    assertFolder("/v");
    variables.remove(NativeProperties.CACHE_DIR_VARIABLE);
    assertFolder("/x/llm-mobile");
    variables.remove(NativeProperties.XDG_CACHE_VARIABLE);
    assertFolder("/home/u/.cache/llm-mobile");
    properties.put("user.home", "?");
    assertFolder("/h/.cache/llm-mobile");
    variables.remove("HOME");
    assertEquals(Optional.empty(), CacheFolder.find(properties::get, variables::get));
  }

  @Test
  void onAndroidOnlyWhatIsSetCounts() {
    properties.putAll(
        Map.of("os.name", "Linux", "os.arch", "aarch64", "java.vm.name", "Dalvik", "user.home", "/"));
    variables.put("HOME", "/");
    assertEquals(Optional.empty(), CacheFolder.find(properties::get, variables::get));
    properties.put(NativeProperties.CACHE_DIR, "/data/user/0/app/cache");
    assertFolder("/data/user/0/app/cache");
  }

  @Test
  void thisProcessHasOne() {
    assertTrue(CacheFolder.find().isPresent());
  }

  private void assertFolder(String expected) {
    assertEquals(Optional.of(Paths.get(expected)), CacheFolder.find(properties::get, variables::get));
  }
}
