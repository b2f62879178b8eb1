package io.github.llmmobile;

import java.util.Objects;

/** One message of a conversation. */
public final class ChatMessage {
  private final String role;
  private final String content;

  private ChatMessage(String role, String content) {
    this.role = Objects.requireNonNull(role, "role");
    this.content = Objects.requireNonNull(content, "content");
  }

  /**
   * A message in any role.
   *
   * @param role who speaks, in the words of the model's chat template (required, not empty)
   * @param content what is said (required)
   * @return the message (never null)
   * @throws LlmException INVALID_ARGUMENT if the role is empty
   */
  public static ChatMessage of(String role, String content) {
    if (role.isEmpty()) {
      throw Checks.invalid("role", "must not be empty");
    }
    return new ChatMessage(role, content);
  }

  /**
   * Instructions to the model.
   *
   * @param content what is said (required)
   * @return the message (never null)
   */
  public static ChatMessage system(String content) {
    return new ChatMessage("system", content);
  }

  /**
   * Words of the user.
   *
   * @param content what is said (required)
   * @return the message (never null)
   */
  public static ChatMessage user(String content) {
    return new ChatMessage("user", content);
  }

  /**
   * Words of the model.
   *
   * @param content what is said (required)
   * @return the message (never null)
   */
  public static ChatMessage assistant(String content) {
    return new ChatMessage("assistant", content);
  }

  /**
   * The result of a tool that the model called.
   *
   * @param content the result (required)
   * @return the message (never null)
   */
  public static ChatMessage tool(String content) {
    return new ChatMessage("tool", content);
  }

  /**
   * Who speaks.
   *
   * @return the role (never null)
   */
  public String role() {
    return role;
  }

  /**
   * What is said.
   *
   * @return the text (never null)
   */
  public String content() {
    return content;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof ChatMessage
        && role.equals(((ChatMessage) other).role)
        && content.equals(((ChatMessage) other).content);
  }

  @Override
  public int hashCode() {
    return Objects.hash(role, content);
  }

  /** The role and the length of the text: what people say to each other does not belong into logs. */
  @Override
  public String toString() {
    return "ChatMessage[role=" + role + ", " + content.length() + " characters]";
  }
}
