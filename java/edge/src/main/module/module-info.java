/** Layers of a model on another machine: client and worker. */
module io.github.llmmobile.edge {
  requires transitive io.github.llmmobile.core;
  requires com.google.protobuf;
  requires io.grpc;
  requires io.grpc.okhttp;
  requires io.grpc.protobuf.lite;
  requires io.grpc.stub;
  requires static io.grpc.netty.shaded;
  requires org.slf4j;
  requires tink.android;
  requires static org.jspecify;

  exports io.github.llmmobile.edge;
  exports io.github.llmmobile.edge.keys;
  exports io.github.llmmobile.edge.worker;
}
