package io.github.llmmobile.cli;

import io.github.llmmobile.ErrorCode;
import java.util.LinkedHashMap;
import java.util.Map;

/** What the process tells its caller in one number. The numbers are stable: scripts test for them. */
public enum ExitCode {
  /** Everything went well. */
  OK(0, "everything went well"),
  /** Something failed at run time: input or output, memory, an adapter, a session file, a bug. */
  RUNTIME(1, "something failed while running"),
  /** An option or argument is wrong. */
  USAGE(2, "an option or argument is wrong"),
  /** The model file is missing, broken, or of a kind that this build cannot run. */
  MODEL(3, "the model is missing, broken or not supported"),
  /** The configuration file is wrong. */
  CONFIG(4, "the configuration file is wrong"),
  /** The prompt does not fit the context, or the answer was cut off because the context is full. */
  CONTEXT(5, "the context is full"),
  /** Something that was asked for strictly is not available in this version or for this model. */
  NOT_AVAILABLE(6, "a required technique or function is not available"),
  /** The native library is missing or does not fit. */
  NATIVE_LIBRARY(7, "the native library cannot be loaded"),
  /** The user pressed Ctrl-C. */
  INTERRUPTED(130, "interrupted with Ctrl-C"),
  /** The reader of standard output went away, as in a pipe to head. */
  BROKEN_PIPE(141, "the reader of the output went away");

  private final int number;
  private final String meaning;

  ExitCode(int number, String meaning) {
    this.number = number;
    this.meaning = meaning;
  }

  /** {@return the number that the process ends with} */
  public int number() {
    return number;
  }

  /** {@return what the number means, in a few words} */
  public String meaning() {
    return meaning;
  }

  /**
   * The exit code for a failure of the library.
   *
   * @param code the failure (required)
   * @return its exit code (never null)
   */
  public static ExitCode of(ErrorCode code) {
    switch (code) {
      case MODEL_NOT_FOUND:
      case MODEL_INVALID:
      case MODEL_UNSUPPORTED:
        return MODEL;
      case INVALID_ARGUMENT:
      case RANGE:
      case GRAMMAR:
      case ENCODING:
        return USAGE;
      case CONFIG:
        return CONFIG;
      case CONTEXT_FULL:
        return CONTEXT;
      case NOT_AVAILABLE:
        return NOT_AVAILABLE;
      case NATIVE_LIBRARY:
      case NO_BACKEND:
        return NATIVE_LIBRARY;
      case CANCELLED:
        return INTERRUPTED;
      default:
        return RUNTIME;
    }
  }

  /** The list that every help text ends with: number to meaning, in ascending order. */
  static Map<String, String> helpList() {
    Map<String, String> list = new LinkedHashMap<>();
    for (ExitCode code : values()) {
      list.put(Integer.toString(code.number), code.meaning);
    }
    return list;
  }
}
