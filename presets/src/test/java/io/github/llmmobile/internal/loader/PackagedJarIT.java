package io.github.llmmobile.internal.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.internal.jni.Llmm;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Loads what users load: the finished jars, in a fresh JVM, with nothing else to find the library by. */
class PackagedJarIT {

  private final Path jar = Paths.get(System.getProperty("llmm.test.jar"));
  private final Path natives = Paths.get(System.getProperty("llmm.test.natives"));
  private final Platform platform = Platform.of(System::getProperty);

  @TempDir Path cache;

  @Test
  void jarOfNativesHoldsWhatItsIndexSaysAndNothingElse() throws IOException {
    String folder = platform.resourceFolder() + "/";
    try (JarFile file = new JarFile(natives.toFile())) {
      NativeIndex index = NativeIndex.read(file.getInputStream(entry(file, folder + NativeIndex.FILE)));
      assertTrue(index.sha256ByFile().containsKey(platform.fileName(NativeLibrary.NAME)));
      Set<String> expected = new TreeSet<>();
      expected.add(NativeIndex.FILE);
      for (Map.Entry<String, String> library : index.sha256ByFile().entrySet()) {
        JarEntry entry = entry(file, folder + library.getKey());
        assertEquals(library.getValue(), Sha256.copy(file.getInputStream(entry), new ByteArrayOutputStream()));
        expected.add(library.getKey());
      }
      assertEquals(expected, names(file, folder).map(n -> n.substring(folder.length())).collect(Collectors.toSet()));
      assertEquals(Set.of(), names(file, "").filter(n -> !n.startsWith("META-INF/")).collect(Collectors.toSet()));
    }
  }

  @Test
  void everyJarCarriesTheLicences() throws IOException {
    for (Path path : List.of(jar, natives, sibling("sources"), sibling("javadoc"))) {
      try (JarFile file = new JarFile(path.toFile())) {
        assertNotNull(file.getEntry("META-INF/LICENSE"), path.toString());
        assertTrue(names(file, "META-INF/THIRD-PARTY-NOTICES").findAny().isPresent(), path.toString());
      }
    }
  }

  @Test
  void jarOfBindingsHasNoNativesAndAModule() throws IOException {
    try (JarFile file = new JarFile(jar.toFile())) {
      assertFalse(names(file, "META-INF/llmm/natives/").findAny().isPresent());
      assertNotNull(file.getEntry("module-info.class"));
    }
  }

  @Test
  void classPathLoadsFromTheCacheAndUnpacksOnce() throws Exception {
    String[] command = {"-cp", path(jar, natives, javacpp(), slf4j(), tests()), LoadProbe.class.getName()};
    Path library = loadedLibrary(run(command));
    BasicFileAttributes before = Files.readAttributes(library, BasicFileAttributes.class);
    loadedLibrary(run(command));
    BasicFileAttributes after = Files.readAttributes(library, BasicFileAttributes.class);
    assertEquals(before.lastModifiedTime(), after.lastModifiedTime());
    assertEquals(before.fileKey(), after.fileKey());
  }

  @Test
  void damagedCacheIsRepaired() throws Exception {
    String[] command = {"-cp", path(jar, natives, javacpp(), slf4j(), tests()), LoadProbe.class.getName()};
    Path library = loadedLibrary(run(command));
    String sha256 = Sha256.of(library);
    Files.write(library, new byte[] {1, 2, 3});
    loadedLibrary(run(command));
    assertEquals(sha256, Sha256.of(library));
  }

  @Test
  void modulePathLoadsWithTheNativesAsAModule() throws Exception {
    String module = "io.github.llmmobile.presets";
    String nativesModule = "io.github.llmmobile.natives." + platform.name().replace('-', '.');
    loadedLibrary(
        run(
            "-p",
            path(jar, natives, javacpp(), slf4j()),
            "--add-modules",
            nativesModule,
            "--patch-module",
            module + "=" + tests(),
            "-m",
            module + "/" + LoadProbe.class.getName()));
  }

  private String run(String... arguments) throws IOException, InterruptedException {
    return Jvm.run(
        Stream.concat(
                Stream.of("-D" + NativeProperties.CACHE_DIR + "=" + cache, "-D" + NativeProperties.LIBRARY_PATH + "="),
                Stream.of(arguments))
            .collect(Collectors.toList()));
  }

  private Path loadedLibrary(String out) {
    assertTrue(out.contains("ABI " + Llmm.LLMM_ABI_VERSION), out);
    assertTrue(out.contains("LOADED " + cache.resolve("natives")), out);
    String line = out.lines().filter(l -> l.startsWith("LOADED ")).findFirst().get();
    return Paths.get(line.substring("LOADED ".length())).resolve(platform.fileName(NativeLibrary.NAME));
  }

  private static Path javacpp() {
    return Jvm.origin(org.bytedeco.javacpp.Loader.class);
  }

  private static Path slf4j() {
    return Jvm.origin(org.slf4j.Logger.class);
  }

  private static Path tests() {
    return Jvm.origin(LoadProbe.class);
  }

  private Path sibling(String classifier) {
    String name = jar.getFileName().toString().replaceAll("\\.jar$", "-" + classifier + ".jar");
    return jar.resolveSibling(name);
  }

  private static String path(Path... entries) {
    return Stream.of(entries).map(Path::toString).collect(Collectors.joining(File.pathSeparator));
  }

  private static JarEntry entry(JarFile file, String name) {
    JarEntry entry = file.getJarEntry(name);
    assertNotNull(entry, () -> "no " + name + " in " + file.getName());
    return entry;
  }

  private static Stream<String> names(JarFile file, String prefix) {
    return file.stream().filter(e -> !e.isDirectory()).map(JarEntry::getName).filter(n -> n.startsWith(prefix));
  }
}
