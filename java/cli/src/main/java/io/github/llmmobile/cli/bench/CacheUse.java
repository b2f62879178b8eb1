package io.github.llmmobile.cli.bench;

import com.google.gson.JsonObject;

/**
 * The cache of keys and values at the end of a measurement.
 *
 * @param bytes what it takes
 * @param pages its pages by format, for people; empty without pages
 * @param counters the same and more, for output in JSON
 */
public record CacheUse(long bytes, String pages, JsonObject counters) {}
