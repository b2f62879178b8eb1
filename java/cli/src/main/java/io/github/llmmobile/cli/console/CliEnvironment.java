package io.github.llmmobile.cli.console;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;

/**
 * Everything a command knows of the outside world. The real process has one ({@link #system()}); tests make their
 * own with a {@link Builder} and run commands in-process.
 *
 * <p>Text on all streams is UTF-8, whatever the locale says.
 */
public final class CliEnvironment {
  private static final int DEFAULT_COLUMNS = 80;

  private final InputStream in;
  private final WatchedOutput watched;
  private final PrintStream out;
  private final PrintStream err;
  private final Map<String, String> variables;
  private final Properties properties;
  private final Interrupts interrupts;
  private final boolean inputTerminal;
  private final boolean outputTerminal;
  private final boolean errorTerminal;

  private CliEnvironment(Builder b) {
    in = b.in;
    watched = new WatchedOutput(b.out);
    out = new PrintStream(watched, false, StandardCharsets.UTF_8);
    err = new PrintStream(b.err, true, StandardCharsets.UTF_8);
    variables = b.variables;
    properties = b.properties;
    interrupts = b.interrupts;
    inputTerminal = b.inputTerminal;
    outputTerminal = b.outputTerminal;
    errorTerminal = b.errorTerminal;
  }

  /** {@return the environment of this process} */
  public static CliEnvironment system() {
    return new Builder()
        .in(new FileInputStream(FileDescriptor.in))
        .out(new FileOutputStream(FileDescriptor.out))
        .err(new FileOutputStream(FileDescriptor.err))
        .variables(System.getenv())
        .properties(System.getProperties())
        .interrupts(new ShutdownInterrupts())
        .terminals(TerminalProbe.isTerminal(0), TerminalProbe.isTerminal(1), TerminalProbe.isTerminal(2))
        .build();
  }

  /** {@return standard input as bytes} */
  public InputStream in() {
    return in;
  }

  /** {@return where results go; buffered, see {@link #flush()}} */
  public PrintStream out() {
    return out;
  }

  /** {@return where progress, warnings and errors go} */
  public PrintStream err() {
    return err;
  }

  /**
   * Writes out what is buffered and looks whether that worked.
   *
   * @throws BrokenPipeException if nobody reads standard output any more
   * @throws java.io.UncheckedIOException if the output cannot be written for another reason
   */
  public void flush() {
    out.flush();
    watched.check();
  }

  /**
   * An environment variable.
   *
   * @param name its name (required)
   * @return its value; an empty one counts as absent
   */
  public Optional<String> variable(String name) {
    return Optional.ofNullable(variables.get(name)).filter(value -> !value.isEmpty());
  }

  /**
   * A system property.
   *
   * @param name its name (required)
   * @return its value; an empty one counts as absent
   */
  public Optional<String> property(String name) {
    return Optional.ofNullable(properties.getProperty(name)).filter(value -> !value.isEmpty());
  }

  /** {@return the user's home folder} */
  public Path home() {
    return Path.of(property("user.home").orElse("."));
  }

  /** {@return where Ctrl-C arrives} */
  public Interrupts interrupts() {
    return interrupts;
  }

  /** {@return whether a person types and reads along: both input and output are a terminal} */
  public boolean interactive() {
    return inputTerminal && outputTerminal;
  }

  /** {@return colours for standard output: none unless it is a terminal that wants them} */
  public Style outStyle() {
    return new Style(outputTerminal && wantsColour());
  }

  /** {@return colours for standard error: none unless it is a terminal that wants them} */
  public Style errStyle() {
    return new Style(errorTerminal && wantsColour());
  }

  /** {@return whether progress may be drawn on standard error} */
  public boolean showsProgress() {
    return errorTerminal && !dumbTerminal();
  }

  /** {@return width of the terminal in characters, as far as the shell tells; 80 otherwise} */
  public int columns() {
    return variable("COLUMNS").filter(text -> text.matches("[1-9][0-9]{0,3}")).map(Integer::valueOf)
        .orElse(DEFAULT_COLUMNS);
  }

  private boolean wantsColour() {
    return variable("NO_COLOR").isEmpty() && !dumbTerminal();
  }

  private boolean dumbTerminal() {
    return variable("TERM").filter("dumb"::equals).isPresent();
  }

  /** Makes an environment. By default it has no input, no variables, no terminals and swallows output. */
  public static final class Builder {
    private InputStream in = InputStream.nullInputStream();
    private OutputStream out = OutputStream.nullOutputStream();
    private OutputStream err = OutputStream.nullOutputStream();
    private Map<String, String> variables = Map.of();
    private Properties properties = new Properties();
    private Interrupts interrupts = new NoInterrupts();
    private boolean inputTerminal;
    private boolean outputTerminal;
    private boolean errorTerminal;

    /** A builder with the defaults. */
    public Builder() {}

    /**
     * Standard input.
     *
     * @param value where bytes come from (required)
     * @return this
     */
    public Builder in(InputStream value) {
      in = value;
      return this;
    }

    /**
     * Standard output.
     *
     * @param value where bytes go (required)
     * @return this
     */
    public Builder out(OutputStream value) {
      out = value;
      return this;
    }

    /**
     * Standard error.
     *
     * @param value where bytes go (required)
     * @return this
     */
    public Builder err(OutputStream value) {
      err = value;
      return this;
    }

    /**
     * Environment variables.
     *
     * @param value names and values (required)
     * @return this
     */
    public Builder variables(Map<String, String> value) {
      variables = Map.copyOf(value);
      return this;
    }

    /**
     * System properties, looked up when they are asked for.
     *
     * @param value names and values (required)
     * @return this
     */
    public Builder properties(Properties value) {
      properties = value;
      return this;
    }

    /**
     * Source of Ctrl-C.
     *
     * @param value where it arrives (required)
     * @return this
     */
    public Builder interrupts(Interrupts value) {
      interrupts = value;
      return this;
    }

    /**
     * Which of the three streams are terminals.
     *
     * @param input standard input
     * @param output standard output
     * @param error standard error
     * @return this
     */
    public Builder terminals(boolean input, boolean output, boolean error) {
      inputTerminal = input;
      outputTerminal = output;
      errorTerminal = error;
      return this;
    }

    /** {@return the environment} */
    public CliEnvironment build() {
      return new CliEnvironment(this);
    }
  }

  private static final class NoInterrupts implements Interrupts {
    @Override
    public Registration onInterrupt(Runnable action) {
      return () -> {};
    }

    @Override
    public void finished() {}
  }
}
