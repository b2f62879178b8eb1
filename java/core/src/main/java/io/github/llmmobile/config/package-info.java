/**
 * The configuration of one inference as JSON: {@link io.github.llmmobile.config.InferenceConfig} and its sections.
 * All classes are immutable values.
 */
@NullMarked
package io.github.llmmobile.config;

import org.jspecify.annotations.NullMarked;
