/** The measurement behind {@code llm-mobile needle}: a fact hidden in a long text, and whether it is still found. */
@NullMarked
package io.github.llmmobile.cli.needle;

import org.jspecify.annotations.NullMarked;
