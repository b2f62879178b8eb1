package io.github.llmmobile.internal.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NativeCacheTest {

  private static final String VERSION = "1.2.3";

  private final Map<String, byte[]> jar = new HashMap<>();
  private int opened;

  @TempDir Path root;

  @Test
  void filesAreUnpackedToAFolderOfVersionAndDigest() throws IOException {
    NativeIndex index = indexOf("libjnillmm.so", "code", "libggml.so", "more");
    Path folder = new NativeCache(root).unpack(VERSION, index, this::open);
    assertEquals(root.toAbsolutePath().resolve("natives").resolve("1.2.3-" + index.digest()), folder);
    assertEquals("code", text(folder.resolve("libjnillmm.so")));
    assertEquals("more", text(folder.resolve("libggml.so")));
    assertEquals(List.of("libggml.so", "libjnillmm.so"), names(folder));
  }

  @Test
  void identicalFilesAreNotTouched() throws IOException {
    NativeIndex index = indexOf("libjnillmm.so", "code");
    NativeCache cache = new NativeCache(root);
    Path file = cache.unpack(VERSION, index, this::open).resolve("libjnillmm.so");
    Object before = Files.readAttributes(file, "*");
    cache.unpack(VERSION, index, this::open);
    assertEquals(1, opened);
    assertEquals(withoutAccess(before), withoutAccess(Files.readAttributes(file, "*")));
  }

  @Test
  void damagedFilesAreReplaced() throws IOException {
    NativeIndex index = indexOf("libjnillmm.so", "code");
    NativeCache cache = new NativeCache(root);
    Path file = cache.unpack(VERSION, index, this::open).resolve("libjnillmm.so");
    for (String damage : List.of("cod", "codf", "code and more", "")) {
      Files.write(file, damage.getBytes(StandardCharsets.UTF_8));
      cache.unpack(VERSION, index, this::open);
      assertEquals("code", text(file), "after " + damage);
    }
  }

  @Test
  void wrongChecksumInTheJarIsAnErrorAndLeavesNothing() throws IOException {
    NativeIndex index = indexOf("libjnillmm.so", "code");
    jar.put("libjnillmm.so", "evil".getBytes(StandardCharsets.UTF_8));
    NativeCache cache = new NativeCache(root);
    IOException e = assertThrows(IOException.class, () -> cache.unpack(VERSION, index, this::open));
    assertTrue(e.getMessage().contains("libjnillmm.so is damaged"), e.getMessage());
    assertTrue(e.getMessage().contains(index.sha256ByFile().get("libjnillmm.so")), e.getMessage());
    assertEquals(List.of(), names(cache.folder(VERSION, index)));
  }

  @Test
  void fileMissingInTheJarIsAnError() throws IOException {
    NativeIndex index = indexOf("libjnillmm.so", "code");
    jar.clear();
    NativeCache cache = new NativeCache(root);
    IOException e = assertThrows(IOException.class, () -> cache.unpack(VERSION, index, this::open));
    assertTrue(e.getMessage().contains("lists libjnillmm.so"), e.getMessage());
  }

  @Test
  void streamThatBreaksLeavesNothing() throws IOException {
    NativeIndex index = indexOf("libjnillmm.so", "code");
    NativeCache cache = new NativeCache(root);
    NativeCache.Source breaking =
        file ->
            new ByteArrayInputStream(new byte[10]) {
              @Override
              public int read(byte[] b, int off, int len) {
                throw new IllegalStateException("broken");
              }
            };
    assertThrows(IllegalStateException.class, () -> cache.unpack(VERSION, index, breaking));
    assertEquals(List.of(), names(cache.folder(VERSION, index)));
  }

  @Test
  void otherContentsGoToAnotherFolder() throws IOException {
    NativeCache cache = new NativeCache(root);
    Path first = cache.unpack(VERSION, indexOf("libjnillmm.so", "code"), this::open);
    Path second = cache.unpack(VERSION, indexOf("libjnillmm.so", "other code"), this::open);
    assertFalse(first.equals(second));
    assertEquals("code", text(first.resolve("libjnillmm.so")));
  }

  @Test
  void manyMayUnpackAtOnce() throws Exception {
    byte[] content = new byte[1 << 20];
    new java.util.Random(7).nextBytes(content);
    jar.put("libjnillmm.so", content);
    NativeIndex index = index();
    ExecutorService threads = Executors.newFixedThreadPool(8);
    try {
      List<Future<Path>> folders = new ArrayList<>();
      for (int i = 0; i < 16; i++) {
        folders.add(
            threads.submit(
                () -> new NativeCache(root).unpack(VERSION, index, f -> new ByteArrayInputStream(jar.get(f)))));
      }
      for (Future<Path> folder : folders) {
        assertEquals(index.sha256ByFile().get("libjnillmm.so"), Sha256.of(folder.get().resolve("libjnillmm.so")));
      }
      assertEquals(List.of("libjnillmm.so"), names(folders.get(0).get()));
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  void nativesLieUnderTheCacheFolder() throws IOException {
    NativeIndex index = indexOf("a.so", "a");
    Map<String, String> properties = Map.of(NativeProperties.CACHE_DIR, "/p");
    assertEquals(
        Paths.get("/p").toAbsolutePath().resolve("natives").resolve(VERSION + "-" + index.digest()),
        NativeCache.of(properties::get, key -> null).folder(VERSION, index));
  }

  @Test
  void withoutAHomeFolderTheErrorNamesTheProperty() {
    IOException e = assertThrows(IOException.class, () -> NativeCache.of(key -> null, key -> null));
    assertTrue(e.getMessage().contains("-D" + NativeProperties.CACHE_DIR), e.getMessage());
  }

  private ByteArrayInputStream open(String file) {
    opened++;
    byte[] content = jar.get(file);
    return content == null ? null : new ByteArrayInputStream(content);
  }

  private NativeIndex indexOf(String... filesAndContents) throws IOException {
    jar.clear();
    for (int i = 0; i < filesAndContents.length; i += 2) {
      jar.put(filesAndContents[i], filesAndContents[i + 1].getBytes(StandardCharsets.UTF_8));
    }
    return index();
  }

  private NativeIndex index() throws IOException {
    StringBuilder lines = new StringBuilder();
    for (Map.Entry<String, byte[]> entry : jar.entrySet()) {
      String sha256 = Sha256.copy(new ByteArrayInputStream(entry.getValue()), new ByteArrayOutputStream());
      lines.append(sha256).append("  ").append(entry.getKey()).append('\n');
    }
    return NativeIndex.read(new ByteArrayInputStream(lines.toString().getBytes(StandardCharsets.UTF_8)));
  }

  private static Map<String, Object> withoutAccess(Object attributes) {
    Map<String, Object> result = new HashMap<>();
    ((Map<?, ?>) attributes).forEach((key, value) -> result.put((String) key, value));
    result.remove("lastAccessTime");
    return result;
  }

  private static String text(Path file) throws IOException {
    return new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
  }

  private static List<String> names(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().collect(Collectors.toList());
    }
  }
}
