package io.github.llmmobile.edge.remote;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Where a larger model is, and how to ask for it. Immutable. */
public final class RemoteEndpoint {
  private final URI base;
  private final @Nullable String model;
  private final @Nullable String apiKey;

  private RemoteEndpoint(URI base, @Nullable String model, @Nullable String apiKey) {
    this.base = base;
    this.model = model;
    this.apiKey = apiKey;
  }

  /**
   * An endpoint without a key, that serves one model.
   *
   * @param url such as {@code http://127.0.0.1:8080} or {@code https://host/v1}; the {@code /v1} may be left out
   *     (required)
   * @return the endpoint (never null)
   * @throws LlmException INVALID_ARGUMENT if that is no HTTP address, or if it holds a user, query or fragment
   */
  public static RemoteEndpoint of(String url) {
    return new RemoteEndpoint(parse(url), null, null);
  }

  /**
   * The same endpoint, asked for a model by name.
   *
   * @param name as the endpoint lists it (required)
   * @return the endpoint (never null)
   */
  public RemoteEndpoint withModel(String name) {
    return new RemoteEndpoint(base, Objects.requireNonNull(name, "name"), apiKey);
  }

  /**
   * The same endpoint with a key, which is sent as {@code Authorization: Bearer} and shown nowhere.
   *
   * @param key the key, printable ASCII (required)
   * @return the endpoint (never null)
   * @throws LlmException INVALID_ARGUMENT if the key would travel in the clear to another machine, or is malformed
   */
  public RemoteEndpoint withApiKey(String key) {
    if (key.isEmpty() || !key.chars().allMatch(c -> c > ' ' && c < 0x7f)) {
      throw invalid("the key of the endpoint must be printable ASCII without spaces");
    }
    if (!encrypted() && !loopback()) {
      throw invalid("the key would be sent in the clear to " + base.getHost() + "; use https");
    }
    return new RemoteEndpoint(base, model, key);
  }

  private static URI parse(String url) {
    URI uri;
    try {
      uri = new URI(url);
    } catch (URISyntaxException e) {
      // The message of the cause would repeat the address, and a password in it.
      throw invalid("the endpoint is not an address such as http://127.0.0.1:8080");
    }
    String scheme = uri.getScheme() == null ? "" : uri.getScheme().toLowerCase(Locale.ROOT);
    if (!scheme.equals("http") && !scheme.equals("https") || uri.getHost() == null) {
      throw invalid("the endpoint must begin with http:// or https:// and name a host");
    }
    if (uri.getRawUserInfo() != null || uri.getRawQuery() != null || uri.getRawFragment() != null) {
      throw invalid("the endpoint must be an address without user, query and fragment");
    }
    String path = uri.getRawPath() == null ? "" : uri.getRawPath();
    while (path.endsWith("/")) {
      path = path.substring(0, path.length() - 1);
    }
    if (!path.endsWith("/v1")) {
      path += "/v1";
    }
    return URI.create(scheme + "://" + uri.getRawAuthority() + path + "/");
  }

  private static LlmException invalid(String message) {
    return new LlmException(ErrorCode.INVALID_ARGUMENT, message);
  }

  /** The address of a resource such as {@code chat/completions}. */
  URI resolve(String resource) {
    return base.resolve(resource);
  }

  /**
   * The address, ending with {@code /v1/}.
   *
   * @return the address (never null)
   */
  public URI base() {
    return base;
  }

  /**
   * The model to ask for.
   *
   * @return its name; empty for the first that the endpoint lists (never null)
   */
  public Optional<String> model() {
    return Optional.ofNullable(model);
  }

  Optional<String> apiKey() {
    return Optional.ofNullable(apiKey);
  }

  /**
   * Whether the way there is encrypted.
   *
   * @return true for https
   */
  public boolean encrypted() {
    return base.getScheme().equals("https");
  }

  /**
   * Whether the endpoint is on this machine by its name or number.
   *
   * @return true for {@code localhost}, {@code 127.x.x.x} and {@code ::1}
   */
  public boolean loopback() {
    String host = base.getHost();
    return host.equalsIgnoreCase("localhost") || host.matches("127(\\.\\d{1,3}){3}") || host.equals("[::1]");
  }

  @Override
  public String toString() {
    return "RemoteEndpoint[" + base + (model == null ? "]" : ", model=" + model + "]");
  }
}
