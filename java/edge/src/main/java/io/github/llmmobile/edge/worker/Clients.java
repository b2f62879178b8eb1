package io.github.llmmobile.edge.worker;

import io.github.llmmobile.edge.wire.Sha256;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import java.security.cert.CertificateEncodingException;
import java.util.Base64;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;
import org.jspecify.annotations.Nullable;

/**
 * Tells clients apart: by the fingerprint of the certificate that they have shown. Without TLS all are the same one. Threads:
 * any.
 */
final class Clients implements ServerInterceptor {
  /** Who is not known by a certificate. */
  static final String ANYBODY = "";

  private static final Context.Key<String> CLIENT = Context.keyWithDefault("llmm-client", ANYBODY);

  /** The client of the running call. */
  static String current() {
    return CLIENT.get();
  }

  @Override
  public <A, B> ServerCall.Listener<A> interceptCall(
      ServerCall<A, B> call, Metadata headers, ServerCallHandler<A, B> next) {
    Context context = Context.current()
        .withValue(CLIENT, fingerprint(call.getAttributes().get(Grpc.TRANSPORT_ATTR_SSL_SESSION)));
    return Contexts.interceptCall(context, call, headers, next);
  }

  private static String fingerprint(@Nullable SSLSession session) {
    if (session == null) {
      return ANYBODY;
    }
    try {
      return Base64.getEncoder().encodeToString(Sha256.of(session.getPeerCertificates()[0].getEncoded()));
    } catch (SSLPeerUnverifiedException | CertificateEncodingException e) {
      return ANYBODY;
    }
  }
}
