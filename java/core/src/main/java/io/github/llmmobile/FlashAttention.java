package io.github.llmmobile;

/** Which attention kernel a session uses. Results agree up to rounding. */
public enum FlashAttention {
  /** Whichever decodes faster on this device. */
  AUTO,
  /** The plain kernel. */
  OFF,
  /** The fused kernel, which needs less working memory. */
  ON
}
