package io.github.llmmobile.edge.remote;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URLConnection;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The transport of Android, on {@link HttpURLConnection}; it works on desktops too. Threads: any. */
public final class UrlConnectionTransport implements HttpTransport {
  /** Nobody waits that long above; it only keeps a thread from hanging for ever. */
  private static final int READ_MILLIS = 60_000;

  /** A transport with the connections of the process. */
  public UrlConnectionTransport() {}

  @Override
  public Call call(Request request) {
    return new ConnectionCall(request);
  }

  private static final class ConnectionCall implements Call {
    private final Request request;
    private @Nullable HttpURLConnection connection;
    private boolean cancelled;

    ConnectionCall(Request request) {
      this.request = request;
    }

    @Override
    public Response execute() throws IOException {
      URLConnection opened = request.uri().toURL().openConnection();
      if (!(opened instanceof HttpURLConnection)) {
        throw new IOException("not an HTTP address: " + request.uri());
      }
      HttpURLConnection http = (HttpURLConnection) opened;
      synchronized (this) {
        if (cancelled) {
          throw new IOException("cancelled");
        }
        connection = http;
      }
      http.setInstanceFollowRedirects(false);
      http.setConnectTimeout(request.connectMillis());
      http.setReadTimeout(READ_MILLIS);
      http.setUseCaches(false);
      request.headers().forEach(http::setRequestProperty);
      byte[] body = request.body();
      if (body != null) {
        http.setDoOutput(true);
        http.setRequestMethod("POST");
        // With a fixed length the platform does not repeat a request by itself.
        http.setFixedLengthStreamingMode(body.length);
        try (OutputStream out = http.getOutputStream()) {
          out.write(body);
        }
      }
      return new ConnectionResponse(http, http.getResponseCode());
    }

    @Override
    public void cancel() {
      HttpURLConnection running;
      synchronized (this) {
        cancelled = true;
        running = connection;
      }
      if (running != null) {
        running.disconnect();
      }
    }
  }

  private static final class ConnectionResponse implements Response {
    private final HttpURLConnection connection;
    private final int status;

    ConnectionResponse(HttpURLConnection connection, int status) {
      this.connection = connection;
      this.status = status;
    }

    @Override
    public int status() {
      return status;
    }

    @Override
    public Optional<String> header(String name) {
      return Optional.ofNullable(connection.getHeaderField(name));
    }

    @Override
    public InputStream body() throws IOException {
      InputStream body = status >= HttpURLConnection.HTTP_BAD_REQUEST
          ? connection.getErrorStream() : connection.getInputStream();
      return body != null ? body : new ByteArrayInputStream(new byte[0]);
    }
  }
}
