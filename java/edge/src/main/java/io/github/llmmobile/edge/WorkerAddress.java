package io.github.llmmobile.edge;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.edge.keys.CertificatePin;
import io.github.llmmobile.edge.keys.KeyFolder;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Where a worker is, and with which keys it is spoken to. Immutable. */
public final class WorkerAddress {
  private static final Pattern HOST_PORT = Pattern.compile("(\\[[0-9A-Fa-f:.]+\\]|[^:\\[\\]\\s/]+):([0-9]{1,5})");
  private static final int MAX_PORT = 65535;

  private final String host;
  private final int port;
  private final @Nullable KeyFolder keys;
  private final @Nullable CertificatePin pin;

  private WorkerAddress(String host, int port, @Nullable KeyFolder keys, @Nullable CertificatePin pin) {
    this.host = host;
    this.port = port;
    this.keys = keys;
    this.pin = pin;
  }

  /**
   * A worker that is spoken to over TLS, in both directions with certificates.
   *
   * @param hostPort such as {@code worker.example:7443} or {@code [::1]:7443} (required)
   * @param keys the client's files of the folder (required)
   * @return the address (never null)
   * @throws LlmException INVALID_ARGUMENT if the text is no host and port
   */
  public static WorkerAddress of(String hostPort, KeyFolder keys) {
    return parse(hostPort, Objects.requireNonNull(keys, "keys"));
  }

  /**
   * A worker on this machine without TLS. What is sent is encrypted all the same, but under a key that whoever answers may
   * have made.
   *
   * @param hostPort such as {@code localhost:7443}; other hosts are refused when connecting (required)
   * @return the address (never null)
   * @throws LlmException INVALID_ARGUMENT if the text is no host and port
   */
  public static WorkerAddress insecure(String hostPort) {
    return parse(hostPort, null);
  }

  private static WorkerAddress parse(String text, @Nullable KeyFolder keys) {
    Matcher parts = HOST_PORT.matcher(text);
    if (parts.matches()) {
      int port = Integer.parseInt(parts.group(2));
      if (port <= MAX_PORT) {
        String host = parts.group(1);
        return new WorkerAddress(host.startsWith("[") ? host.substring(1, host.length() - 1) : host, port, keys, null);
      }
    }
    throw new LlmException(
        ErrorCode.INVALID_ARGUMENT, "\"" + text + "\" is no HOST:PORT such as worker.example:7443");
  }

  /**
   * The host.
   *
   * @return a name or an address, without brackets (never null)
   */
  public String host() {
    return host;
  }

  /**
   * The port.
   *
   * @return from 0 to 65535; 0 only makes sense where something listens
   */
  public int port() {
    return port;
  }

  /**
   * The same with a pin.
   *
   * @param key which key the worker's certificate must have, whatever the folder of keys says (required)
   * @return the address (never null)
   * @throws LlmException INVALID_ARGUMENT if there is no TLS
   */
  public WorkerAddress pinned(CertificatePin key) {
    if (keys == null) {
      throw new LlmException(ErrorCode.INVALID_ARGUMENT, "a pin is of a certificate, and without TLS there is none");
    }
    return new WorkerAddress(host, port, keys, Objects.requireNonNull(key, "key"));
  }

  /**
   * The pin of this address.
   *
   * @return the pin; empty if that of the folder of keys counts, if there is one (never null)
   */
  public Optional<CertificatePin> pin() {
    return Optional.ofNullable(pin);
  }

  /**
   * The keys.
   *
   * @return the folder; empty without TLS (never null)
   */
  public Optional<KeyFolder> keys() {
    return Optional.ofNullable(keys);
  }

  /** Host and port, as they are typed. */
  @Override
  public String toString() {
    return (host.indexOf(':') >= 0 ? "[" + host + "]" : host) + ":" + port;
  }
}
