package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.llmmobile.LlmModel;
import io.github.llmmobile.SessionOptions;
import java.lang.reflect.InvocationTargetException;
import java.nio.file.Path;

/** The shared models of the core module's tests, whose classes are on the class path at run time only. */
public final class CoreModels {
  private CoreModels() {}

  /** The tiny model. */
  public static LlmModel tiny() {
    return (LlmModel) call("tiny");
  }

  /** Sessions of it. */
  public static SessionOptions tinySession() {
    return (SessionOptions) call("tinySession");
  }

  /** The project's default model. Skips the test if it is not there. */
  public static LlmModel smol() {
    return (LlmModel) call("smol");
  }

  public static Path smolPath() {
    return (Path) call("smolPath");
  }

  /** Another family of models. Skips the test if it is not there. */
  public static Path gemmaPath() {
    return (Path) call("gemmaPath");
  }

  private static Object call(String method) {
    try {
      return Class.forName("io.github.llmmobile.testing.Models").getMethod(method).invoke(null);
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof RuntimeException) {
        throw (RuntimeException) e.getCause();
      }
      throw new IllegalStateException(e.getCause());
    } catch (ReflectiveOperationException e) {
      assumeTrue(false, "the tests of java/core are not compiled: " + e);
      throw new IllegalStateException(e);
    }
  }
}
