/** What a command touches outside of itself: streams, variables, signals; and how text is laid out on a terminal. */
@NullMarked
package io.github.llmmobile.cli.console;

import org.jspecify.annotations.NullMarked;
