package io.github.llmmobile.cli;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.cli.console.BrokenPipeException;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.Style;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;

/** Turns a failure into one line on standard error, a hint line where there is one, and an exit code. */
final class ErrorRenderer {
  private static final String HINT_TRACE = "run again with --verbose to see where it happened";

  private final CliEnvironment env;
  private final boolean verbose;

  ErrorRenderer(CliEnvironment env, boolean verbose) {
    this.env = env;
    this.verbose = verbose;
  }

  /** Shows a failure and gives the exit code. */
  ExitCode render(Throwable failure) {
    if (failure instanceof BrokenPipeException) {
      return ExitCode.BROKEN_PIPE;
    }
    Failure shown = describe(failure);
    if (shown.exitCode == ExitCode.INTERRUPTED) {
      return shown.exitCode;
    }
    show(shown.message, shown.hint);
    if (verbose) {
      failure.printStackTrace(env.err());
    }
    return shown.exitCode;
  }

  /** The exit code of a failure that has been shown already. */
  ExitCode exitCode(Throwable failure) {
    return describe(failure).exitCode;
  }

  /** Writes an error line and a hint line; an empty hint is left out. */
  void show(String message, String hint) {
    Style style = env.errStyle();
    env.err().println(style.red("error:") + " " + oneLine(message));
    if (!hint.isEmpty()) {
      env.err().println(style.cyan("hint:") + " " + oneLine(hint));
    }
  }

  private record Failure(ExitCode exitCode, String message, String hint) {}

  private static Failure describe(Throwable failure) {
    if (failure instanceof CliException e) {
      return new Failure(e.exitCode(), text(e), e.hint());
    }
    if (failure instanceof LlmException e) {
      return new Failure(ExitCode.of(e.code()), text(e), hint(e.code()));
    }
    if (failure instanceof UncheckedIOException e && e.getCause() != null) {
      String own = text(e);
      return new Failure(ExitCode.RUNTIME, own.contains(e.getCause().toString()) ? describe(e.getCause()).message : own,
          "");
    }
    if (failure instanceof IOException e) {
      return new Failure(ExitCode.RUNTIME, text(e), "");
    }
    if (failure instanceof InvalidPathException e) {
      return new Failure(ExitCode.USAGE, "not a file name here: " + e.getInput(), FileArgument.HINT_LOCALE);
    }
    if (failure instanceof UnsatisfiedLinkError e) {
      return new Failure(ExitCode.NATIVE_LIBRARY, text(e), hint(ErrorCode.NATIVE_LIBRARY));
    }
    if (failure instanceof OutOfMemoryError e) {
      return new Failure(ExitCode.RUNTIME, "out of memory: " + text(e), hint(ErrorCode.OUT_OF_MEMORY));
    }
    return new Failure(ExitCode.RUNTIME, "unexpected " + failure.getClass().getSimpleName() + ": " + text(failure),
        HINT_TRACE);
  }

  private static String hint(ErrorCode code) {
    switch (code) {
      case MODEL_NOT_FOUND:
        return DefaultModel.HINT_FETCH;
      case MODEL_INVALID:
        return "the file is damaged or not a GGUF file; fetch it again, or check it with: llm-mobile inspect";
      case MODEL_UNSUPPORTED:
        return "llm-mobile inspect --model FILE shows the architecture and types of the file";
      case CONTEXT_FULL:
        return "use a larger --context or a shorter prompt; with pages, a larger --max-memory-mb, --spill-directory or"
            + " --eviction-enabled";
      case OUT_OF_MEMORY:
        return "use a smaller --context or a smaller model";
      case GRAMMAR:
        return "a grammar is GBNF text, a JSON schema is a JSON object";
      case TEMPLATE:
        return "use --raw to pass the prompt without the chat template";
      case NOT_AVAILABLE:
        return "leave out --strict (and \"strict\" in the configuration) to run without it";
      case NATIVE_LIBRARY:
        return "-Dllmm.native.path=FOLDER names the folder of the native library";
      case REMOTE_UNAVAILABLE:
        return "is the worker running, and do --tls and --insecure say the same on both sides?";
      case REMOTE_REFUSED:
        return "worker and client need the same model file, keys that belong together, and a split that the worker has";
      case STATE_MISMATCH:
        return "load it with the same model and a context at least as large";
      case ADAPTER_INVALID:
        return "the adapter must be a GGUF file made for this very model";
      case BASIS_INVALID:
        return "llm-mobile calibrate --basis-layers makes a basis for this very model";
      case INTERNAL:
        return HINT_TRACE;
      default:
        return "";
    }
  }

  /** The message of a failure. Those of java.nio are a bare file name; the reason is in the class. */
  private static String text(Throwable failure) {
    if (failure instanceof NoSuchFileException e) {
      return "no such file: " + e.getFile();
    }
    if (failure instanceof AccessDeniedException e) {
      return "permission denied: " + e.getFile();
    }
    if (failure instanceof FileSystemException e && e.getReason() == null) {
      return "cannot use the file: " + e.getFile();
    }
    String message = failure.getMessage();
    return message == null || message.isBlank() ? failure.getClass().getSimpleName() : message;
  }

  private static String oneLine(String text) {
    return text.strip().replaceAll("\\s*\\R\\s*", "; ");
  }
}
