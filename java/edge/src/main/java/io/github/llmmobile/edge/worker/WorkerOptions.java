package io.github.llmmobile.edge.worker;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.edge.RowBasis;
import io.github.llmmobile.edge.SplitPages;
import io.github.llmmobile.edge.keys.KeyFolder;
import io.github.llmmobile.edge.wire.Range;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** How a worker is set up. Immutable. */
public final class WorkerOptions {
  private final Path model;
  private final LayerRange layers;
  private final InetSocketAddress listen;
  private final @Nullable KeyFolder keys;
  private final @Nullable RowBasis basis;
  private final @Nullable SplitPages pages;
  private final @Nullable Path spillDirectory;
  private final int maxSessions;
  private final int maxSessionsPerClient;
  private final long maxMemoryBytes;
  private final int contextTokens;
  private final int threads;
  private final int parallelSteps;
  private final Duration idle;
  private final Duration lease;

  private WorkerOptions(Builder b, Path model, InetSocketAddress listen) {
    this.model = model;
    this.listen = listen;
    layers = b.layers;
    keys = b.keys;
    basis = b.basis;
    pages = b.pages;
    spillDirectory = b.spillDirectory;
    maxSessions = b.maxSessions;
    maxSessionsPerClient = b.maxSessionsPerClient;
    maxMemoryBytes = b.maxMemoryBytes;
    contextTokens = b.contextTokens;
    threads = b.threads;
    parallelSteps = b.parallelSteps;
    idle = b.idle;
    lease = b.lease;
  }

  /**
   * Starts from the defaults.
   *
   * @return a builder that needs a model and an address (never null)
   */
  public static Builder builder() {
    return new Builder();
  }

  /**
   * The model's file.
   *
   * @return the GGUF file (never null)
   */
  public Path model() {
    return model;
  }

  /**
   * The layers that are loaded and served, the last layer among them. Default: all but the first.
   *
   * @return the layers (never null)
   */
  public LayerRange layers() {
    return layers;
  }

  /**
   * Where clients connect.
   *
   * @return the address; port 0 for any that is free (never null)
   */
  public InetSocketAddress listen() {
    return listen;
  }

  /**
   * Keys and certificates. Default: none, which serves without TLS and makes a key for the payload that lives as long as
   * the worker.
   *
   * @return the folder, if TLS is on (never null)
   */
  public Optional<KeyFolder> keys() {
    return Optional.ofNullable(keys);
  }

  /**
   * The basis with which reduced rows are read. Default: none, and devices send whole rows.
   *
   * @return the basis, if there is one (never null)
   */
  public Optional<RowBasis> basis() {
    return Optional.ofNullable(basis);
  }

  /**
   * How sessions keep keys and values, where clients know pages; others have them unpaged. Default: none, all are unpaged.
   *
   * @return the pages, if there are any (never null)
   */
  public Optional<SplitPages> pages() {
    return Optional.ofNullable(pages);
  }

  /**
   * The folder for pages that do not fit a session's share of the memory: {@link #maxMemoryBytes()} divided by {@link
   * #maxSessions()}. Nothing is forgotten, but each step reads them. Default: none, and a session gets all that it may need.
   *
   * @return the folder, if there is one (never null)
   */
  public Optional<Path> spillDirectory() {
    return Optional.ofNullable(spillDirectory);
  }

  /**
   * Sessions at once, those included whose stream has broken and that are kept for a while. Default: 64.
   *
   * @return at least 1
   */
  public int maxSessions() {
    return maxSessions;
  }

  /**
   * The same of one client: of those who have shown the same certificate, and without TLS of all together. Default: 0, no
   * bound but {@link #maxSessions()}.
   *
   * @return at least 0
   */
  public int maxSessionsPerClient() {
    return maxSessionsPerClient;
  }

  /**
   * Bytes that the caches and work buffers of all sessions may take together; weights are apart. Default: 0, no bound.
   *
   * @return bytes
   */
  public long maxMemoryBytes() {
    return maxMemoryBytes;
  }

  /**
   * Tokens that a session may hold. Default: 0, the smaller of 4096 and what the model was trained for.
   *
   * @return at least 0
   */
  public int contextTokens() {
    return contextTokens;
  }

  /**
   * Threads of a step. Default: 0, one per physical core.
   *
   * @return at least 0
   */
  public int threads() {
    return threads;
  }

  /**
   * Steps of different sessions that are evaluated at the same time. Default: 1.
   *
   * @return at least 1
   */
  public int parallelSteps() {
    return parallelSteps;
  }

  /**
   * How long a stream may be silent. Default: 60 seconds.
   *
   * @return the time (never null)
   */
  public Duration idle() {
    return idle;
  }

  /**
   * How long a session is kept whose stream has broken. Default: 30 seconds.
   *
   * @return the time (never null)
   */
  public Duration lease() {
    return lease;
  }

  /** Collects {@link WorkerOptions}. Not for use by several threads at once. */
  public static final class Builder {
    private @Nullable Path model;
    private @Nullable InetSocketAddress listen;
    private LayerRange layers = LayerRange.of(1, 0);
    private @Nullable KeyFolder keys;
    private @Nullable RowBasis basis;
    private @Nullable SplitPages pages;
    private @Nullable Path spillDirectory;
    private int maxSessions = 64;
    private int maxSessionsPerClient;
    private long maxMemoryBytes;
    private int contextTokens;
    private int threads;
    private int parallelSteps = 1;
    private Duration idle = Duration.ofSeconds(60);
    private Duration lease = Duration.ofSeconds(30);

    private Builder() {}

    /**
     * Sets {@link WorkerOptions#model()}.
     *
     * @param model the GGUF file (required)
     * @return this
     */
    public Builder model(Path model) {
      this.model = Objects.requireNonNull(model, "model");
      return this;
    }

    /**
     * Sets {@link WorkerOptions#layers()}.
     *
     * @param layers the layers; they begin after the first and end with the last (required)
     * @return this
     */
    public Builder layers(LayerRange layers) {
      this.layers = Objects.requireNonNull(layers, "layers");
      return this;
    }

    /**
     * Sets {@link WorkerOptions#listen()}.
     *
     * @param listen the address (required)
     * @return this
     */
    public Builder listen(InetSocketAddress listen) {
      this.listen = Objects.requireNonNull(listen, "listen");
      return this;
    }

    /**
     * Sets {@link WorkerOptions#keys()}.
     *
     * @param keys the folder (required)
     * @return this
     */
    public Builder keys(KeyFolder keys) {
      this.keys = Objects.requireNonNull(keys, "keys");
      return this;
    }

    /**
     * Sets {@link WorkerOptions#basis()}. Devices need the same file.
     *
     * @param basis of the model that is served (required)
     * @return this
     */
    public Builder basis(RowBasis basis) {
      this.basis = Objects.requireNonNull(basis, "basis");
      return this;
    }

    /**
     * Sets {@link WorkerOptions#pages()}.
     *
     * @param pages the pages (required)
     * @return this
     */
    public Builder pages(SplitPages pages) {
      this.pages = Objects.requireNonNull(pages, "pages");
      return this;
    }

    /**
     * Sets {@link WorkerOptions#spillDirectory()}.
     *
     * @param spillDirectory a folder, which need not exist (required)
     * @return this
     */
    public Builder spillDirectory(Path spillDirectory) {
      this.spillDirectory = Objects.requireNonNull(spillDirectory, "spillDirectory");
      return this;
    }

    /**
     * Sets {@link WorkerOptions#maxSessions()}.
     *
     * @param maxSessions from 1 to 100000
     * @return this
     */
    public Builder maxSessions(int maxSessions) {
      this.maxSessions = maxSessions;
      return this;
    }

    /**
     * Sets {@link WorkerOptions#maxSessionsPerClient()}.
     *
     * @param maxSessionsPerClient from 0 to 100000
     * @return this
     */
    public Builder maxSessionsPerClient(int maxSessionsPerClient) {
      this.maxSessionsPerClient = maxSessionsPerClient;
      return this;
    }

    /**
     * Sets {@link WorkerOptions#maxMemoryBytes()}.
     *
     * @param maxMemoryBytes at least 0
     * @return this
     */
    public Builder maxMemoryBytes(long maxMemoryBytes) {
      this.maxMemoryBytes = maxMemoryBytes;
      return this;
    }

    /**
     * Sets {@link WorkerOptions#contextTokens()}.
     *
     * @param contextTokens from 0 to 134217728
     * @return this
     */
    public Builder contextTokens(int contextTokens) {
      this.contextTokens = contextTokens;
      return this;
    }

    /**
     * Sets {@link WorkerOptions#threads()}.
     *
     * @param threads from 0 to 512
     * @return this
     */
    public Builder threads(int threads) {
      this.threads = threads;
      return this;
    }

    /**
     * Sets {@link WorkerOptions#parallelSteps()}.
     *
     * @param parallelSteps from 1 to 64
     * @return this
     */
    public Builder parallelSteps(int parallelSteps) {
      this.parallelSteps = parallelSteps;
      return this;
    }

    /**
     * Sets {@link WorkerOptions#idle()}.
     *
     * @param idle at least a millisecond (required)
     * @return this
     */
    public Builder idle(Duration idle) {
      this.idle = Objects.requireNonNull(idle, "idle");
      return this;
    }

    /**
     * Sets {@link WorkerOptions#lease()}.
     *
     * @param lease 0 or more (required)
     * @return this
     */
    public Builder lease(Duration lease) {
      this.lease = Objects.requireNonNull(lease, "lease");
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the options (never null)
     * @throws LlmException INVALID_ARGUMENT if model or address are missing, or there is a spill directory without pages in 16
     *     bits or without a bound of the memory; RANGE if a value is outside its range
     */
    public WorkerOptions build() {
      if (model == null || listen == null) {
        throw new LlmException(ErrorCode.INVALID_ARGUMENT, "a worker needs a model and an address to listen on");
      }
      Range.check("maxSessions", maxSessions, 1, 100_000);
      Range.check("maxSessionsPerClient", maxSessionsPerClient, 0, 100_000);
      Range.check("maxMemoryBytes", maxMemoryBytes, 0, Long.MAX_VALUE);
      Range.check("contextTokens", contextTokens, 0, 1 << 27);
      Range.check("threads", threads, 0, 512);
      Range.check("parallelSteps", parallelSteps, 1, 64);
      Range.check("idle", idle.toMillis(), 1, Long.MAX_VALUE);
      Range.check("lease", lease.toMillis(), 0, Long.MAX_VALUE);
      if (spillDirectory != null && (pages == null || pages.fourBit() || maxMemoryBytes == 0)) {
        throw new LlmException(ErrorCode.INVALID_ARGUMENT, "spillDirectory: needs pages in 16 bits, since what gives way in"
            + " 4 bits would be other tokens, and maxMemoryBytes, of which each session has its share");
      }
      if (layers.begin() < 1) {
        throw new LlmException(ErrorCode.RANGE,
            "layers: must begin after the first layer, which stays on the device, but are " + layers);
      }
      return new WorkerOptions(this, model, listen);
    }
  }
}
