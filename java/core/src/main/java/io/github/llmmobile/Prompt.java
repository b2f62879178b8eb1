package io.github.llmmobile;

import java.util.Collections;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What a generation starts from. A prompt is the whole history: the session keeps the longest part that it has
 * evaluated already and evaluates the rest.
 */
public final class Prompt {
  private final @Nullable String text;
  private final @Nullable ChatRequest chat;
  private final int @Nullable [] tokens;

  private Prompt(@Nullable String text, @Nullable ChatRequest chat, int @Nullable [] tokens) {
    this.text = text;
    this.chat = chat;
    this.tokens = tokens;
  }

  /**
   * A text as it is, without a chat template. The model's usual start token goes in front. The text of control tokens
   * in it stays text; for a text that was rendered with a template use {@link #tokens} and {@link LlmModel#tokenize}.
   *
   * @param text the text to continue (required)
   * @return the prompt (never null)
   */
  public static Prompt text(String text) {
    return new Prompt(Objects.requireNonNull(text, "text"), null, null);
  }

  /**
   * One message of the user, through the model's chat template.
   *
   * @param message what the user says (required)
   * @return the prompt (never null)
   */
  public static Prompt user(String message) {
    return chat(Collections.singletonList(ChatMessage.user(message)));
  }

  /**
   * A conversation, through the model's chat template.
   *
   * @param messages the messages, at least one (required)
   * @return the prompt (never null)
   * @throws LlmException INVALID_ARGUMENT if there is no message
   */
  public static Prompt chat(List<ChatMessage> messages) {
    return chat(ChatRequest.of(messages));
  }

  /**
   * A conversation with details of its rendering.
   *
   * @param request the conversation (required)
   * @return the prompt (never null)
   */
  public static Prompt chat(ChatRequest request) {
    return new Prompt(null, Objects.requireNonNull(request, "request"), null);
  }

  /**
   * Tokens as they are.
   *
   * @param tokens ids of the model's vocabulary; copied (required)
   * @return the prompt (never null)
   */
  public static Prompt tokens(int... tokens) {
    return new Prompt(null, null, tokens.clone());
  }

  /**
   * The prompt as a model reads it: rendered with its chat template, if it is a conversation, and tokenised.
   *
   * @param model the model (required)
   * @return ids; none if the text is empty (never null)
   * @throws LlmException TEMPLATE if there is no chat template or it fails on the messages; JSON if the tools are malformed;
   *     ENCODING
   */
  public int[] tokens(LlmModel model) {
    return resolve(new Resolver() {
      @Override
      public String render(ChatRequest request) {
        return model.renderChat(request);
      }

      @Override
      public int[] tokenize(String promptText, boolean parseSpecial) {
        return model.tokenize(promptText, true, parseSpecial);
      }
    });
  }

  /** Turns the prompt into tokens with a tokenizer and a renderer. */
  int[] resolve(Resolver resolver) {
    if (tokens != null) {
      return tokens.clone();
    }
    if (chat != null) {
      return resolver.tokenize(resolver.render(chat), true);
    }
    return resolver.tokenize(Objects.requireNonNull(text), false);
  }

  /** What a prompt needs of a model. */
  interface Resolver {
    String render(ChatRequest request);

    int[] tokenize(String text, boolean parseSpecial);
  }

  /** The kind and size of the prompt: what people ask does not belong into logs. */
  @Override
  public String toString() {
    if (tokens != null) {
      return "Prompt[" + tokens.length + " tokens]";
    }
    return chat != null
        ? "Prompt[" + chat.messages().size() + " messages]"
        : "Prompt[" + Objects.requireNonNull(text).length() + " characters]";
  }
}
