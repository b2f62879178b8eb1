/**
 * The work behind {@code llm-mobile compress}: low-rank factors that correct what quantising takes from a model, or that
 * stand in for its matrices.
 */
@NullMarked
package io.github.llmmobile.cli.compress;

import org.jspecify.annotations.NullMarked;
