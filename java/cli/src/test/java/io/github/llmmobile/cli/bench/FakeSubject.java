package io.github.llmmobile.cli.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A subject with a clock of its own: each evaluated token takes a fixed time. */
class FakeSubject implements BenchSubject {
  static final long PREFILL_NANOS = 1_000;
  static final long DECODE_NANOS = 10_000;
  static final int VOCABULARY = 100;

  final int contextTokens;
  final List<String> calls = new ArrayList<>();
  final long[] clock;
  private final long slowness;
  private int length;
  boolean closed;

  FakeSubject(int contextTokens, long[] clock) {
    this(contextTokens, clock, 1);
  }

  FakeSubject(int contextTokens, long[] clock, long slowness) {
    this.contextTokens = contextTokens;
    this.clock = clock;
    this.slowness = slowness;
  }

  @Override
  public void eval(int[] tokens) {
    assertTrue(Arrays.stream(tokens).allMatch(token -> token >= 0 && token < VOCABULARY));
    length += tokens.length;
    assertTrue(length <= contextTokens, length + " tokens in a context of " + contextTokens);
    clock[0] += slowness * PREFILL_NANOS * tokens.length;
    calls.add("eval " + tokens.length);
  }

  @Override
  public void rewind(int tokens) {
    assertTrue(tokens >= 0 && tokens <= length, "rewind to " + tokens + " of " + length);
    length = tokens;
    calls.add("rewind " + tokens);
  }

  @Override
  public void generate(int[] history, int tokens, Runnable onToken) {
    calls.add("generate " + tokens + " after " + history.length);
    assertTrue(length == history.length || length == 0 && history.length == 1, "history of " + history.length);
    clock[0] += PREFILL_NANOS * 777;
    length = history.length;
    for (int i = 0; i < tokens; i++) {
      clock[0] += i == 0 ? 0 : slowness * DECODE_NANOS;
      length++;
      onToken.run();
    }
    assertTrue(length <= contextTokens, length + " tokens in a context of " + contextTokens);
  }

  @Override
  public CacheUse cache() {
    return new CacheUse(4096L * contextTokens, "", new JsonObject());
  }

  @Override
  public void close() {
    assertEquals(false, closed);
    closed = true;
  }
}
