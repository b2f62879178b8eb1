package io.github.llmmobile.edge.remote;

import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.edge.policy.CircuitBreaker;
import io.github.llmmobile.edge.policy.LinkEstimator;
import io.github.llmmobile.edge.remote.RemoteDescription.Continuation;
import io.github.llmmobile.edge.remote.RemoteException.Kind;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A larger model behind an OpenAI-compatible endpoint, such as llama-server, vLLM or a gateway. Threads: any, several
 * calls at once.
 *
 * <pre>{@code
 * RemoteModelClient client = new RemoteModelClient(RemoteEndpoint.of("http://127.0.0.1:8080"), new JdkHttpTransport());
 * RemoteDescription what = client.describe(10_000, CancellationToken.none());
 * try (RemoteCall call = client.start(RemoteRequest.text("Once upon a time").maxTokens(32).build())) {
 *   long deadline = System.nanoTime() + 10_000_000_000L;
 *   for (RemoteToken t = call.next(deadline, token); t != null; t = call.next(deadline, token)) {
 *     System.out.print(t.text());
 *   }
 * }
 * }</pre>
 */
public final class RemoteModelClient {
  private static final int CONNECT_MILLIS = 2000;

  private final RemoteEndpoint endpoint;
  private final HttpTransport transport;
  private final CircuitBreaker breaker;
  private final LinkEstimator link;
  private volatile @Nullable RemoteDescription description;

  /**
   * A client with a breaker of its own and no bandwidth threshold.
   *
   * @param endpoint where the model is (required)
   * @param transport how bytes get there (required)
   */
  public RemoteModelClient(RemoteEndpoint endpoint, HttpTransport transport) {
    this(endpoint, transport, new CircuitBreaker(System::nanoTime), new LinkEstimator(0, System::nanoTime));
  }

  /**
   * A client that shares what it learns.
   *
   * @param endpoint where the model is (required)
   * @param transport how bytes get there (required)
   * @param breaker hears of every success and failure (required)
   * @param link hears of round trips and of what the uplink carries (required)
   */
  public RemoteModelClient(
      RemoteEndpoint endpoint, HttpTransport transport, CircuitBreaker breaker, LinkEstimator link) {
    this.endpoint = Objects.requireNonNull(endpoint, "endpoint");
    this.transport = Objects.requireNonNull(transport, "transport");
    this.breaker = Objects.requireNonNull(breaker, "breaker");
    this.link = Objects.requireNonNull(link, "link");
  }

  /**
   * What the endpoint can do. The first call asks it, with a few requests for one token each; what came out is kept.
   *
   * @param timeoutMillis the most that each request may take, above 0
   * @param cancellation gives up earlier (required)
   * @return the description (never null)
   * @throws RemoteException if it does not answer, refuses the key, or is no such endpoint
   */
  public RemoteDescription describe(int timeoutMillis, CancellationToken cancellation) {
    RemoteDescription known = description;
    if (known == null) {
      known = new EndpointProbe(this, timeoutMillis, cancellation).describe();
      description = known;
    }
    return known;
  }

  /**
   * Measures what the uplink carries, for the link's estimate: how much longer a request takes with 32 KiB of blanks in
   * front.
   *
   * @param timeoutMillis the most that each request may take, above 0
   * @param cancellation gives up earlier (required)
   * @throws RemoteException if the endpoint does not answer
   */
  public void measureUplink(int timeoutMillis, CancellationToken cancellation) {
    link.probed();
    new EndpointProbe(this, timeoutMillis, cancellation).measureUplink(describe(timeoutMillis, cancellation));
  }

  /**
   * Sends a request. Nothing of it is awaited here.
   *
   * @param request what to ask for (required)
   * @return the running call; the caller closes it (never null)
   * @throws RemoteException BREAKER_OPEN if the endpoint has failed too often; nothing is sent
   */
  public RemoteCall start(RemoteRequest request) {
    RemoteDescription known = description;
    Continuation how = known == null ? Continuation.LAST_MESSAGE : known.continuation();
    boolean echoes = known != null && known.echoes() && request.prompt() == null;
    return start(request, how, "", echoes ? request.answer() : "");
  }

  RemoteCall start(RemoteRequest request, Continuation how, String padding, String repeated) {
    Objects.requireNonNull(request, "request");
    String body = padding + CompletionJson.of(request, model(), how);
    String resource = request.prompt() == null ? "chat/completions" : "completions";
    if (!breaker.tryAcquire(true)) {
      throw new RemoteException(Kind.BREAKER_OPEN,
          breaker.disabledBecause().orElse("the endpoint has failed too often; it is left alone for now"));
    }
    return new RemoteCall(transport, request(endpoint.resolve(resource), body), breaker, repeated).start();
  }

  private String model() {
    RemoteDescription known = description;
    return endpoint.model().orElse(known == null ? "" : known.model());
  }

  HttpTransport.Request request(URI uri, @Nullable String body) {
    Map<String, String> headers = new LinkedHashMap<>();
    headers.put("Accept", body == null ? "application/json" : "text/event-stream, application/json");
    if (body != null) {
      headers.put("Content-Type", "application/json");
    }
    Optional<String> key = endpoint.apiKey();
    key.ifPresent(secret -> headers.put("Authorization", "Bearer " + secret));
    return new HttpTransport.Request(uri, Collections.unmodifiableMap(headers),
        body == null ? null : body.getBytes(StandardCharsets.UTF_8), CONNECT_MILLIS);
  }

  RemoteEndpoint endpoint() {
    return endpoint;
  }

  HttpTransport transport() {
    return transport;
  }

  /**
   * What keeps this client from an endpoint that does not answer.
   *
   * @return the breaker (never null)
   */
  public CircuitBreaker breaker() {
    return breaker;
  }

  /**
   * What this client knows of the way to the endpoint.
   *
   * @return the estimate (never null)
   */
  public LinkEstimator link() {
    return link;
  }

  @Override
  public String toString() {
    return "RemoteModelClient[" + endpoint + "]";
  }
}
