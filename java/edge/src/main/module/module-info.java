/** Collaboration of a device with a cloud: layers of a model at a worker, other models behind HTTP, and who decides. */
module io.github.llmmobile.edge {
  requires transitive io.github.llmmobile.core;
  requires com.google.gson;
  requires com.google.protobuf;
  requires io.grpc;
  requires io.grpc.okhttp;
  requires io.grpc.protobuf.lite;
  requires io.grpc.stub;
  requires static io.grpc.netty.shaded;
  // Not on Android: only JdkHttpTransport needs it.
  requires static java.net.http;
  requires org.slf4j;
  requires tink.android;
  requires static org.jspecify;

  exports io.github.llmmobile.edge;
  exports io.github.llmmobile.edge.keys;
  exports io.github.llmmobile.edge.policy;
  exports io.github.llmmobile.edge.remote;
  exports io.github.llmmobile.edge.worker;

  provides io.github.llmmobile.spi.EdgeCloud with io.github.llmmobile.edge.WorkerEdgeCloud;
}
