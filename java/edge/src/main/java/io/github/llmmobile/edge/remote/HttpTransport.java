package io.github.llmmobile.edge.remote;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * How bytes come to an endpoint and back. Implementations follow no redirects and repeat no request: who may do so is
 * decided above. {@link JdkHttpTransport} is for desktops and servers, {@link UrlConnectionTransport} for Android as
 * well. Threads: any, several calls at once.
 */
public interface HttpTransport {
  /**
   * Prepares a call; nothing is sent yet.
   *
   * @param request what to send (required)
   * @return the call (never null)
   */
  Call call(Request request);

  /** One exchange. */
  interface Call {
    /**
     * Sends the request and waits for the head of the answer. At most once per call.
     *
     * @return the answer, whatever its status (never null)
     * @throws IOException if there is no connection, no answer, or someone cancelled
     */
    Response execute() throws IOException;

    /** Ends the exchange from any thread, at any time: whoever waits for bytes gets an {@link IOException} or the end. */
    void cancel();
  }

  /** The answer, whose body is read as it comes. */
  interface Response {
    /**
     * The status.
     *
     * @return such as 200
     */
    int status();

    /**
     * A header.
     *
     * @param name its name, in any case (required)
     * @return its first value (never null)
     */
    Optional<String> header(String name);

    /**
     * The body.
     *
     * @return its bytes, empty if there is none; closing it ends the exchange (never null)
     * @throws IOException if it cannot be read
     */
    InputStream body() throws IOException;
  }

  /** What to send. */
  final class Request {
    private final URI uri;
    private final Map<String, String> headers;
    private final byte @Nullable [] body;
    private final int connectMillis;

    /**
     * A request: {@code POST} with a body, {@code GET} without.
     *
     * @param uri where to (required)
     * @param headers names and values (required)
     * @param body bytes, or null
     * @param connectMillis how long connecting may take, above 0
     */
    Request(URI uri, Map<String, String> headers, byte @Nullable [] body, int connectMillis) {
      this.uri = uri;
      this.headers = headers;
      this.body = body;
      this.connectMillis = connectMillis;
    }

    /**
     * Where to.
     *
     * @return the address (never null)
     */
    public URI uri() {
      return uri;
    }

    /**
     * The headers; one of them may be a secret.
     *
     * @return names and values, unmodifiable (never null)
     */
    public Map<String, String> headers() {
      return headers;
    }

    /**
     * The body.
     *
     * @return bytes that nobody changes, or null for a {@code GET}
     */
    public byte @Nullable [] body() {
      return body;
    }

    /**
     * How long connecting may take.
     *
     * @return milliseconds, above 0
     */
    public int connectMillis() {
      return connectMillis;
    }

    /** Neither headers nor body: keys and what people ask do not belong into logs. */
    @Override
    public String toString() {
      return (body == null ? "GET " : "POST ") + uri;
    }
  }
}
