package io.github.llmmobile.edge;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.wire.ProtocolException;

/** Ends of streams as the API's failures. */
final class Failures {
  private Failures() {}

  static LlmException of(WorkerAddress address, ProtocolException e) {
    return new LlmException(e.passes() ? ErrorCode.REMOTE_UNAVAILABLE : ErrorCode.REMOTE_REFUSED,
        "worker " + address + ": " + e.getMessage(), e);
  }

  /** The reason in a word, for statistics. */
  static String reason(ProtocolException e) {
    return e.code() == Code.CODE_UNSPECIFIED ? "connection" : e.code().name().toLowerCase(java.util.Locale.ROOT);
  }
}
