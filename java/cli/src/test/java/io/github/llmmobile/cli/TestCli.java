package io.github.llmmobile.cli;

import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.Interrupts;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;

/** Runs the command line in this process, in a world of its own. */
final class TestCli {
  private final Map<String, String> variables = new HashMap<>();
  private final Properties properties = new Properties();
  private final CliEnvironment.Builder environment = new CliEnvironment.Builder();
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  TestCli() {
    environment.out(out).err(err);
  }

  /** With the variables of this process, for tests that use the real cache. */
  static TestCli real() {
    TestCli cli = new TestCli().property("user.home", System.getProperty("user.home"));
    cli.variables.putAll(System.getenv());
    return cli;
  }

  TestCli variable(String name, String value) {
    variables.put(name, value);
    return this;
  }

  TestCli property(String name, String value) {
    properties.setProperty(name, value);
    return this;
  }

  TestCli cache(Path folder) {
    return variable("LLMM_CACHE_DIR", folder.toString());
  }

  TestCli input(String text) {
    environment.in(new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)));
    return this;
  }

  TestCli output(OutputStream stream) {
    environment.out(stream);
    return this;
  }

  TestCli errors(OutputStream stream) {
    environment.err(stream);
    return this;
  }

  TestCli interrupts(Interrupts interrupts) {
    environment.interrupts(interrupts);
    return this;
  }

  TestCli terminals() {
    environment.terminals(true, true, true);
    return this;
  }

  CliEnvironment environment() {
    return environment.variables(variables).properties(properties).build();
  }

  Outcome run(String... args) {
    int code = new LlmMobileCli(environment()).run(args);
    return new Outcome(code, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
  }

  /** What a run left behind. */
  record Outcome(int code, String out, String err) {}
}
