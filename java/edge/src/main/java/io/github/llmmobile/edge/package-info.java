/**
 * Layers of a model on another machine: a device evaluates the first ones, a worker the rest. {@link
 * io.github.llmmobile.edge.SplitSession} is the device's side; docs/edge-cloud.md explains protocol and threats.
 *
 * <p>Nullness follows JSpecify: what is not marked otherwise is never null.
 */
@NullMarked
package io.github.llmmobile.edge;

import org.jspecify.annotations.NullMarked;
