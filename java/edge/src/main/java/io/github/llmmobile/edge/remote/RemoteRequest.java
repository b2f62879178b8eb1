package io.github.llmmobile.edge.remote;

import io.github.llmmobile.ChatMessage;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LlmException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** What a remote model is asked for. Immutable. */
public final class RemoteRequest {
  private final @Nullable String prompt;
  private final List<ChatMessage> messages;
  private final String answer;
  private final int maxTokens;
  private final OptionalDouble temperature;
  private final OptionalDouble topP;
  private final OptionalDouble frequencyPenalty;
  private final OptionalDouble presencePenalty;
  private final OptionalLong seed;
  private final List<String> stop;
  private final int topLogprobs;
  private final boolean stream;

  private RemoteRequest(Builder b) {
    prompt = b.prompt;
    messages = b.messages;
    answer = b.answer;
    maxTokens = b.maxTokens;
    temperature = b.temperature;
    topP = b.topP;
    frequencyPenalty = b.frequencyPenalty;
    presencePenalty = b.presencePenalty;
    seed = b.seed;
    stop = b.stop;
    topLogprobs = b.topLogprobs;
    stream = b.stream;
  }

  /**
   * Continues a text as it is: {@code /v1/completions}.
   *
   * @param prompt the text (required)
   * @return a builder (never null)
   */
  public static Builder text(String prompt) {
    return new Builder(Objects.requireNonNull(prompt, "prompt"), Collections.emptyList());
  }

  /**
   * Answers a conversation: {@code /v1/chat/completions}.
   *
   * @param messages at least one (required)
   * @return a builder (never null)
   * @throws LlmException INVALID_ARGUMENT if there is no message
   */
  public static Builder chat(List<ChatMessage> messages) {
    if (messages.isEmpty()) {
      throw new LlmException(ErrorCode.INVALID_ARGUMENT, "messages: there is none");
    }
    return new Builder(null, Collections.unmodifiableList(new ArrayList<>(messages)));
  }

  /** The text to continue, with what of the answer there is; null for a conversation. */
  @Nullable String prompt() {
    return prompt == null ? null : prompt + answer;
  }

  List<ChatMessage> messages() {
    return messages;
  }

  /** What of the answer there is; a part of {@link #prompt()} already. */
  String answer() {
    return answer;
  }

  int maxTokens() {
    return maxTokens;
  }

  OptionalDouble temperature() {
    return temperature;
  }

  OptionalDouble topP() {
    return topP;
  }

  OptionalDouble frequencyPenalty() {
    return frequencyPenalty;
  }

  OptionalDouble presencePenalty() {
    return presencePenalty;
  }

  OptionalLong seed() {
    return seed;
  }

  List<String> stop() {
    return stop;
  }

  OptionalInt topLogprobs() {
    return topLogprobs > 0 ? OptionalInt.of(topLogprobs) : OptionalInt.empty();
  }

  boolean stream() {
    return stream;
  }

  /** Sizes: what people ask does not belong into logs. */
  @Override
  public String toString() {
    return "RemoteRequest[" + (prompt == null ? messages.size() + " messages" : prompt.length() + " characters")
        + ", answer so far " + answer.length() + " characters, maxTokens=" + maxTokens + "]";
  }

  /** Collects a {@link RemoteRequest}. Not for use by several threads at once. */
  public static final class Builder {
    private static final int MOST_LOGPROBS = 20;

    private final @Nullable String prompt;
    private final List<ChatMessage> messages;
    private String answer = "";
    private int maxTokens = 256;
    private OptionalDouble temperature = OptionalDouble.empty();
    private OptionalDouble topP = OptionalDouble.empty();
    private OptionalDouble frequencyPenalty = OptionalDouble.empty();
    private OptionalDouble presencePenalty = OptionalDouble.empty();
    private OptionalLong seed = OptionalLong.empty();
    private List<String> stop = Collections.emptyList();
    private int topLogprobs;
    private boolean stream = true;

    private Builder(@Nullable String prompt, List<ChatMessage> messages) {
      this.prompt = prompt;
      this.messages = messages;
    }

    /**
     * The part of the answer that there is already; what comes continues it. In a conversation the endpoint must be able
     * to do that, see {@link RemoteDescription#continuesChat()}. Default: none.
     *
     * @param value the text (required)
     * @return this
     */
    public Builder answerSoFar(String value) {
      answer = Objects.requireNonNull(value, "value");
      return this;
    }

    /**
     * The most tokens to generate, as the remote model counts. Default: 256.
     *
     * @param value at least 1
     * @return this
     */
    public Builder maxTokens(int value) {
      maxTokens = value;
      return this;
    }

    /**
     * Randomness, nucleus, penalties and seed of local options; what the protocol has no word for is left out. Default:
     * what the endpoint does by itself.
     *
     * @param options the options (required)
     * @return this
     */
    public Builder sampling(GenerationOptions options) {
      temperature = OptionalDouble.of(options.temperature());
      topP = options.temperature() > 0 ? OptionalDouble.of(options.topP()) : OptionalDouble.empty();
      frequencyPenalty = given(options.frequencyPenalty());
      presencePenalty = given(options.presencePenalty());
      seed = options.seed();
      return this;
    }

    private static OptionalDouble given(float penalty) {
      return penalty == 0 ? OptionalDouble.empty() : OptionalDouble.of(penalty);
    }

    /**
     * Sets the seed, or takes it away.
     *
     * @param value the seed (required)
     * @return this
     */
    public Builder seed(OptionalLong value) {
      seed = Objects.requireNonNull(value, "value");
      return this;
    }

    /**
     * Always the most probable token.
     *
     * @return this
     */
    public Builder greedy() {
      temperature = OptionalDouble.of(0);
      topP = OptionalDouble.empty();
      return this;
    }

    /**
     * Texts that end the answer. Default: none.
     *
     * @param value texts (required)
     * @return this
     */
    public Builder stop(List<String> value) {
      stop = Collections.unmodifiableList(new ArrayList<>(value));
      return this;
    }

    /**
     * How many alternatives to report per token, with log-probabilities; an endpoint may give none. Default: 0, none.
     *
     * @param value from 0 to 20
     * @return this
     */
    public Builder topLogprobs(int value) {
      topLogprobs = value;
      return this;
    }

    /**
     * Whether the answer comes piece by piece. Default: true.
     *
     * @param value false for all at once
     * @return this
     */
    public Builder stream(boolean value) {
      stream = value;
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the request (never null)
     * @throws LlmException RANGE
     */
    public RemoteRequest build() {
      if (maxTokens < 1 || topLogprobs < 0 || topLogprobs > MOST_LOGPROBS) {
        throw new LlmException(ErrorCode.RANGE, "maxTokens must be at least 1, but is " + maxTokens
            + "; topLogprobs must be from 0 to " + MOST_LOGPROBS + ", but is " + topLogprobs);
      }
      return new RemoteRequest(this);
    }
  }
}
