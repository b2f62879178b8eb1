/**
 * Runs GGUF language models on the device at hand.
 *
 * <p>{@link io.github.llmmobile.LlmModel} holds the weights, {@link io.github.llmmobile.LlmSession} one conversation.
 * Both, and {@link io.github.llmmobile.LoraAdapter}, own native memory and must be closed; they may be closed in any
 * order and from any thread. All other classes are immutable values unless they say otherwise.
 *
 * <p>Failures are {@link io.github.llmmobile.LlmException}s with a stable {@link io.github.llmmobile.ErrorCode}. Use
 * after close is an {@link java.lang.IllegalStateException}, a null argument a {@link java.lang.NullPointerException}.
 *
 * <p>Messages of the native library go to the SLF4J logger {@code io.github.llmmobile.native}: its errors and warnings
 * under their own level, its information as DEBUG and its debugging output as TRACE, because llama.cpp is talkative.
 * What that logger does not let through is not produced at all; the level is read once, at the first use of the
 * library.
 */
@NullMarked
package io.github.llmmobile;

import org.jspecify.annotations.NullMarked;
