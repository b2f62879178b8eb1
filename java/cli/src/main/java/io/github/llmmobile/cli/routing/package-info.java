/** The measurement behind {@code llm-mobile routing}, and what {@code run} remembers of a model. */
@NullMarked
package io.github.llmmobile.cli.routing;

import org.jspecify.annotations.NullMarked;
