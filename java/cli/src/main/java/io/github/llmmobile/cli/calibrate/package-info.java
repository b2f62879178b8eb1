/**
 * The work behind {@code llm-mobile calibrate}: what leaving out parts of a model's layers costs, and what stands in for
 * them. Parts and places are numbered as in {@link io.github.llmmobile.LayerGates} and {@link
 * io.github.llmmobile.TapRequest}.
 */
@NullMarked
package io.github.llmmobile.cli.calibrate;

import org.jspecify.annotations.NullMarked;
