package io.github.llmmobile.cli.chat;

import com.google.gson.JsonObject;
import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.ChatMessage;
import io.github.llmmobile.StopReason;
import java.nio.file.Path;
import java.util.List;

/** What answers in a conversation: a model's session, or a stand-in in tests. */
public interface ChatEngine {
  /**
   * Answers the last message; text goes to the screen while it comes into being.
   *
   * @param messages the conversation so far (required)
   * @param cancellation stops the answer (required)
   * @return the answer, perhaps cut short (never null)
   * @throws io.github.llmmobile.LlmException if there is no answer at all
   */
  Answer answer(List<ChatMessage> messages, CancellationToken cancellation);

  /** {@return speed and memory so far, as lines of text} */
  String stats();

  /**
   * Lowers the budget of the model's cache.
   *
   * @param megabytes above 0
   * @throws io.github.llmmobile.LlmException if that is not possible; nothing has changed
   */
  void trim(int megabytes);

  /**
   * Writes the model's cache to a file.
   *
   * @param file the file (required)
   */
  void saveState(Path file);

  /**
   * Reads the model's cache from a file.
   *
   * @param file the file (required)
   */
  void loadState(Path file);

  /**
   * An answer.
   *
   * @param text what the model said
   * @param stopReason why it ended
   * @param json the answer with its statistics, for output in JSON
   */
  record Answer(String text, StopReason stopReason, JsonObject json) {}
}
