/**
 * A larger model behind an OpenAI-compatible endpoint: a client that streams and never waits longer than it is told, and
 * a generation that hands hard tokens, or whole requests, to it and goes on alone when it does not answer.
 */
@NullMarked
package io.github.llmmobile.edge.remote;

import org.jspecify.annotations.NullMarked;
