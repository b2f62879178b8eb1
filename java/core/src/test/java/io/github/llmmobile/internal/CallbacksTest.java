package io.github.llmmobile.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.Prompt;
import io.github.llmmobile.testing.Models;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class CallbacksTest {
  @Test
  void nothingStaysRegistered() {
    GenerationOptions options = GenerationOptions.greedy().toBuilder().maxTokens(2).build();
    try (LlmSession session = Models.tiny().newSession(Models.tinySession())) {
      session.generate(Prompt.text("hello"), options);
      assertThrows(IllegalStateException.class, () -> session.generate(Prompt.text("hello"), options, token -> {
        throw new IllegalStateException();
      }));
      session.eval(70);
    }
    assertEquals(0, Callbacks.registered());
  }

  /** JavaCPP passes NULL to native code from the eleventh live callback object on. */
  @Test
  void moreThanTenCallbacksAtOnceAllArrive() {
    List<LlmSession> sessions = new ArrayList<>();
    int[] depth = new int[1];
    try {
      for (int i = 0; i < 15; i++) {
        sessions.add(Models.tiny().newSession(Models.tinySession()));
      }
      nest(sessions, 0, depth);
    } finally {
      sessions.forEach(LlmSession::close);
    }
    assertEquals(15, depth[0]);
  }

  private static void nest(List<LlmSession> sessions, int at, int[] depth) {
    if (at < sessions.size()) {
      GenerationOptions one = GenerationOptions.greedy().toBuilder().maxTokens(1).ignoreEos(true).build();
      sessions.get(at).generate(Prompt.text("hello"), one, token -> {
        if (token.id() >= 0) {
          depth[0]++;
          nest(sessions, at + 1, depth);
        }
      });
    }
  }

  @Test
  void aFailureIsKeptAndThrownOnce() {
    RuntimeException failure = new RuntimeException();
    int[] calls = new int[1];
    try (Callbacks.Registration registration = Callbacks.register((ProgressSink) fraction -> {
      calls[0]++;
      throw failure;
    })) {
      assertEquals(1, registration.onProgress(0.5));
      assertEquals(1, registration.onProgress(0.6));
      assertEquals(1, calls[0]);
      assertSame(failure, assertThrows(RuntimeException.class, registration::rethrow));
    }
  }
}
