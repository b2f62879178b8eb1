/**
 * What decides where a token comes from: the device alone, a worker that has the upper layers, or a larger model behind
 * an endpoint. Every class here decides from numbers and from a clock that it is given; none opens a connection.
 */
@NullMarked
package io.github.llmmobile.edge.policy;

import org.jspecify.annotations.NullMarked;
