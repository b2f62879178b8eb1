package io.github.llmmobile.edge.worker;

import com.google.protobuf.ByteString;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.TokenLogprob;
import io.github.llmmobile.edge.RowFormat;
import io.github.llmmobile.edge.SplitPages;
import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.proto.Label;
import io.github.llmmobile.edge.proto.Result;
import io.github.llmmobile.edge.proto.Step;
import io.github.llmmobile.edge.wire.ProtocolException;
import io.github.llmmobile.edge.wire.Rows;
import io.github.llmmobile.edge.wire.Wire;
import java.nio.FloatBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Rows of one session: what was evaluated, and up to where. Only on the session's lane. */
final class WorkerSession implements AutoCloseable {
  private static final int MAX_LABELS = 64;

  private final Engine engine;
  private final int layerBegin;
  private final int maxPositions;
  private final @Nullable SplitPages pages;
  private final Deque<Label> labels = new ArrayDeque<>();
  private @Nullable LlmSession session;
  private FloatBuffer rows;
  private int position;
  private boolean closed;

  WorkerSession(Engine engine, int layerBegin, int maxPositions, @Nullable SplitPages pages) {
    this.engine = engine;
    this.layerBegin = layerBegin;
    this.maxPositions = maxPositions;
    this.pages = pages;
    rows = engine.rows(1);
  }

  /** Makes what the session needs, the first time. */
  void prepare() {
    if (session == null && !closed) {
      session = engine.newSession(layerBegin, maxPositions, pages);
    }
  }

  int position() {
    return position;
  }

  /** Ends of steps, the newest first. */
  List<Label> labels() {
    return new ArrayList<>(labels);
  }

  /** Evaluates the rows of a step and puts what it asks for into the answer. */
  void step(Step step, RowFormat format, Result.Builder answer) throws ProtocolException {
    LlmSession evaluator = session;
    if (evaluator == null) {
      throw new ProtocolException(Code.ENGINE, "the session has ended");
    }
    if (step.getBase() != position) {
      throw new ProtocolException(Code.POSITION_GAP,
          "a step begins at " + step.getBase() + " where the session stands at " + position);
    }
    int count = count(step);
    if (position + count > maxPositions) {
      throw new ProtocolException(Code.CONTEXT_FULL,
          position + count + " positions are more than the " + maxPositions + " that the session was opened for");
    }
    decode(step, format, count);
    int width = engine.info().embedding();
    int at = 0;
    try {
      for (int size : step.getSizeList()) {
        evaluator.evalHidden(new int[size], Rows.some(rows, at, size, width), null);
        at += size;
        position += size;
      }
      addLabel(step.getLabel());
      answer.setPosition(position);
      if (step.getTopK() > 0) {
        candidates(evaluator, step, answer);
      }
    } catch (LlmException e) {
      throw new ProtocolException(Code.ENGINE, "evaluating failed: " + e.code());
    }
  }

  private static int count(Step step) throws ProtocolException {
    long count = 0;
    for (int size : step.getSizeList()) {
      if (size < 1 || size > Engine.MAX_ROWS) {
        throw new ProtocolException(Code.SHAPE, "a step has a batch of " + size + " rows");
      }
      count += size;
    }
    if (count == 0 || count > Engine.MAX_ROWS) {
      throw new ProtocolException(Code.SHAPE, "a step has " + count + " rows");
    }
    return (int) count;
  }

  private void decode(Step step, RowFormat format, int count) throws ProtocolException {
    if (step.getRows().size() != (long) count * format.recordBytes()) {
      throw new ProtocolException(
          Code.SHAPE, "a step has " + step.getRows().size() + " bytes for " + count + " rows");
    }
    if (rows.capacity() < count * engine.info().embedding()) {
      rows = engine.rows(count);
    }
    try {
      format.decode(step.getRows().toByteArray(), rows);
    } catch (LlmException e) {
      throw new ProtocolException(e.code() == ErrorCode.INVALID_ARGUMENT ? Code.NOT_FINITE : Code.ENGINE,
          "a row cannot be read");
    }
  }

  private static void candidates(LlmSession evaluator, Step step, Result.Builder answer) {
    int count = step.getTopK();
    List<TokenLogprob> top = evaluator.topLogprobs(count);
    int[] ids = new int[count];
    float[] logprobs = new float[count];
    for (int i = 0; i < count; i++) {
      ids[i] = top.get(i).token();
      logprobs[i] = (float) top.get(i).logprob();
    }
    answer.setCandidates(ByteString.copyFrom(Wire.candidates(ids, logprobs)));
    if (step.getLogSum()) {
      answer.setLogSum(Wire.logSum(evaluator, top.get(0)));
    }
  }

  private void addLabel(long label) {
    labels.addFirst(Label.newBuilder().setPosition(position).setLabel(label).build());
    if (labels.size() > MAX_LABELS) {
      labels.removeLast();
    }
  }

  /** Drops positions from {@code to} on. */
  void rewind(int to) throws ProtocolException {
    if (to < 0 || to > position) {
      throw new ProtocolException(
          Code.POSITION_GAP, "a rewind to " + to + " where the session stands at " + position);
    }
    if (session != null && to < position) {
      session.rewind(to);
    }
    position = to;
    for (Iterator<Label> label = labels.iterator(); label.hasNext(); ) {
      if (label.next().getPosition() > to) {
        label.remove();
      }
    }
  }

  @Override
  public void close() {
    closed = true;
    if (session != null) {
      session.close();
      session = null;
    }
  }
}
