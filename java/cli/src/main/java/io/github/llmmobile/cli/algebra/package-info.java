/** Matrices of doubles, and OpenBLAS, which multiplies and solves them. */
@NullMarked
package io.github.llmmobile.cli.algebra;

import org.jspecify.annotations.NullMarked;
