package io.github.llmmobile.internal.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LibrarySearchTest {

  private static final String FILE = "libjnillmm.so";
  private static final String NATIVES = "META-INF/llmm/natives/linux-x86_64";

  private final Map<String, String> properties = new HashMap<>();
  private final RecordingLinker linker = new RecordingLinker();
  private Path classPath;

  @TempDir Path temp;

  @BeforeEach
  void describeAMachine() throws IOException {
    properties.put("os.name", "Linux");
    properties.put("os.arch", "amd64");
    properties.put("java.version", "17.0.1");
    properties.put(NativeProperties.LIBRARY_PATH, temp.resolve("sys").toString());
    properties.put(NativeProperties.CACHE_DIR, temp.resolve("cache").toString());
    classPath = temp.resolve("classes");
    write(classPath.resolve("META-INF/llmm/build.properties"), "version=9.8.7\nabi=3\n");
  }

  @Test
  void explicitFolderMayHoldTheLibraries() throws IOException {
    Path folder = library(temp.resolve("mine"));
    properties.put(NativeProperties.PATH, folder.toString());
    assertEquals(Optional.of(folder), search());
    assertEquals(List.of(folder.resolve(FILE)), linker.linked);
  }

  @Test
  void explicitFolderMayHaveTheLayoutOfTheJar() throws IOException {
    Path folder = library(temp.resolve("mine").resolve(NATIVES));
    properties.put(NativeProperties.PATH, temp.resolve("mine").toString());
    assertEquals(Optional.of(folder), search());
  }

  @Test
  void nothingElseIsTriedBesideTheExplicitFolder() throws IOException {
    library(temp.resolve("sys"));
    bundle("code");
    properties.put(NativeProperties.PATH, Files.createDirectory(temp.resolve("empty")).toString());
    UnsatisfiedLinkError e = assertThrows(UnsatisfiedLinkError.class, this::search);
    assertEquals(List.of(), linker.linked);
    String place = "-Dllmm.native.path=" + temp.resolve("empty");
    assertContains(e, place + ": no " + FILE + " there, and none in its " + NATIVES);
    assertFalse(e.getMessage().contains("tried java.library.path"), e.getMessage());
    assertFalse(e.getMessage().contains("tried the class path"), e.getMessage());
  }

  @Test
  void explicitPlaceThatIsNoFolderIsSaidSo() throws IOException {
    Path file = library(temp.resolve("mine")).resolve(FILE);
    properties.put(NativeProperties.PATH, file.toString());
    assertContains(assertThrows(UnsatisfiedLinkError.class, this::search), file + ": is not a folder");
    properties.put(NativeProperties.PATH, temp.resolve("nowhere").toString());
    assertContains(assertThrows(UnsatisfiedLinkError.class, this::search), "nowhere: does not exist");
  }

  @Test
  void libraryPathComesBeforeTheClassPath() throws IOException {
    bundle("code");
    Path folder = library(temp.resolve("sys"));
    properties.put(NativeProperties.LIBRARY_PATH, temp.resolve("none") + File.pathSeparator + folder);
    assertEquals(Optional.of(folder), search());
    assertFalse(Files.exists(temp.resolve("cache")), "unpacked for nothing");
  }

  @Test
  void bundledLibraryIsUnpackedAndLinked() throws IOException {
    bundle("code");
    Path folder = search().get();
    assertEquals(temp.resolve("cache/natives"), folder.getParent());
    assertTrue(folder.getFileName().toString().startsWith("9.8.7-"), folder.toString());
    assertEquals(List.of(folder.resolve(FILE)), linker.linked);
  }

  @Test
  void libraryThatTheLinkerRefusesIsPassedOver() throws IOException {
    Path broken = library(temp.resolve("sys"));
    linker.refusals.put(broken.resolve(FILE), "invalid ELF header");
    bundle("code");
    assertTrue(search().get().startsWith(temp.resolve("cache")));
  }

  @Test
  void errorListsEveryPlaceWithItsReason() throws IOException {
    Path broken = library(temp.resolve("sys"));
    linker.refusals.put(broken.resolve(FILE), "invalid ELF header");
    UnsatisfiedLinkError e = assertThrows(UnsatisfiedLinkError.class, this::search);
    assertContains(e, "cannot load its native library " + FILE);
    assertContains(e, "Linux amd64, platform linux-x86_64");
    assertContains(e, "Java 17.0.1");
    assertContains(e, "tried java.library.path " + broken + ": invalid ELF header");
    assertContains(e, "tried the class path, " + NATIVES + ": no natives for this platform");
    assertContains(e, "llmm-presets-9.8.7-linux-x86_64.jar");
    assertContains(e, "-Dllmm.native.path=<folder that holds " + FILE + ">");
    assertEquals("invalid ELF header", e.getCause().getMessage());
    assertFalse(e.getMessage().contains("noexec"), e.getMessage());
  }

  @Test
  void errorNamesTheLibraryPathThatWasSearchedInVain() {
    assertContains(
        assertThrows(UnsatisfiedLinkError.class, this::search),
        "tried java.library.path: no " + FILE + " in " + temp.resolve("sys"));
  }

  @Test
  void refusalToMapTheFileHintsAtNoexec() throws IOException {
    bundle("code");
    linker.refuseAll = "libjnillmm.so: failed to map segment from shared object";
    UnsatisfiedLinkError e = assertThrows(UnsatisfiedLinkError.class, this::search);
    assertContains(e, "unpacked to " + temp.resolve("cache/natives"));
    assertContains(e, "noexec; name another one with -Dllmm.cachedir");
  }

  @Test
  void damagedBundleIsRefused() throws IOException {
    bundle("code");
    write(classPath.resolve(NATIVES).resolve(FILE), "evil");
    UnsatisfiedLinkError e = assertThrows(UnsatisfiedLinkError.class, this::search);
    assertContains(e, FILE + " is damaged");
    assertEquals(List.of(), linker.linked);
  }

  @Test
  void cacheThatCannotBeWrittenIsSaidSo() throws IOException {
    bundle("code");
    write(temp.resolve("file"), "in the way");
    properties.put(NativeProperties.CACHE_DIR, temp.resolve("file").toString());
    UnsatisfiedLinkError e = assertThrows(UnsatisfiedLinkError.class, this::search);
    assertContains(e, "tried the class path");
    assertContains(e, temp.resolve("file").toString());
    assertTrue(e.getCause() instanceof IOException);
  }

  @Test
  void bundleWithoutTheLibraryIsSaidSo() throws IOException {
    write(classPath.resolve(NATIVES).resolve("libggml.so"), "more");
    index("libggml.so");
    assertContains(assertThrows(UnsatisfiedLinkError.class, this::search), "does not list " + FILE);
  }

  @Test
  void librariesOfGgmlAreLinkedFirst() throws IOException {
    Path folder = library(temp.resolve("mine"));
    write(folder.resolve("libggml.so"), "");
    write(folder.resolve("libggml-base.so"), "");
    write(folder.resolve("libggml-cpu-haswell.so"), "");          // a plug-in: ggml's business
    properties.put(NativeProperties.PATH, folder.toString());
    search();
    assertEquals(
        List.of(folder.resolve("libggml-base.so"), folder.resolve("libggml.so"), folder.resolve(FILE)), linker.linked);
  }

  @Test
  void androidLinksByName() throws IOException {
    properties.put("java.vm.name", "Dalvik");
    assertEquals(Optional.empty(), search());
    assertEquals(List.of("jnillmm"), linker.linkedByName);
  }

  @Test
  void androidSaysWhyTheAppsLibraryFailed() {
    properties.put("java.vm.name", "Dalvik");
    linker.refuseAll = "dlopen failed: library \"libjnillmm.so\" not found";
    UnsatisfiedLinkError e = assertThrows(UnsatisfiedLinkError.class, this::search);
    assertContains(e, "tried the libraries of the app: dlopen failed");
    assertContains(e, "platform android-x86_64");
  }

  @Test
  void muslGetsAHintThatGlibcDoesNot() {
    Platform platform = Platform.of(properties::get);
    String musl = new LoadFailure().toError(platform, LibC.MUSL, "17", "1", "x").getMessage();
    assertTrue(musl.contains("C library musl") && musl.contains("need glibc"), musl);
    String glibc = new LoadFailure().toError(platform, LibC.GLIBC, "17", "1", "x").getMessage();
    assertTrue(glibc.contains("C library glibc") && !glibc.contains("need glibc"), glibc);
  }

  @Test
  void textFileIsRefusedWithTheLinkersReason() throws IOException {
    Path folder = library(temp.resolve("mine"));
    properties.put(NativeProperties.PATH, folder.toString());
    UnsatisfiedLinkError e = assertThrows(UnsatisfiedLinkError.class, () -> search(Linker.JVM));
    assertContains(e, "tried -Dllmm.native.path=" + folder + ": ");
    assertTrue(e.getCause() instanceof UnsatisfiedLinkError);
    assertContains(e, e.getCause().getMessage());
  }

  @Test
  void libraryOfAnotherMachineIsRefusedWithTheLinkersReason() throws IOException {
    Path folder = Files.createDirectories(temp.resolve("mine"));
    byte[] elf = new byte[4096];
    byte[] header = {0x7f, 'E', 'L', 'F', 2, 1, 1, 0};        // 64 bits, little endian
    System.arraycopy(header, 0, elf, 0, header.length);
    elf[16] = 3;                                              // a shared object
    elf[18] = 21;                                             // for 64-bit PowerPC
    elf[20] = 1;
    elf[52] = 64;                                             // size of this header
    Files.write(folder.resolve(FILE), elf);
    properties.put(NativeProperties.PATH, folder.toString());
    UnsatisfiedLinkError e = assertThrows(UnsatisfiedLinkError.class, () -> search(Linker.JVM));
    assertContains(e, "tried -Dllmm.native.path=" + folder + ": " + folder.resolve(FILE));
    assertContains(e, e.getCause().getMessage());
  }

  @Test
  void repeatedFailureKeepsTextAndCause() {
    UnsatisfiedLinkError first = new UnsatisfiedLinkError("why");
    UnsatisfiedLinkError second = NativeLibrary.repeat(first);
    assertEquals("why", second.getMessage());
    assertSame(first, second.getCause());
  }

  private Optional<Path> search() throws IOException {
    return search(linker);
  }

  private Optional<Path> search(Linker with) throws IOException {
    try (URLClassLoader resources = new URLClassLoader(new URL[] {classPath.toUri().toURL()}, null)) {
      return new LibrarySearch(properties::get, key -> null, resources, with).link("jnillmm");
    }
  }

  private static Path library(Path folder) throws IOException {
    write(folder.resolve(FILE), "this is not a library");
    return folder;
  }

  private void bundle(String content) throws IOException {
    write(classPath.resolve(NATIVES).resolve(FILE), content);
    index(FILE);
  }

  private void index(String file) throws IOException {
    Path folder = classPath.resolve(NATIVES);
    write(folder.resolve(NativeIndex.FILE), Sha256.of(folder.resolve(file)) + "  " + file + "\n");
  }

  private static void write(Path file, String content) throws IOException {
    Files.createDirectories(file.getParent());
    Files.write(file, content.getBytes(StandardCharsets.UTF_8));
  }

  private static void assertContains(Throwable e, String part) {
    assertTrue(e.getMessage().contains(part), () -> "no \"" + part + "\" in: " + e.getMessage());
  }

  private static final class RecordingLinker implements Linker {
    final List<Path> linked = new ArrayList<>();
    final List<String> linkedByName = new ArrayList<>();
    final Map<Path, String> refusals = new HashMap<>();
    String refuseAll;

    @Override
    public void link(Path file) {
      String reason = refuseAll != null ? refuseAll : refusals.get(file);
      if (reason != null) {
        throw new UnsatisfiedLinkError(reason);
      }
      assertTrue(file.isAbsolute(), "the JVM wants an absolute path: " + file);
      linked.add(file);
    }

    @Override
    public void linkByName(String library) {
      if (refuseAll != null) {
        throw new UnsatisfiedLinkError(refuseAll);
      }
      linkedByName.add(library);
    }
  }
}
