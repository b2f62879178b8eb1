package io.github.llmmobile.internal.loader;

import java.io.IOException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Where LLM Mobile keeps what can be made again: unpacked natives, models, what it found out about them. */
public final class CacheFolder {

  private CacheFolder() {}

  /**
   * The cache folder of this process, which need not exist yet. {@link NativeProperties#CACHE_DIR} says where.
   *
   * @return the folder; empty if nothing is set and the user has no home folder, as on Android
   * @throws java.nio.file.InvalidPathException if what is set is no path
   */
  public static Optional<Path> find() {
    return find(System::getProperty, System::getenv);
  }

  /**
   * The cache folder that properties and environment ask for.
   *
   * @param property gives the value of a system property, or null
   * @param variable gives the value of an environment variable, or null
   */
  static Optional<Path> find(Function<String, @Nullable String> property, Function<String, @Nullable String> variable) {
    String folder = property.apply(NativeProperties.CACHE_DIR);
    if (isSet(folder)) {
      return Optional.of(Paths.get(folder));
    }
    folder = variable.apply(NativeProperties.CACHE_DIR_VARIABLE);
    if (isSet(folder)) {
      return Optional.of(Paths.get(folder));
    }
    folder = variable.apply(NativeProperties.XDG_CACHE_VARIABLE);
    if (isSet(folder)) {
      return Optional.of(Paths.get(folder, "llm-mobile"));
    }
    if (Platform.of(property).isAndroid()) {               // the home folder it names belongs to nobody
      return Optional.empty();
    }
    String home = property.apply("user.home");
    if (!isSet(home) || home.equals("?")) {                // what the JVM says of a user without an account
      home = variable.apply("HOME");
    }
    return isSet(home) ? Optional.of(Paths.get(home, ".cache", "llm-mobile")) : Optional.empty();
  }

  /**
   * Gives a finished file its name, in place of a file that has it: whoever reads sees the one or the other, where the
   * file system can do that.
   *
   * @param finished the file, complete (required)
   * @param target its name (required)
   * @throws IOException if it cannot be moved; the target is what it was
   */
  public static void put(Path finished, Path target) throws IOException {
    try {
      Files.move(finished, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (AtomicMoveNotSupportedException e) {
      Files.move(finished, target, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  private static boolean isSet(@Nullable String value) {
    return value != null && !value.isEmpty();
  }
}
