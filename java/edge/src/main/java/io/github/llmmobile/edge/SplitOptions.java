package io.github.llmmobile.edge;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.ModelInfo;
import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.edge.policy.SplitPolicy;
import io.github.llmmobile.edge.wire.Range;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** How a split session is set up. Immutable. */
public final class SplitOptions {
  private final int split;
  private final RowCodec codec;
  private final @Nullable RowBasis basis;
  private final int keepDims;
  private final boolean localFallback;
  private final boolean exactReplay;
  private final int contextTokens;
  private final int threads;
  private final int batchThreads;
  private final @Nullable Duration stepDeadline;
  private final Duration connectTimeout;
  private final Duration remoteWait;
  private final SplitGate gate;
  private final @Nullable SplitPolicy policy;
  private final int promptTokens;
  private final int answerTokens;
  private final InferenceConfig techniques;

  private SplitOptions(Builder b) {
    split = b.split;
    codec = b.codec;
    basis = b.basis;
    keepDims = b.keepDims;
    localFallback = b.localFallback;
    exactReplay = b.exactReplay;
    contextTokens = b.contextTokens;
    threads = b.threads;
    batchThreads = b.batchThreads;
    stepDeadline = b.stepDeadline;
    connectTimeout = b.connectTimeout;
    remoteWait = b.remoteWait;
    gate = b.gate;
    policy = b.policy;
    promptTokens = b.promptTokens;
    answerTokens = b.answerTokens;
    techniques = b.techniques;
  }

  /**
   * Starts from the defaults.
   *
   * @return a builder (never null)
   */
  public static Builder builder() {
    return new Builder();
  }

  /**
   * Starts from these options.
   *
   * @return a builder with the same values (never null)
   */
  public Builder toBuilder() {
    Builder b = new Builder();
    b.split = split;
    b.codec = codec;
    b.basis = basis;
    b.keepDims = keepDims;
    b.localFallback = localFallback;
    b.exactReplay = exactReplay;
    b.contextTokens = contextTokens;
    b.threads = threads;
    b.batchThreads = batchThreads;
    b.stepDeadline = stepDeadline;
    b.connectTimeout = connectTimeout;
    b.remoteWait = remoteWait;
    b.gate = gate;
    b.policy = policy;
    b.promptTokens = promptTokens;
    b.answerTokens = answerTokens;
    b.techniques = techniques;
    return b;
  }

  /**
   * Layers that this device evaluates itself. Default: 0. Then a session with a {@link #policy()} and local fallback
   * measures and plans, and may come to the end that no split pays; others keep as few as the worker allows.
   *
   * @return the first layer of the worker's part, or 0
   */
  public int split() {
    return split;
  }

  /**
   * How hidden states travel. Default: {@link RowCodec#F16}.
   *
   * @return the codec (never null)
   */
  public RowCodec codec() {
    return codec;
  }

  /**
   * The basis in which hidden states are reduced before they travel. Default: none, they travel whole.
   *
   * @return the basis, if there is one (never null)
   */
  public Optional<RowBasis> basis() {
    return Optional.ofNullable(basis);
  }

  /**
   * Coefficients that are kept of each hidden state. Default: 0, half of the model's width if there is a basis.
   *
   * @return at least 0
   */
  public int keepDims() {
    return keepDims;
  }

  /** How rows of a model travel. */
  RowFormat format(ModelInfo info, int split) {
    if (basis == null) {
      return RowFormat.of(codec, info.embedding());
    }
    basis.check(info);
    return RowFormat.reduced(codec, basis, split, keepDims);
  }

  /** Whether rows can be sent at a split. */
  boolean readsRowsOf(int split) {
    return basis == null || basis.splits().contains(split);
  }

  /** The first split from one on at which rows can be sent; that one itself, if there is none. */
  int firstSplit(int least) {
    return basis == null ? least : basis.splits().stream().filter(k -> k >= least).min(Integer::compare).orElse(least);
  }

  /**
   * Whether this device goes on by itself when the worker does not answer in time. It then has all layers of the model, and
   * keys and values of the worker's layers as well while it needs them. Default: true.
   *
   * @return true to go on
   */
  public boolean localFallback() {
    return localFallback;
  }

  /**
   * Whether whoever takes over evaluates rows in the batches in which they were evaluated before, so that the answer is the
   * same whatever fails. False joins them, which is faster where many are missing, and may end in another word. Default:
   * true.
   *
   * @return true for the same answer
   */
  public boolean exactReplay() {
    return exactReplay;
  }

  /**
   * Tokens that the session can hold. Default: 0, which is the smallest of 4096, what the model was trained for and what
   * the worker takes.
   *
   * @return at least 0
   */
  public int contextTokens() {
    return contextTokens;
  }

  /**
   * Threads for decoding on this device. Default: 0, one per physical core.
   *
   * @return at least 0
   */
  public int threads() {
    return threads;
  }

  /**
   * Threads for reading prompts on this device. Default: 0, as {@link #threads()}.
   *
   * @return at least 0
   */
  public int batchThreads() {
    return batchThreads;
  }

  /**
   * How long the worker may take for a token before it is made here. Default: three times the 95th percentile of the last
   * steps, between 250 ms and 3 s, and 3 s for the first ones; steps of many rows get more.
   *
   * @return the time, if it is fixed (never null)
   */
  public Optional<Duration> stepDeadline() {
    return Optional.ofNullable(stepDeadline);
  }

  /**
   * How long connecting and opening a session may take. Default: 3 seconds.
   *
   * @return the time (never null)
   */
  public Duration connectTimeout() {
    return connectTimeout;
  }

  /**
   * Without local fallback, how long a step waits for a worker to come back. Default: 10 seconds.
   *
   * @return the time (never null)
   */
  public Duration remoteWait() {
    return remoteWait;
  }

  /**
   * Decides before each step. Default: the worker is always used.
   *
   * @return the gate (never null)
   */
  public SplitGate gate() {
    return gate;
  }

  /**
   * Decides what may be sent and whether a split pays. Default: none, and the worker is always used.
   *
   * @return the policy, if there is one (never null)
   */
  public Optional<SplitPolicy> policy() {
    return Optional.ofNullable(policy);
  }

  /**
   * Length of the first prompt, which the plan reckons with. Default: 64.
   *
   * @return tokens
   */
  public int promptTokens() {
    return promptTokens;
  }

  /**
   * Expected length of the first answer, which the plan reckons with. Default: 128.
   *
   * @return tokens
   */
  public int answerTokens() {
    return answerTokens;
  }

  /**
   * Techniques on this device: of the configuration, memory manager, token pruning and {@code strict}. The budget of the
   * memory manager is for all that this device keeps, with a local fallback each layer has the same share of it; what the
   * fallback keeps is paged as at the worker. Tokens are pruned in the device's layers alone. Default: none.
   *
   * @return the configuration (never null)
   */
  public InferenceConfig techniques() {
    return techniques;
  }

  /** Collects {@link SplitOptions}. Not for use by several threads at once. */
  public static final class Builder {
    private int split;
    private RowCodec codec = RowCodec.F16;
    private @Nullable RowBasis basis;
    private int keepDims;
    private boolean localFallback = true;
    private boolean exactReplay = true;
    private int contextTokens;
    private int threads;
    private int batchThreads;
    private @Nullable Duration stepDeadline;
    private Duration connectTimeout = Duration.ofSeconds(3);
    private Duration remoteWait = Duration.ofSeconds(10);
    private SplitGate gate = (rows, bytes) -> Optional.empty();
    private @Nullable SplitPolicy policy;
    private int promptTokens = 64;
    private int answerTokens = 128;
    private InferenceConfig techniques = InferenceConfig.empty();

    private Builder() {}

    /**
     * Sets {@link SplitOptions#split()}.
     *
     * @param split at least 0
     * @return this
     */
    public Builder split(int split) {
      this.split = split;
      return this;
    }

    /**
     * Sets {@link SplitOptions#codec()}.
     *
     * @param codec the codec (required)
     * @return this
     */
    public Builder codec(RowCodec codec) {
      this.codec = Objects.requireNonNull(codec, "codec");
      return this;
    }

    /**
     * Sets {@link SplitOptions#basis()}. The worker needs the same file.
     *
     * @param basis of the model that is split (required)
     * @return this
     */
    public Builder basis(RowBasis basis) {
      this.basis = Objects.requireNonNull(basis, "basis");
      return this;
    }

    /**
     * Sets {@link SplitOptions#keepDims()}.
     *
     * @param keepDims from 1 to {@link RowBasis#dims}, or 0 for half of the model's width
     * @return this
     */
    public Builder keepDims(int keepDims) {
      this.keepDims = keepDims;
      return this;
    }

    /**
     * Sets {@link SplitOptions#localFallback()}.
     *
     * @param localFallback false to wait for the worker, and fail without
     * @return this
     */
    public Builder localFallback(boolean localFallback) {
      this.localFallback = localFallback;
      return this;
    }

    /**
     * Sets {@link SplitOptions#exactReplay()}.
     *
     * @param exactReplay false for speed
     * @return this
     */
    public Builder exactReplay(boolean exactReplay) {
      this.exactReplay = exactReplay;
      return this;
    }

    /**
     * Sets {@link SplitOptions#contextTokens()}.
     *
     * @param contextTokens at least 0
     * @return this
     */
    public Builder contextTokens(int contextTokens) {
      this.contextTokens = contextTokens;
      return this;
    }

    /**
     * Sets {@link SplitOptions#threads()}.
     *
     * @param threads from 0 to 512
     * @return this
     */
    public Builder threads(int threads) {
      this.threads = threads;
      return this;
    }

    /**
     * Sets {@link SplitOptions#batchThreads()}.
     *
     * @param batchThreads from 0 to 512
     * @return this
     */
    public Builder batchThreads(int batchThreads) {
      this.batchThreads = batchThreads;
      return this;
    }

    /**
     * Sets {@link SplitOptions#stepDeadline()}.
     *
     * @param stepDeadline more than nothing (required)
     * @return this
     */
    public Builder stepDeadline(Duration stepDeadline) {
      this.stepDeadline = Objects.requireNonNull(stepDeadline, "stepDeadline");
      return this;
    }

    /**
     * Sets {@link SplitOptions#connectTimeout()}.
     *
     * @param connectTimeout more than nothing (required)
     * @return this
     */
    public Builder connectTimeout(Duration connectTimeout) {
      this.connectTimeout = Objects.requireNonNull(connectTimeout, "connectTimeout");
      return this;
    }

    /**
     * Sets {@link SplitOptions#remoteWait()}.
     *
     * @param remoteWait 0 or more (required)
     * @return this
     */
    public Builder remoteWait(Duration remoteWait) {
      this.remoteWait = Objects.requireNonNull(remoteWait, "remoteWait");
      return this;
    }

    /**
     * Sets {@link SplitOptions#gate()}.
     *
     * @param gate the gate (required)
     * @return this
     */
    public Builder gate(SplitGate gate) {
      this.gate = Objects.requireNonNull(gate, "gate");
      return this;
    }

    /**
     * Sets {@link SplitOptions#policy()}.
     *
     * @param policy the policy, which other sessions with this worker may share (required)
     * @return this
     */
    public Builder policy(SplitPolicy policy) {
      this.policy = Objects.requireNonNull(policy, "policy");
      return this;
    }

    /**
     * Sets {@link SplitOptions#promptTokens()} and {@link SplitOptions#answerTokens()}.
     *
     * @param prompt tokens, at least 0
     * @param answer tokens, at least 0
     * @return this
     */
    public Builder turn(int prompt, int answer) {
      promptTokens = prompt;
      answerTokens = answer;
      return this;
    }

    /**
     * Sets {@link SplitOptions#techniques()}.
     *
     * @param techniques the configuration; sections that do not act in a split session are reported (required)
     * @return this
     */
    public Builder techniques(InferenceConfig techniques) {
      this.techniques = Objects.requireNonNull(techniques, "techniques");
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the options (never null)
     * @throws LlmException RANGE if a value is outside its range; INVALID_ARGUMENT if fewer dimensions are to be kept
     *     without a basis
     */
    public SplitOptions build() {
      if (keepDims != 0 && basis == null) {
        throw new LlmException(ErrorCode.INVALID_ARGUMENT, "keepDims: needs a basis");
      }
      Range.check("split", split, 0, 100_000);
      Range.check("contextTokens", contextTokens, 0, 1 << 27);
      Range.check("threads", threads, 0, 512);
      Range.check("batchThreads", batchThreads, 0, 512);
      Range.check("promptTokens", promptTokens, 0, 1 << 27);
      Range.check("answerTokens", answerTokens, 0, 1 << 27);
      Range.check("connectTimeout in ms", connectTimeout.toMillis(), 1, Integer.MAX_VALUE);
      Range.check("remoteWait in ms", remoteWait.toMillis(), 0, Integer.MAX_VALUE);
      if (stepDeadline != null) {
        Range.check("stepDeadline in ms", stepDeadline.toMillis(), 1, Integer.MAX_VALUE);
      }
      return new SplitOptions(this);
    }
  }
}
