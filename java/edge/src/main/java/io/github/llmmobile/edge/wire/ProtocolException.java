package io.github.llmmobile.edge.wire;

import io.github.llmmobile.edge.keys.PinMismatchException;
import io.github.llmmobile.edge.proto.Code;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;

/** Why a stream ends, as both sides say it: a code in the trailers of a gRPC status. */
public final class ProtocolException extends Exception {
  private static final long serialVersionUID = 1L;

  private static final Metadata.Key<String> CODE = Metadata.Key.of("llmm-code", Metadata.ASCII_STRING_MARSHALLER);
  private static final Metadata.Key<String> RETRY_AFTER =
      Metadata.Key.of("llmm-retry-after-ms", Metadata.ASCII_STRING_MARSHALLER);
  private static final int MAX_RETRY_AFTER_MS = 600_000;

  /** What kind of end this is. */
  private final Code code;
  /** Milliseconds until trying again may help. */
  private final int retryAfterMs;

  /**
   * An end.
   *
   * @param code the reason
   * @param message the reason for people; nothing of what was sent
   */
  public ProtocolException(Code code, String message) {
    this(code, message, 0);
  }

  /**
   * An end that may have passed after a while.
   *
   * @param code the reason
   * @param message the reason for people; nothing of what was sent
   * @param retryAfterMs when to try again; 0 for no advice
   */
  public ProtocolException(Code code, String message, int retryAfterMs) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /**
   * The reason.
   *
   * @return the code
   */
  public Code code() {
    return code;
  }

  /**
   * When to try again.
   *
   * @return milliseconds; 0 for no advice
   */
  public int retryAfterMs() {
    return retryAfterMs;
  }

  /**
   * Whether trying again may help: what has to do with the moment passes, what has to do with model, keys and version
   * does not.
   *
   * @return true if so
   */
  public boolean passes() {
    switch (code) {
      case PROTOCOL:
      case MODEL_MISMATCH:
      case CODEC_UNKNOWN:
      case BASIS_MISMATCH:
      case PAGES_MISMATCH:
      case SHAPE:
      case NOT_FINITE:
      case KEY_UNKNOWN:
      case CONTEXT_FULL:
        return false;
      default:
        return true;
    }
  }

  /**
   * As gRPC carries it.
   *
   * @return a status with trailers
   */
  public StatusRuntimeException toStatus() {
    Metadata trailers = new Metadata();
    trailers.put(CODE, code.name());
    if (retryAfterMs > 0) {
      trailers.put(RETRY_AFTER, Integer.toString(retryAfterMs));
    }
    return status().withDescription(getMessage()).asRuntimeException(trailers);
  }

  private Status status() {
    switch (code) {
      case NO_SPACE:
      case QUOTA:
        return Status.RESOURCE_EXHAUSTED;
      case DRAINING:
        return Status.UNAVAILABLE;
      case SEAL:
      case KEY_UNKNOWN:
        return Status.UNAUTHENTICATED;
      case SHAPE:
      case NOT_FINITE:
      case CODEC_UNKNOWN:
        return Status.INVALID_ARGUMENT;
      case CONTEXT_FULL:
        return Status.OUT_OF_RANGE;
      case TAKEN_OVER:
      case IDLE:
        return Status.ABORTED;
      case ENGINE:
        return Status.INTERNAL;
      default:
        return Status.FAILED_PRECONDITION;
    }
  }

  /**
   * What the other side said.
   *
   * @param failure as gRPC gives it
   * @return its code, CODE_UNSPECIFIED if it has none: then it came from gRPC or from something on the way
   */
  public static ProtocolException of(Throwable failure) {
    Status status = Status.fromThrowable(failure);
    Metadata trailers = Status.trailersFromThrowable(failure);
    for (Throwable cause = status.getCause(); cause != null; cause = cause.getCause()) {
      if (cause instanceof PinMismatchException) {
        return new ProtocolException(Code.KEY_UNKNOWN, String.valueOf(cause.getMessage()));
      }
    }
    String text = status.getCode() + (status.getDescription() == null ? "" : ": " + status.getDescription());
    if (trailers == null) {
      return new ProtocolException(Code.CODE_UNSPECIFIED, text);
    }
    return new ProtocolException(code(trailers.get(CODE)), text, milliseconds(trailers.get(RETRY_AFTER)));
  }

  private static Code code(String name) {
    for (Code code : Code.values()) {
      if (code.name().equals(name)) {
        return code;
      }
    }
    return Code.CODE_UNSPECIFIED;
  }

  private static int milliseconds(String text) {
    return text != null && text.matches("[0-9]{1,9}") ? Math.min(Integer.parseInt(text), MAX_RETRY_AFTER_MS) : 0;
  }
}
