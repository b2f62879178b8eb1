package io.github.llmmobile.cli;

import io.github.llmmobile.cli.console.CliEnvironment;
import java.util.Arrays;

/** The process {@code llm-mobile}. */
public final class Main {
  private Main() {}

  /**
   * Runs one command and ends the process with one of {@link ExitCode}.
   *
   * @param args command, options, arguments (required)
   */
  public static void main(String[] args) {
    CliEnvironment env = CliEnvironment.system();
    // Log lines and stack traces of libraries go the same way as ours: UTF-8, whatever the locale.
    System.setErr(env.err());
    if (Arrays.asList(args).contains("--verbose")) {
      // Read when the first logger is made; they win over simplelogger.properties.
      System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "info");
      System.setProperty("org.slf4j.simpleLogger.log.io.github.llmmobile.native", "info");
    }
    int code = new LlmMobileCli(env).run(NativeArguments.recover(args));
    env.interrupts().finished();
    System.exit(code);
  }
}
