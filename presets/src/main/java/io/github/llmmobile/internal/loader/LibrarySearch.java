package io.github.llmmobile.internal.loader;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Looks for the library and links it. The places, in this order:
 *
 * <ol>
 *   <li>the folder of {@link NativeProperties#PATH}; if that is set, nothing else;
 *   <li>on Android, the libraries of the app, by name;
 *   <li>the folders of {@link NativeProperties#LIBRARY_PATH};
 *   <li>the natives on the class path, unpacked into the cache.
 * </ol>
 *
 * <p>The first library that links wins. One on the library path that the linker refuses is logged at WARN, and the
 * search goes on.
 */
final class LibrarySearch {

  private static final Logger LOG = LoggerFactory.getLogger(LibrarySearch.class);

  // Where ggml comes as libraries of its own, Windows does not look for them beside the one that needs them. Linking
  // them first, dependencies before dependents, does no harm elsewhere.
  private static final String[] LINKED_FIRST = {"ggml-base", "ggml"};

  private final Function<String, @Nullable String> property;
  private final Function<String, @Nullable String> variable;
  private final ClassLoader resources;
  private final Linker linker;
  private final Platform platform;
  private final LoadFailure failure = new LoadFailure();

  /**
   * Prepares one search.
   *
   * @param property gives the value of a system property, or null
   * @param variable gives the value of an environment variable, or null
   * @param resources where build properties and bundled natives are looked up
   */
  LibrarySearch(
      Function<String, @Nullable String> property,
      Function<String, @Nullable String> variable,
      ClassLoader resources,
      Linker linker) {
    this.property = property;
    this.variable = variable;
    this.resources = resources;
    this.linker = linker;
    this.platform = Platform.of(property);
  }

  /**
   * Links the library.
   *
   * @return the folder it was linked from; empty on Android, where the system knows
   * @throws UnsatisfiedLinkError if no place has a library that links; the message lists them all
   */
  Optional<Path> link(String library) {
    String version = BuildProperties.load(resources).version();
    Optional<Path> folder;
    String explicit = property.apply(NativeProperties.PATH);
    if (explicit != null && !explicit.isEmpty()) {
      folder = linkExplicit(library, explicit);
    } else if (platform.isAndroid() && linkByName(library)) {
      return Optional.empty();
    } else {
      folder = linkFromLibraryPath(library);
      if (!folder.isPresent()) {
        folder = linkBundled(library, version);
      }
    }
    if (!folder.isPresent()) {
      LibC libC = platform.isLinux() ? LibC.ofThisProcess() : LibC.UNKNOWN;
      throw failure.toError(platform, libC, String.valueOf(property.apply("java.version")), version, library);
    }
    return folder;
  }

  private Optional<Path> linkExplicit(String library, String explicit) {
    String place = "-D" + NativeProperties.PATH + "=" + explicit;
    Path folder;
    try {
      folder = Paths.get(explicit).toAbsolutePath();
    } catch (InvalidPathException e) {
      failure.refused(place, e);
      return Optional.empty();
    }
    Path layout = folder.resolve(platform.resourceFolder());
    if (holds(folder, library)) {
      return linkFrom(folder, library, place);
    }
    if (holds(layout, library)) {
      return linkFrom(layout, library, place + " (" + platform.resourceFolder() + ")");
    }
    failure.absent(
        place,
        Files.isDirectory(folder)
            ? "no " + platform.fileName(library) + " there, and none in its " + platform.resourceFolder()
            : Files.exists(folder) ? "is not a folder" : "does not exist");
    return Optional.empty();
  }

  private boolean linkByName(String library) {
    try {
      linker.linkByName(library);
      return true;
    } catch (UnsatisfiedLinkError e) {
      failure.refused("the libraries of the app", e);
      return false;
    }
  }

  private Optional<Path> linkFromLibraryPath(String library) {
    String value = property.apply(NativeProperties.LIBRARY_PATH);
    String folders = value == null ? "" : value;
    boolean found = false;
    for (String entry : folders.split(File.pathSeparator)) {
      Path folder = entry.isEmpty() ? null : pathOrNull(entry);
      if (folder != null && holds(folder, library)) {
        found = true;
        String place = NativeProperties.LIBRARY_PATH + " " + folder;
        Optional<Path> linked = linkFrom(folder, library, place);
        if (linked.isPresent()) {
          return linked;
        }
        LOG.warn("{} of {} does not load and is passed over", platform.fileName(library), place);
      }
    }
    if (!found) {
      failure.absent(NativeProperties.LIBRARY_PATH, "no " + platform.fileName(library) + " in " + folders);
    }
    return Optional.empty();
  }

  /** The library path is the user's own business: an entry that is no path cannot hold the library. */
  private static @Nullable Path pathOrNull(String text) {
    try {
      return Paths.get(text).toAbsolutePath();
    } catch (InvalidPathException e) {
      return null;
    }
  }

  private Optional<Path> linkBundled(String library, String version) {
    String place = "the class path, " + platform.resourceFolder();
    Path folder;
    try (InputStream in = resource(NativeIndex.FILE)) {
      if (in == null) {
        failure.absent(place, "no natives for this platform");
        return Optional.empty();
      }
      NativeIndex index = NativeIndex.read(in);
      NativeCache cache = NativeCache.of(property, variable);
      place += ", unpacked to " + cache.folder(version, index);
      folder = cache.unpack(version, index, this::resource);
    } catch (IOException | InvalidPathException e) {
      failure.refused(place, e);
      return Optional.empty();
    }
    if (!holds(folder, library)) {
      failure.absent(place, NativeIndex.FILE + " does not list " + platform.fileName(library));
      return Optional.empty();
    }
    return linkFrom(folder, library, place);
  }

  private @Nullable InputStream resource(String file) {
    return resources.getResourceAsStream(platform.resourceFolder() + "/" + file);
  }

  private boolean holds(Path folder, String library) {
    return Files.isRegularFile(folder.resolve(platform.fileName(library)));
  }

  private Optional<Path> linkFrom(Path folder, String library, String place) {
    try {
      for (String dependency : LINKED_FIRST) {
        if (holds(folder, dependency)) {
          linker.link(folder.resolve(platform.fileName(dependency)));
        }
      }
      linker.link(folder.resolve(platform.fileName(library)));
      return Optional.of(folder);
    } catch (UnsatisfiedLinkError e) {
      failure.refused(place, e);
      return Optional.empty();
    }
  }
}
