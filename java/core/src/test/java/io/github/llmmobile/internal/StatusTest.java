package io.github.llmmobile.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import io.github.llmmobile.ContextFullException;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmCancelledException;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.ModelUnavailableException;
import io.github.llmmobile.internal.jni.Llmm;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class StatusTest {
  @ParameterizedTest
  @EnumSource(ErrorCode.class)
  void eachCodeHasItsExceptionClass(ErrorCode code) {
    LlmException e = Status.exception(code, "text");
    assertEquals(code, e.code());
    assertEquals("text", e.getMessage());
    assertSame(expected(code), e.getClass());
  }

  private static Class<?> expected(ErrorCode code) {
    switch (code) {
      case MODEL_NOT_FOUND:
      case MODEL_INVALID:
      case MODEL_UNSUPPORTED:
        return ModelUnavailableException.class;
      case CONTEXT_FULL:
        return ContextFullException.class;
      case CANCELLED:
        return LlmCancelledException.class;
      default:
        return LlmException.class;
    }
  }

  @Test
  void namesAgreeWithTheLibrarys() {
    NativeRuntime.ensureLoaded();
    for (ErrorCode code : ErrorCode.values()) {
      String name = Buffers.text(Llmm.llmm_status_name(code.number()));
      assertEquals(code.number() < 1000 ? code.name() : "UNKNOWN", name);
    }
  }
}
