package io.github.llmmobile.edge.remote;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.llmmobile.LlmModel;
import io.github.llmmobile.SessionOptions;
import java.lang.reflect.InvocationTargetException;
import java.nio.file.Path;

/** The models of the core module's tests, whose classes are on the class path at run time only. */
final class Models {
  private Models() {}

  static LlmModel tiny() {
    return (LlmModel) call("tiny");
  }

  static SessionOptions tinySession() {
    return (SessionOptions) call("tinySession");
  }

  /** The project's default model. Skips the test if it is not there. */
  static LlmModel smol() {
    return (LlmModel) call("smol");
  }

  static Path smolPath() {
    return (Path) call("smolPath");
  }

  /** Another family of models. Skips the test if it is not there. */
  static Path gemmaPath() {
    return (Path) call("gemmaPath");
  }

  private static Object call(String method) {
    Class<?> models;
    try {
      models = Class.forName("io.github.llmmobile.testing.Models");
    } catch (ClassNotFoundException e) {
      assumeTrue(false, "the tests of java/core are not compiled: " + e);
      throw new IllegalStateException(e);
    }
    try {
      return models.getMethod(method).invoke(null);
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof RuntimeException) {
        throw (RuntimeException) e.getCause();
      }
      throw new IllegalStateException(e.getCause());
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }
}
