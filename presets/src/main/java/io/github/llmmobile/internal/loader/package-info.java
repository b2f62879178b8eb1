/**
 * Finds, unpacks and loads the native library. Internal: {@link
 * io.github.llmmobile.internal.loader.NativeProperties} lists what users can set, the rest may change at any time.
 */
@NullMarked
package io.github.llmmobile.internal.loader;

import org.jspecify.annotations.NullMarked;
