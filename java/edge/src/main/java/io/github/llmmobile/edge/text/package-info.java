/** Text as it is shown. Not part of the API. */
@NullMarked
package io.github.llmmobile.edge.text;

import org.jspecify.annotations.NullMarked;
