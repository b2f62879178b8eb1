package io.github.llmmobile.edge;

import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LayerRange;
import io.github.llmmobile.edge.worker.Worker;
import io.github.llmmobile.edge.worker.WorkerOptions;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Workers in this process, sessions with them, and what they must come to. */
final class SplitFixture {
  static final GenerationOptions GREEDY = GenerationOptions.builder().temperature(0).maxTokens(24).build();

  private SplitFixture() {}

  static WorkerOptions.Builder workerOptions() {
    return WorkerOptions.builder().model(TinyModels.deep()).layers(LayerRange.of(1, 0)).threads(1)
        .contextTokens(TinyModels.CONTEXT).listen(loopback(0));
  }

  static InetSocketAddress loopback(int port) {
    return new InetSocketAddress(InetAddress.getLoopbackAddress(), port);
  }

  static Worker worker() {
    return Worker.start(workerOptions().build());
  }

  static WorkerAddress address(Worker worker) {
    return WorkerAddress.insecure("127.0.0.1:" + worker.port());
  }

  /** A busy machine should not make a step local: only tests of deadlines have short ones. */
  static SplitOptions.Builder options() {
    return SplitOptions.builder().stepDeadline(Duration.ofSeconds(60)).connectTimeout(Duration.ofSeconds(30)).codec(RowCodec.F32).contextTokens(TinyModels.CONTEXT).threads(1);
  }

  static int[] prompt(long seed, int length) {
    Random random = new Random(seed);
    return random.ints(length, 3, 259).toArray();
  }

  /** What the whole model says by itself. */
  static int[] local(int[] prompt, GenerationOptions options) {
    return RealModels.answer(TinyModels.deepModel(), prompt, TinyModels.CONTEXT, options);
  }

  /** Keeps what it hears. */
  static final class Heard implements SplitListener {
    final List<Integer> tokens = new ArrayList<>();
    final List<SplitEvent> steps = new ArrayList<>();
    final StringBuilder text = new StringBuilder();

    @Override
    public void onToken(int token, String piece) {
      if (token != SplitSession.NO_TOKEN) {
        tokens.add(token);
      }
      text.append(piece);
    }

    @Override
    public void onStep(SplitEvent event) {
      steps.add(event);
    }

    long count(SplitEvent.Where where) {
      return steps.stream().filter(step -> step.where() == where).count();
    }
  }
}
