package io.github.llmmobile;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** A conversation and how the chat template renders it. */
public final class ChatRequest {
  private final List<ChatMessage> messages;
  private final @Nullable String toolsJson;
  private final boolean addGenerationPrompt;
  private final @Nullable String template;
  private final Map<String, Object> kwargs;

  private ChatRequest(Builder b) {
    messages = b.messages;
    toolsJson = b.toolsJson;
    addGenerationPrompt = b.addGenerationPrompt;
    template = b.template;
    kwargs = Collections.unmodifiableMap(new LinkedHashMap<>(b.kwargs));
  }

  /**
   * A conversation that the model shall continue, rendered with its own template.
   *
   * @param messages the messages, at least one (required)
   * @return the request (never null)
   * @throws LlmException INVALID_ARGUMENT if there is no message
   */
  public static ChatRequest of(List<ChatMessage> messages) {
    return builder().messages(messages).build();
  }

  /**
   * Starts from the defaults.
   *
   * @return a builder that still needs messages (never null)
   */
  public static Builder builder() {
    return new Builder();
  }

  /**
   * Starts from this request.
   *
   * @return a builder with the same values (never null)
   */
  public Builder toBuilder() {
    Builder b = new Builder().messages(messages).addGenerationPrompt(addGenerationPrompt);
    b.toolsJson = toolsJson;
    b.template = template;
    b.kwargs.putAll(kwargs);
    return b;
  }

  /**
   * The conversation so far.
   *
   * @return at least one message, unmodifiable (never null)
   */
  public List<ChatMessage> messages() {
    return messages;
  }

  /**
   * The tools that the model may call, as a JSON array in OpenAI's form. Default: none.
   *
   * @return the array's text (never null)
   */
  public Optional<String> toolsJson() {
    return Optional.ofNullable(toolsJson);
  }

  /**
   * Whether the rendered text ends with the opening of the model's answer. Default: true.
   *
   * @return true to open an answer
   */
  public boolean addGenerationPrompt() {
    return addGenerationPrompt;
  }

  /**
   * A Jinja template in place of the model's own. Default: the model's own.
   *
   * @return the template's text (never null)
   */
  public Optional<String> template() {
    return Optional.ofNullable(template);
  }

  /**
   * More variables for the template, such as {@code enable_thinking}. Default: none.
   *
   * @return names and values, unmodifiable (never null)
   */
  public Map<String, Object> kwargs() {
    return kwargs;
  }

  @Override
  public String toString() {
    return "ChatRequest[messages=" + messages + ", addGenerationPrompt=" + addGenerationPrompt + "]";
  }

  /** Collects a {@link ChatRequest}. Not for use by several threads at once. */
  public static final class Builder {
    private List<ChatMessage> messages = Collections.emptyList();
    private @Nullable String toolsJson;
    private boolean addGenerationPrompt = true;
    private @Nullable String template;
    private final Map<String, Object> kwargs = new LinkedHashMap<>();

    private Builder() {}

    /**
     * Sets {@link ChatRequest#messages()}.
     *
     * @param messages the messages; copied (required)
     * @return this
     */
    public Builder messages(List<ChatMessage> messages) {
      this.messages = Checks.copy("messages", messages);
      return this;
    }

    /**
     * Sets {@link ChatRequest#toolsJson()}.
     *
     * @param toolsJson a JSON array (required)
     * @return this
     */
    public Builder toolsJson(String toolsJson) {
      this.toolsJson = Objects.requireNonNull(toolsJson, "toolsJson");
      return this;
    }

    /**
     * Sets {@link ChatRequest#addGenerationPrompt()}.
     *
     * @param addGenerationPrompt true to open an answer
     * @return this
     */
    public Builder addGenerationPrompt(boolean addGenerationPrompt) {
      this.addGenerationPrompt = addGenerationPrompt;
      return this;
    }

    /**
     * Sets {@link ChatRequest#template()}.
     *
     * @param template a Jinja template (required)
     * @return this
     */
    public Builder template(String template) {
      this.template = Objects.requireNonNull(template, "template");
      return this;
    }

    /**
     * Adds one of {@link ChatRequest#kwargs()}.
     *
     * @param name the variable's name (required)
     * @param value a Boolean, Number or String (required)
     * @return this
     * @throws LlmException INVALID_ARGUMENT if the value is of another type
     */
    public Builder kwarg(String name, Object value) {
      Objects.requireNonNull(name, "name");
      Objects.requireNonNull(value, "value");
      if (!(value instanceof Boolean || value instanceof Number || value instanceof String)) {
        throw Checks.invalid("kwargs." + name, "must be a boolean, number or text, but is a "
            + value.getClass().getSimpleName());
      }
      kwargs.put(name, value);
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the request (never null)
     * @throws LlmException INVALID_ARGUMENT if there is no message
     */
    public ChatRequest build() {
      if (messages.isEmpty()) {
        throw Checks.invalid("messages", "must hold at least one message");
      }
      return new ChatRequest(this);
    }
  }
}
