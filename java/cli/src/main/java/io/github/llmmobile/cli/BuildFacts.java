package io.github.llmmobile.cli;

import io.github.llmmobile.cli.console.CliEnvironment;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.util.Collections;
import java.util.Optional;
import java.util.Properties;

/**
 * Version and commit of this build, from {@code META-INF/llmm/build.properties} of the jars at hand. The launcher,
 * which runs from a source tree, gives the commit in the system property {@code llmm.commit}.
 */
final class BuildFacts {
  private static final String RESOURCE = "META-INF/llmm/build.properties";

  private BuildFacts() {}

  /** The version, or "unknown". */
  static String version() {
    return value("version").orElse("unknown");
  }

  /** The git commit, if it is known. */
  static Optional<String> commit(CliEnvironment env) {
    return env.property("llmm.commit").or(() -> value("commit"));
  }

  /** The first value that a jar has for a key; placeholders that the build did not fill in count as absent. */
  private static Optional<String> value(String key) {
    try {
      for (URL url : Collections.list(BuildFacts.class.getClassLoader().getResources(RESOURCE))) {
        Properties properties = new Properties();
        try (InputStream in = url.openStream()) {
          properties.load(in);
        }
        String value = properties.getProperty(key, "").strip();
        if (!value.isEmpty() && !value.startsWith("${")) {
          return Optional.of(value);
        }
      }
    } catch (IOException e) {
      return Optional.empty();
    }
    return Optional.empty();
  }
}
