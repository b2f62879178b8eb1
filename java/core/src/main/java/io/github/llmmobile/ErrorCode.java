package io.github.llmmobile;

/**
 * Why something failed. Names and numbers are stable: programs may test, store and translate them. Numbers below 1000
 * are those of the native library.
 */
public enum ErrorCode {
  /** An argument that makes no sense, such as an adapter of another model or an empty prompt. */
  INVALID_ARGUMENT(1),
  /** A number outside its range; the message gives the value and the range. */
  RANGE(2),
  /** The system refused memory; nothing is kept. */
  OUT_OF_MEMORY(3),
  /** A file could not be opened, read, written or renamed; the message has the system's reason. */
  IO(4),
  /** There is no file at the path of a model or adapter, or it is a folder. */
  MODEL_NOT_FOUND(5),
  /** The model's file is not GGUF, is truncated, or contradicts itself. */
  MODEL_INVALID(6),
  /** The file is sound, but this build cannot run its architecture, version or number type. */
  MODEL_UNSUPPORTED(7),
  /** The tokens do not fit the context; the message gives both lengths. */
  CONTEXT_FULL(8),
  /** The call was cancelled. */
  CANCELLED(9),
  /** Another call is running on the session; nothing has changed. */
  BUSY(10),
  /** A text is not Unicode: a Java string with half of a surrogate pair. */
  ENCODING(11),
  /** JSON that is malformed, has an unknown key or a wrong type; the message gives the path. */
  JSON(12),
  /** The chat template is missing or fails on these messages. */
  TEMPLATE(13),
  /** A grammar or JSON schema does not compile. */
  GRAMMAR(14),
  /** A session file is truncated, corrupt or of an unknown version. */
  STATE_INVALID(15),
  /** A sound session file of another model, of other adapters, or of a larger context. */
  STATE_MISMATCH(16),
  /** A LoRA adapter that is broken or made for another model. */
  ADAPTER_INVALID(17),
  /** The model or this build cannot do that. */
  NOT_AVAILABLE(18),
  /** No compute back end fits this CPU. */
  NO_BACKEND(19),
  /** Nothing has been evaluated yet, so there is nothing to read or sample. */
  NO_LOGITS(20),
  /** A fault of LLM Mobile or llama.cpp; please report it. */
  INTERNAL(21),
  /** An inference configuration is wrong; the message begins with the path of the key. */
  CONFIG(1000),
  /** The native library is missing, does not link, or is of another version. */
  NATIVE_LIBRARY(1001),
  /** A layer profile that is broken, of another version or made for another model. */
  PROFILE_INVALID(1002),
  /** A worker or server cannot be reached or went away, and the work cannot be done here. */
  REMOTE_UNAVAILABLE(1003),
  /** A worker or server does not accept this: another model, other layers, other keys, another version. */
  REMOTE_REFUSED(1004),
  /** A basis for hidden states that is broken, of another version or made for another model. */
  BASIS_INVALID(1005);

  private final int number;

  ErrorCode(int number) {
    this.number = number;
  }

  /**
   * The number that stands for this code in logs and protocols.
   *
   * @return the native library's status, or 1000 and above for codes that only Java has
   */
  public int number() {
    return number;
  }

  /**
   * The code with a number.
   *
   * @param number a number as of {@link #number()}
   * @return its code; {@link #INTERNAL} for a number that this version does not know (never null)
   */
  public static ErrorCode of(int number) {
    for (ErrorCode code : values()) {
      if (code.number == number) {
        return code;
      }
    }
    return INTERNAL;
  }
}
