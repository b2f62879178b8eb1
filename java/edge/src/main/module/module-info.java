/** Collaboration of a device with a cloud. */
module io.github.llmmobile.edge {
  requires io.github.llmmobile.core;
  requires com.google.gson;
  requires org.slf4j;
  // Not on Android: only JdkHttpTransport needs it.
  requires static java.net.http;
  requires static org.jspecify;

  exports io.github.llmmobile.edge.policy;
  exports io.github.llmmobile.edge.remote;
}
