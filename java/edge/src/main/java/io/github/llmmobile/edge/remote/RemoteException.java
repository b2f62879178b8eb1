package io.github.llmmobile.edge.remote;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.util.Objects;

/**
 * An endpoint did not do what it was asked for. {@link #kind()} says how; the code is {@link ErrorCode#REMOTE_REFUSED} if
 * asking again cannot help, else {@link ErrorCode#REMOTE_UNAVAILABLE}.
 */
public final class RemoteException extends LlmException {
  private static final long serialVersionUID = 1L;

  /** What went wrong. */
  public enum Kind {
    /** There is no connection, or it broke. */
    CONNECTION(true),
    /** No answer in time. */
    TIMEOUT(false),
    /** The endpoint is busy for now: status 429, 502, 503 or 504. */
    BUSY(true),
    /** The key is missing or wrong: status 401 or 403. Trying again cannot help. */
    AUTH(false),
    /** The endpoint refuses the request: another status. */
    REFUSED(false),
    /** What came is not what the protocol says. */
    PROTOCOL(false),
    /** More came than there may be. */
    TOO_LARGE(false),
    /** The breaker lets nothing through for now. */
    BREAKER_OPEN(false),
    /** The caller cancelled; the code is {@link ErrorCode#CANCELLED}. */
    CANCELLED(false);

    private final boolean again;

    Kind(boolean again) {
      this.again = again;
    }

    /** Whether another attempt may help. */
    boolean again() {
      return again;
    }
  }

  /** What went wrong. */
  private final Kind kind;
  /** How long the endpoint asks to wait, in milliseconds; -1 if it does not say. */
  private final long retryAfterMillis;
  /** The status of the answer; 0 if there was none. */
  private final int status;

  /**
   * A failure without an answer.
   *
   * @param kind what went wrong (required)
   * @param message text for people, without what users or models say (required)
   */
  public RemoteException(Kind kind, String message) {
    this(kind, message, 0, -1);
  }

  /**
   * A failure with a cause.
   *
   * @param kind what went wrong (required)
   * @param message text for people, without what users or models say (required)
   * @param cause what led to it (required)
   */
  public RemoteException(Kind kind, String message, Throwable cause) {
    super(code(kind), message, cause);
    this.kind = kind;
    retryAfterMillis = -1;
    status = 0;
  }

  RemoteException(Kind kind, String message, int status, long retryAfterMillis) {
    super(code(kind), message);
    this.kind = Objects.requireNonNull(kind, "kind");
    this.status = status;
    this.retryAfterMillis = retryAfterMillis;
  }

  private static ErrorCode code(Kind kind) {
    switch (kind) {
      case CANCELLED:
        return ErrorCode.CANCELLED;
      case AUTH:
      case REFUSED:
        return ErrorCode.REMOTE_REFUSED;
      default:
        return ErrorCode.REMOTE_UNAVAILABLE;
    }
  }

  /**
   * What went wrong.
   *
   * @return the kind (never null)
   */
  public Kind kind() {
    return kind;
  }

  /**
   * The status of the answer.
   *
   * @return such as 400; 0 if there was no answer
   */
  public int status() {
    return status;
  }

  /**
   * How long the endpoint asks to wait.
   *
   * @return milliseconds; -1 if it does not say
   */
  public long retryAfterMillis() {
    return retryAfterMillis;
  }
}
