package io.github.llmmobile.edge.remote;

import java.util.OptionalInt;

/** What an endpoint can do, as found out by asking it. */
public final class RemoteDescription {
  /** How an endpoint is told to continue an answer of a conversation. */
  enum Continuation {
    /** It cannot. */
    NONE,
    /** A last message of the assistant is continued, as by llama-server. */
    LAST_MESSAGE,
    /** The same, with {@code continue_final_message} beside it, as by vLLM. */
    FLAGS
  }

  private final String model;
  private final OptionalInt contextTokens;
  private final boolean completions;
  private final boolean chat;
  private final boolean completionLogprobs;
  private final boolean chatLogprobs;
  private final Continuation continuation;
  private final boolean echoes;
  private final long roundTripNanos;

  RemoteDescription(String model, OptionalInt contextTokens, boolean completions, boolean chat,
      boolean completionLogprobs, boolean chatLogprobs, Continuation continuation, boolean echoes, long roundTripNanos) {
    this.model = model;
    this.contextTokens = contextTokens;
    this.completions = completions;
    this.chat = chat;
    this.completionLogprobs = completionLogprobs;
    this.chatLogprobs = chatLogprobs;
    this.continuation = continuation;
    this.echoes = echoes;
    this.roundTripNanos = roundTripNanos;
  }

  /**
   * The model that answers.
   *
   * @return its name; "" if the endpoint lists none and none was asked for (never null)
   */
  public String model() {
    return model;
  }

  /**
   * Tokens that prompt and answer may have together.
   *
   * @return the length; empty if the endpoint does not say (never null)
   */
  public OptionalInt contextTokens() {
    return contextTokens;
  }

  /**
   * Whether it continues texts: {@code /v1/completions}.
   *
   * @return whether it does
   */
  public boolean completions() {
    return completions;
  }

  /**
   * Whether it answers conversations: {@code /v1/chat/completions}.
   *
   * @return whether it does
   */
  public boolean chat() {
    return chat;
  }

  /**
   * Whether texts come with log-probabilities.
   *
   * @return whether they do
   */
  public boolean completionLogprobs() {
    return completionLogprobs;
  }

  /**
   * Whether answers come with log-probabilities.
   *
   * @return whether they do
   */
  public boolean chatLogprobs() {
    return chatLogprobs;
  }

  /**
   * Whether it goes on with an answer that somebody else has begun, which token-level routing of conversations needs.
   *
   * @return whether it does
   */
  public boolean continuesChat() {
    return continuation != Continuation.NONE;
  }

  Continuation continuation() {
    return continuation;
  }

  /** Whether it repeats the part of an answer that it continues. */
  boolean echoes() {
    return echoes;
  }

  /**
   * The shortest time of a small request, which is nearly the round trip.
   *
   * @return nanoseconds
   */
  public long roundTripNanos() {
    return roundTripNanos;
  }

  @Override
  public String toString() {
    return "RemoteDescription[model=" + model + ", context=" + contextTokens + ", completions=" + completions
        + (completionLogprobs ? " with logprobs" : "") + ", chat=" + chat + (chatLogprobs ? " with logprobs" : "")
        + ", continuation=" + continuation + ", roundTrip=" + roundTripNanos / 1000 + " us]";
  }
}
