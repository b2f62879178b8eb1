/**
 * What other modules of LLM Mobile add to this one. Applications have no use for it.
 *
 * <p>Nullness follows JSpecify: what is not marked otherwise is never null.
 */
@NullMarked
package io.github.llmmobile.spi;

import org.jspecify.annotations.NullMarked;
