/** Formats and keys of the wire. Not part of the API. */
@NullMarked
package io.github.llmmobile.edge.wire;

import org.jspecify.annotations.NullMarked;
