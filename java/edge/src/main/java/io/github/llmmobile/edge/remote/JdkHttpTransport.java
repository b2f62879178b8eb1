package io.github.llmmobile.edge.remote;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.jspecify.annotations.Nullable;

/** The transport of desktops and servers, on {@code java.net.http}. Android does not have that. Threads: any. */
public final class JdkHttpTransport implements HttpTransport {
  private static final int CONNECT_SECONDS = 2;

  private final HttpClient client = HttpClient.newBuilder()
      .followRedirects(HttpClient.Redirect.NEVER)
      .connectTimeout(Duration.ofSeconds(CONNECT_SECONDS))
      .build();

  /** A transport with connections of its own. Connecting may take 2 s, or less if a request says so. */
  public JdkHttpTransport() {}

  @Override
  public Call call(Request request) {
    HttpRequest.Builder http = HttpRequest.newBuilder(request.uri());
    // Over plain HTTP the client would otherwise ask for an upgrade that few servers know.
    http.version("https".equalsIgnoreCase(request.uri().getScheme())
        ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1);
    request.headers().forEach(http::header);
    byte[] body = request.body();
    if (body != null) {
      http.POST(HttpRequest.BodyPublishers.ofByteArray(body));
    }
    return new JdkCall(http.build());
  }

  private final class JdkCall implements Call {
    private final HttpRequest request;
    private @Nullable CompletableFuture<HttpResponse<InputStream>> answer;
    private boolean cancelled;

    JdkCall(HttpRequest request) {
      this.request = request;
    }

    @Override
    public Response execute() throws IOException {
      CompletableFuture<HttpResponse<InputStream>> waited;
      synchronized (this) {
        if (cancelled) {
          throw new IOException("cancelled");
        }
        waited = client.sendAsync(request, BodyHandlers.ofInputStream());
        answer = waited;
      }
      try {
        return new JdkResponse(waited.get());
      } catch (InterruptedException e) {
        cancel();
        Thread.currentThread().interrupt();
        throw new InterruptedIOException("interrupted");
      } catch (CancellationException e) {
        throw new IOException("cancelled", e);
      } catch (ExecutionException e) {
        Throwable cause = e.getCause();
        throw cause instanceof IOException ? (IOException) cause : new IOException(cause);
      }
    }

    @Override
    public void cancel() {
      CompletableFuture<HttpResponse<InputStream>> running;
      synchronized (this) {
        cancelled = true;
        running = answer;
      }
      if (running == null || running.cancel(true)) {
        return;
      }
      // It is there already: closing its body ends the exchange.
      running.thenAccept(response -> {
        try {
          response.body().close();
        } catch (IOException e) {
          // It ends all the same.
        }
      });
    }
  }

  private static final class JdkResponse implements Response {
    private final HttpResponse<InputStream> response;

    JdkResponse(HttpResponse<InputStream> response) {
      this.response = response;
    }

    @Override
    public int status() {
      return response.statusCode();
    }

    @Override
    public Optional<String> header(String name) {
      return response.headers().firstValue(name);
    }

    @Override
    public InputStream body() {
      return response.body();
    }
  }
}
