/**
 * The worker: the last layers of a model for many devices.
 *
 * <p>Nullness follows JSpecify: what is not marked otherwise is never null.
 */
@NullMarked
package io.github.llmmobile.edge.worker;

import org.jspecify.annotations.NullMarked;
