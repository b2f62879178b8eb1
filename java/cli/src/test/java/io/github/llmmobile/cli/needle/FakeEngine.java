package io.github.llmmobile.cli.needle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import io.github.llmmobile.cli.bench.CacheUse;
import java.util.ArrayList;
import java.util.List;

/** An engine with a fixed log-probability for each token, which writes down what is evaluated. */
class FakeEngine implements NeedleEngine {
  final List<String> calls;
  final int contextTokens;
  private final double[] logprobs;
  private int length;
  private boolean resting;
  boolean closed;

  FakeEngine(int contextTokens, double... logprobs) {
    this(contextTokens, logprobs, 0, new ArrayList<>());
  }

  private FakeEngine(int contextTokens, double[] logprobs, int length, List<String> calls) {
    this.contextTokens = contextTokens;
    this.logprobs = logprobs;
    this.length = length;
    this.calls = calls;
  }

  @Override
  public void eval(int... tokens) {
    assertEquals(false, resting);
    length += tokens.length;
    assertTrue(length <= contextTokens, length + " tokens in a context of " + contextTokens);
    calls.add(tokens.length == 1 ? "token " + tokens[0] : "eval " + tokens.length);
  }

  @Override
  public double logprob(int token) {
    return logprobs[token];
  }

  @Override
  public NeedleEngine branch() {
    resting = true;
    calls.add("branch");
    return new FakeEngine(contextTokens, logprobs, length, calls) {
      @Override
      public void close() {
        super.close();
        FakeEngine.this.resting = false;
      }
    };
  }

  @Override
  public CacheUse cache() {
    return new CacheUse(8L * length, "", new JsonObject());
  }

  @Override
  public void close() {
    assertEquals(false, closed);
    closed = true;
  }
}
