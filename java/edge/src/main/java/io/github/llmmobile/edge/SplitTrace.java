package io.github.llmmobile.edge;

import io.github.llmmobile.edge.policy.Place;
import io.github.llmmobile.edge.policy.Reason;
import io.github.llmmobile.edge.policy.RoutingEvent;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * The decisions of a split session: steps in a row that were made at the same place for the same reason are one. Give it to
 * {@link SplitSession#generate}, or its steps to it. Not for use by several threads at once.
 */
public final class SplitTrace implements SplitListener {
  private final List<Run> runs = new ArrayList<>();

  /** Nothing has been decided yet. */
  public SplitTrace() {}

  /** Steps in a row. */
  private static final class Run {
    private final SplitEvent first;
    private final int position;
    private int tokens;
    private long sentBytes;
    private long receivedBytes;
    private long micros;

    Run(SplitEvent first, int position) {
      this.first = first;
      this.position = position;
    }

    boolean goesOn(SplitEvent event) {
      return event.where() == first.where() && event.why() == first.why() && event.reason().equals(first.reason());
    }

    void add(SplitEvent event) {
      tokens++;
      sentBytes += event.sentBytes();
      receivedBytes += event.receivedBytes();
      micros += event.lowerMicros() + event.upperMicros();
    }

    RoutingEvent event() {
      boolean more = first.why() == Reason.REMOTE_FAILED || first.why() == Reason.GATE;
      return RoutingEvent.of(first.where() == SplitEvent.Where.SPLIT ? Place.SPLIT : Place.LOCAL, first.why())
          .position(position).tokens(tokens).bytes(sentBytes, receivedBytes)
          .nanos(TimeUnit.MICROSECONDS.toNanos(micros)).detail(more ? first.reason() : "").build();
    }
  }

  @Override
  public void onStep(SplitEvent event) {
    Run last = runs.isEmpty() ? null : runs.get(runs.size() - 1);
    if (last == null || !last.goesOn(event)) {
      last = new Run(event, last == null ? 0 : last.position + last.tokens);
      runs.add(last);
    }
    last.add(event);
  }

  /**
   * What was decided so far.
   *
   * @return the decisions in their order (never null)
   */
  public List<RoutingEvent> events() {
    List<RoutingEvent> events = new ArrayList<>(runs.size());
    for (Run run : runs) {
      events.add(run.event());
    }
    return events;
  }
}
