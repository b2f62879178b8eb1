package io.github.llmmobile.internal.loader;

import java.io.IOException;
import java.io.InputStream;
import java.util.Properties;

/** What the build wrote down about itself. Immutable. */
final class BuildProperties {

  private static final String RESOURCE = "META-INF/llmm/build.properties";

  private final String version;
  private final int abi;

  private BuildProperties(String version, int abi) {
    this.version = version;
    this.abi = abi;
  }

  /**
   * Reads the properties that lie beside these classes.
   *
   * @throws UnsatisfiedLinkError if they are missing or damaged, as in a badly repacked jar
   */
  static BuildProperties load(ClassLoader loader) {
    Properties properties = new Properties();
    try (InputStream in = loader.getResourceAsStream(RESOURCE)) {
      if (in == null) {
        throw new UnsatisfiedLinkError("LLM Mobile: " + RESOURCE + " is missing; the jar llmm-presets is incomplete");
      }
      properties.load(in);
      return new BuildProperties(
          required(properties, "version"), Integer.parseInt(required(properties, "abi")));
    } catch (IOException | NumberFormatException e) {
      throw LoadFailure.error("LLM Mobile: " + RESOURCE + " cannot be read: " + e, e);
    }
  }

  private static String required(Properties properties, String key) throws IOException {
    String value = properties.getProperty(key, "").trim();
    // A build that did not filter the file leaves the placeholder.
    if (value.isEmpty() || value.startsWith("${")) {
      throw new IOException("no value for " + key);
    }
    return value;
  }

  /** Version of these jars, such as {@code 0.1.0}. */
  String version() {
    return version;
  }

  /** The interface that the bindings were generated from; the library must have the same. */
  int abi() {
    return abi;
  }
}
