/**
 * Everything that touches the generated bindings. Internal: not exported, and no type of it appears in the public API.
 *
 * <p>Rules of this package: text crosses as UTF-8 bytes with a length; each status passes {@link
 * io.github.llmmobile.internal.Status}; each native buffer is freed where it is read; a handle is used only between
 * {@link io.github.llmmobile.internal.NativeHandle#enter()} and {@link
 * io.github.llmmobile.internal.NativeHandle#exit()}; nothing thrown in a callback passes through native code.
 */
@NullMarked
package io.github.llmmobile.internal;

import org.jspecify.annotations.NullMarked;
