package io.github.llmmobile.edge.worker;

import io.github.llmmobile.edge.health.HealthCheckRequest;
import io.github.llmmobile.edge.health.HealthCheckResponse;
import io.github.llmmobile.edge.health.HealthCheckResponse.ServingStatus;
import io.github.llmmobile.edge.health.HealthGrpc;
import io.github.llmmobile.edge.proto.SplitInferenceGrpc;
import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.HashSet;
import java.util.Set;

/** gRPC's health check for the worker as a whole and for its one service. Threads: any. */
final class HealthService extends HealthGrpc.HealthImplBase {
  private final Set<StreamObserver<HealthCheckResponse>> watchers = new HashSet<>();
  private boolean serving = true;

  @Override
  public void check(HealthCheckRequest request, StreamObserver<HealthCheckResponse> answer) {
    if (!known(request)) {
      answer.onError(Status.NOT_FOUND.withDescription("no such service").asRuntimeException());
      return;
    }
    answer.onNext(status());
    answer.onCompleted();
  }

  @Override
  public void watch(HealthCheckRequest request, StreamObserver<HealthCheckResponse> answer) {
    if (!known(request)) {
      answer.onNext(HealthCheckResponse.newBuilder().setStatus(ServingStatus.SERVICE_UNKNOWN).build());
      return;
    }
    synchronized (watchers) {
      ((ServerCallStreamObserver<HealthCheckResponse>) answer).setOnCancelHandler(() -> forget(answer));
      watchers.add(answer);
      answer.onNext(status());
    }
  }

  private void forget(StreamObserver<HealthCheckResponse> answer) {
    synchronized (watchers) {
      watchers.remove(answer);
    }
  }

  /** From now on the worker takes no new work. Watchers hear it, and their calls end. */
  void stop() {
    synchronized (watchers) {
      serving = false;
      for (StreamObserver<HealthCheckResponse> watcher : watchers) {
        watcher.onNext(status());
        watcher.onCompleted();
      }
      watchers.clear();
    }
  }

  private HealthCheckResponse status() {
    synchronized (watchers) {
      return HealthCheckResponse.newBuilder()
          .setStatus(serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING).build();
    }
  }

  private static boolean known(HealthCheckRequest request) {
    return request.getService().isEmpty() || request.getService().equals(SplitInferenceGrpc.SERVICE_NAME);
  }
}
