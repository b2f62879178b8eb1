/**
 * The command line {@code llm-mobile}: its commands, their options, exit codes and error lines.
 *
 * <p>Commands see the outside world only through {@link io.github.llmmobile.cli.console.CliEnvironment}, so tests
 * run them in-process. Results go to standard output, everything else to standard error.
 */
@NullMarked
package io.github.llmmobile.cli;

import org.jspecify.annotations.NullMarked;
