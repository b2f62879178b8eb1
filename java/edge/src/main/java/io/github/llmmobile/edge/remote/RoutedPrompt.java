package io.github.llmmobile.edge.remote;

import io.github.llmmobile.ChatMessage;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.Prompt;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** What an answer starts from, in a form that both models understand. Immutable. */
public final class RoutedPrompt {
  private final @Nullable String text;
  private final List<ChatMessage> messages;

  private RoutedPrompt(@Nullable String text, List<ChatMessage> messages) {
    this.text = text;
    this.messages = messages;
  }

  /**
   * A text as it is; both models continue it.
   *
   * @param text the text (required)
   * @return the prompt (never null)
   */
  public static RoutedPrompt text(String text) {
    return new RoutedPrompt(Objects.requireNonNull(text, "text"), Collections.emptyList());
  }

  /**
   * A conversation; each model reads it through its own chat template.
   *
   * @param messages at least one (required)
   * @return the prompt (never null)
   * @throws LlmException INVALID_ARGUMENT if there is none
   */
  public static RoutedPrompt chat(List<ChatMessage> messages) {
    if (messages.isEmpty()) {
      throw new LlmException(ErrorCode.INVALID_ARGUMENT, "messages: there is none");
    }
    return new RoutedPrompt(null, Collections.unmodifiableList(new ArrayList<>(messages)));
  }

  boolean isChat() {
    return text == null;
  }

  int[] tokens(LlmModel model) {
    int[] tokens = (text == null ? Prompt.chat(messages) : Prompt.text(text)).tokens(model);
    if (tokens.length == 0) {
      throw new LlmException(ErrorCode.INVALID_ARGUMENT, "prompt: has no tokens");
    }
    return tokens;
  }

  RemoteRequest.Builder request(String answerSoFar) {
    return (text == null ? RemoteRequest.chat(messages) : RemoteRequest.text(text)).answerSoFar(answerSoFar);
  }

  /** About how many tokens the prompt has in any model. */
  int roughTokens() {
    int characters = text == null ? 0 : text.length();
    for (ChatMessage message : messages) {
      characters += message.content().length();
    }
    return characters / 3 + 8;
  }

  /** Sizes: what people ask does not belong into logs. */
  @Override
  public String toString() {
    return "RoutedPrompt[" + (text == null ? messages.size() + " messages]" : text.length() + " characters]");
  }
}
