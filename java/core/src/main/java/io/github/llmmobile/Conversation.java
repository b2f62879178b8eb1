package io.github.llmmobile;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

/**
 * A conversation in messages on top of a session. It keeps what was said and sends all of it with each turn; the
 * session evaluates only what is new. It does not own the session. Not for use by several threads at once.
 */
public final class Conversation {
  private final LlmSession session;
  private final List<ChatMessage> opening;
  private final List<ChatMessage> messages;

  /**
   * A conversation without instructions.
   *
   * @param session where it takes place; nothing else should use it meanwhile (required)
   */
  public Conversation(LlmSession session) {
    this(session, Collections.emptyList());
  }

  /**
   * A conversation that begins with messages, such as instructions in the role {@code system}.
   *
   * @param session where it takes place; nothing else should use it meanwhile (required)
   * @param opening messages that stay after {@link #reset()} (required)
   */
  public Conversation(LlmSession session, List<ChatMessage> opening) {
    this.session = Objects.requireNonNull(session, "session");
    this.opening = Checks.copy("opening", opening);
    messages = new ArrayList<>(opening);
  }

  /**
   * Says something and hears the answer.
   *
   * @param user what the user says (required)
   * @param options how the answer is generated (required)
   * @param listener hears each token (required)
   * @return the answer (never null)
   * @throws LlmException as the session's {@code generate}; the conversation is what it was before
   */
  public GenerationResult send(String user, GenerationOptions options, TokenListener listener) {
    return send(user, options, listener, CancellationToken.none());
  }

  /**
   * Says something and hears the answer. A cancelled answer stays in the conversation as far as it came.
   *
   * @param user what the user says (required)
   * @param options how the answer is generated (required)
   * @param listener hears each token (required)
   * @param cancellation cancels (required)
   * @return the answer (never null)
   * @throws LlmException as the session's {@code generate}; the conversation is what it was before
   */
  public GenerationResult send(
      String user, GenerationOptions options, TokenListener listener, CancellationToken cancellation) {
    List<ChatMessage> all = new ArrayList<>(messages);
    all.add(ChatMessage.user(user));
    GenerationResult result = session.generate(Prompt.chat(all), options, listener, cancellation);
    all.add(ChatMessage.assistant(result.text()));
    messages.clear();
    messages.addAll(all);
    return result;
  }

  /**
   * The same conversation, on its own from here.
   *
   * @param other where it goes on: a {@link LlmSession#fork()} has read it already, any other session reads it with the
   *     next turn (required)
   * @return the conversation (never null)
   */
  public Conversation copyTo(LlmSession other) {
    Conversation copy = new Conversation(other, opening);
    copy.messages.clear();
    copy.messages.addAll(messages);
    return copy;
  }

  /** Goes back to the opening. */
  public void reset() {
    messages.clear();
    messages.addAll(opening);
  }

  /**
   * What was said so far.
   *
   * @return a copy, unmodifiable (never null)
   */
  public List<ChatMessage> messages() {
    return Collections.unmodifiableList(new ArrayList<>(messages));
  }
}
