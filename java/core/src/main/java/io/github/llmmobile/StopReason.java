package io.github.llmmobile;

import java.util.Locale;

/** Why a generation ended. */
public enum StopReason {
  /** The model ended its answer. */
  END,
  /** {@link GenerationOptions#maxTokens()} tokens were generated. */
  MAX_TOKENS,
  /** One of {@link GenerationOptions#stop()} appeared; it is not part of the text. */
  STOP_STRING,
  /** The session's context is full. */
  CONTEXT_FULL,
  /** Someone stopped it; the result holds what there was by then. */
  CANCELLED;

  /**
   * The name in JSON.
   *
   * @return the constant's name in lower case, such as {@code max_tokens} (never null)
   */
  public String jsonName() {
    return name().toLowerCase(Locale.ROOT);
  }
}
