package io.github.llmmobile.edge.remote;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.ChatMessage;
import io.github.llmmobile.edge.remote.RemoteDescription.Continuation;
import io.github.llmmobile.edge.remote.RemoteException.Kind;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/** Finds out by asking what an endpoint can do, and what the way to it carries. */
final class EndpointProbe {
  private static final List<ChatMessage> HELLO = Collections.singletonList(ChatMessage.user("Hi"));
  private static final String BEGUN = "one";
  private static final int MOST_MODELS_BYTES = 1024 * 1024;
  /** Closing a turn and opening one takes more tokens than that in every template. */
  private static final int WORD_TOKENS = 2;
  private static final int PADDING_BYTES = 32 * 1024;
  private static final long LEAST_SPAN_NANOS = 1_000_000;
  private static final int MILLIS = 1_000_000;

  private final RemoteModelClient client;
  private final int timeoutMillis;
  private final CancellationToken cancellation;
  private boolean echoes;
  private long leastNanos = Long.MAX_VALUE;

  EndpointProbe(RemoteModelClient client, int timeoutMillis, CancellationToken cancellation) {
    this.client = client;
    this.timeoutMillis = timeoutMillis;
    this.cancellation = cancellation;
  }

  /** What a request for one token gave. */
  private static final class Answer {
    boolean logprobs;
    int promptTokens = -1;
    final StringBuilder text = new StringBuilder();
  }

  RemoteDescription describe() {
    JsonObject listed = models();
    String model = client.endpoint().model().orElse(name(listed));
    RemoteRequest.Builder text = RemoteRequest.text("1, 2, 3,").maxTokens(1).greedy();
    Answer completion = askWithLogprobs(text);
    RemoteRequest.Builder hello = RemoteRequest.chat(HELLO).maxTokens(1).greedy().stream(false);
    Answer chat = askWithLogprobs(hello);
    if (completion == null && chat == null) {
      throw new RemoteException(Kind.REFUSED,
          "the endpoint has neither completions nor chat completions, or not for this model");
    }
    Continuation continuation = chat == null ? Continuation.NONE : continuation(chat);
    client.link().roundTrip(leastNanos);
    return new RemoteDescription(model, context(listed), completion != null, chat != null,
        completion != null && completion.logprobs, chat != null && chat.logprobs, continuation, echoes, leastNanos);
  }

  /** The first model of the list, or the one that was asked for; an empty object if the endpoint has no list. */
  private JsonObject models() {
    String body;
    try {
      body = get("models");
    } catch (RemoteException e) {
      if (e.kind() == Kind.REFUSED) {
        return new JsonObject();
      }
      throw e;
    }
    String wanted = client.endpoint().model().orElse(null);
    try {
      JsonElement data = JsonParser.parseString(body).getAsJsonObject().get("data");
      JsonArray models = data == null || !data.isJsonArray() ? new JsonArray() : data.getAsJsonArray();
      for (JsonElement model : models) {
        JsonObject facts = model.getAsJsonObject();
        if (wanted == null || wanted.equals(name(facts))) {
          return facts;
        }
      }
      return new JsonObject();
    } catch (JsonParseException | IllegalStateException | ClassCastException e) {
      throw new RemoteException(Kind.PROTOCOL, "the endpoint's list of models is not the JSON that it should be");
    }
  }

  private static String name(JsonObject model) {
    return model.has("id") && model.get("id").isJsonPrimitive() ? model.get("id").getAsString() : "";
  }

  /** Where llama-server and vLLM tell the length of the context. */
  private static OptionalInt context(JsonObject model) {
    JsonElement meta = model.get("meta");
    JsonElement length = model.get("max_model_len");
    if (length == null && meta != null && meta.isJsonObject()) {
      JsonObject facts = meta.getAsJsonObject();
      length = facts.has("n_ctx") ? facts.get("n_ctx") : facts.get("n_ctx_train");
    }
    return length == null || !length.isJsonPrimitive() || !length.getAsJsonPrimitive().isNumber()
        ? OptionalInt.empty() : OptionalInt.of(length.getAsInt());
  }

  /** With log-probabilities if the endpoint takes that; null if it refuses without them as well. */
  private @Nullable Answer askWithLogprobs(RemoteRequest.Builder request) {
    Answer answer = ask(request.topLogprobs(2).build(), Continuation.NONE, "");
    return answer != null ? answer : ask(request.topLogprobs(0).build(), Continuation.NONE, "");
  }

  /** Null if the endpoint refuses. */
  private @Nullable Answer ask(RemoteRequest request, Continuation how, String padding) {
    long began = System.nanoTime();
    long deadline = began + (long) timeoutMillis * MILLIS;
    try (RemoteCall call = client.start(request, how, padding, "")) {
      Answer answer = new Answer();
      for (RemoteToken token = call.next(deadline, cancellation); token != null;
          token = call.next(deadline, cancellation)) {
        answer.logprobs |= token.best().isPresent();
        answer.text.append(token.text());
      }
      answer.promptTokens = call.promptTokens();
      leastNanos = Math.min(leastNanos, System.nanoTime() - began);
      return answer;
    } catch (RemoteException e) {
      if (e.kind() == Kind.REFUSED) {
        return null;
      }
      throw e;
    }
  }

  /**
   * Whether a last message of the assistant is continued: then it adds the tokens of its word to the prompt, and not
   * those that close a turn and open another.
   */
  private Continuation continuation(Answer plain) {
    for (Continuation how : new Continuation[] {Continuation.LAST_MESSAGE, Continuation.FLAGS}) {
      RemoteRequest request =
          RemoteRequest.chat(HELLO).answerSoFar(BEGUN).maxTokens(1).greedy().stream(false).build();
      Answer begun = ask(request, how, "");
      if (begun != null && plain.promptTokens > 0 && begun.promptTokens > plain.promptTokens
          && begun.promptTokens - plain.promptTokens <= WORD_TOKENS) {
        echoes = begun.text.toString().startsWith(BEGUN);
        return how;
      }
    }
    return Continuation.NONE;
  }

  /** Requests with and without padding; the least of each, because others may delay single ones. */
  void measureUplink(RemoteDescription what) {
    RemoteRequest request = (what.completions() ? RemoteRequest.text("1, 2, 3,") : RemoteRequest.chat(HELLO))
        .maxTokens(1).greedy().stream(false).build();
    StringBuilder blanks = new StringBuilder(PADDING_BYTES);
    while (blanks.length() < PADDING_BYTES) {
      blanks.append(' ');
    }
    long small = leastOfTwo(request, "");
    long large = leastOfTwo(request, blanks.toString());
    client.link().roundTrip(small);
    client.link().sample(PADDING_BYTES, Math.max(LEAST_SPAN_NANOS, large - small));
  }

  private long leastOfTwo(RemoteRequest request, String padding) {
    leastNanos = Long.MAX_VALUE;
    for (int i = 0; i < 2; i++) {
      if (ask(request, Continuation.NONE, padding) == null) {
        throw new RemoteException(Kind.REFUSED, "the endpoint refuses the request that measures the link");
      }
    }
    return leastNanos;
  }

  private String get(String resource) {
    HttpTransport.Call call =
        client.transport().call(client.request(client.endpoint().resolve(resource), null));
    AtomicReference<String> body = new AtomicReference<>();
    AtomicReference<RemoteException> failure = new AtomicReference<>();
    Thread reader = new Thread(() -> {
      try {
        body.set(read(call.execute()));
      } catch (RemoteException e) {
        failure.set(e);
      } catch (IOException e) {
        failure.set(new RemoteException(Kind.CONNECTION, "no connection to the endpoint: " + e.getMessage(), e));
      }
    }, "llmm-remote");
    reader.setDaemon(true);
    long began = System.nanoTime();
    reader.start();
    try {
      while (reader.isAlive()) {
        reader.join(20);
        if (cancellation.isCancelled()) {
          call.cancel();
          throw new RemoteException(Kind.CANCELLED, "cancelled");
        }
        if (System.nanoTime() - began > (long) timeoutMillis * MILLIS && reader.isAlive()) {
          call.cancel();
          throw new RemoteException(Kind.TIMEOUT, "the endpoint did not answer in time");
        }
      }
    } catch (InterruptedException e) {
      call.cancel();
      Thread.currentThread().interrupt();
      throw new RemoteException(Kind.CANCELLED, "interrupted", e);
    }
    RemoteException failed = failure.get();
    if (failed != null) {
      if (failed.kind() == Kind.AUTH) {
        client.breaker().disable(String.valueOf(failed.getMessage()));
      }
      throw failed;
    }
    return body.get();
  }

  private static String read(HttpTransport.Response response) throws IOException {
    try (InputStream in = response.body()) {
      if (response.status() != 200) {
        throw RemoteCall.failure(response.status(), "");
      }
      ByteArrayOutputStream all = new ByteArrayOutputStream();
      byte[] buffer = new byte[8192];
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        if (all.size() + n > MOST_MODELS_BYTES) {
          throw new RemoteException(Kind.TOO_LARGE, "a list of models of more than " + MOST_MODELS_BYTES + " bytes");
        }
        all.write(buffer, 0, n);
      }
      return new String(all.toByteArray(), StandardCharsets.UTF_8);
    }
  }
}
