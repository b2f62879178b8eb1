/** The benchmark behind {@code llm-mobile bench}: what is timed, how often, and how it is reported. */
@NullMarked
package io.github.llmmobile.cli.bench;

import org.jspecify.annotations.NullMarked;
