/** The page behind {@code llm-mobile run --explain-pruning}: which tokens were read, and when that changed. */
@NullMarked
package io.github.llmmobile.cli.explain;

import org.jspecify.annotations.NullMarked;
