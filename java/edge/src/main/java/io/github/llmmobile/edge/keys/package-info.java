/**
 * Certificates and keys of workers and their clients.
 *
 * <p>Nullness follows JSpecify: what is not marked otherwise is never null.
 */
@NullMarked
package io.github.llmmobile.edge.keys;

import org.jspecify.annotations.NullMarked;
