package io.github.llmmobile.cli.explain;

import io.github.llmmobile.PruningEvent;

/**
 * A page that was pruned, recalled or dropped.
 *
 * @param position of the token that was evaluated
 * @param first position of the page's first token
 * @param last position of its last
 * @param kind what happened
 */
record Change(int position, int first, int last, PruningEvent.Kind kind) {}
