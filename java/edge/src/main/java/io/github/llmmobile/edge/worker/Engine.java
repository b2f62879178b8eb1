package io.github.llmmobile.edge.worker;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.ModelInfo;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.SessionStats;
import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.edge.RowBasis;
import io.github.llmmobile.edge.RowCodec;
import io.github.llmmobile.edge.RowFormat;
import io.github.llmmobile.edge.SplitPages;
import io.github.llmmobile.edge.policy.LayerCosts;
import io.github.llmmobile.edge.policy.PageCosts;
import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.proto.Open;
import io.github.llmmobile.edge.wire.ProtocolException;
import io.github.llmmobile.edge.wire.Rows;
import io.github.llmmobile.edge.wire.Wire;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The worker's part of the model, and what a session on it takes. Threads: any. */
final class Engine implements AutoCloseable {
  /** Rows that a step evaluates at once at most, and so the most that a frame brings. */
  static final int MAX_ROWS = 512;

  private static final int DEFAULT_CONTEXT = 4096;

  private final LlmModel model;
  private final ModelInfo info;
  private final WorkerOptions options;
  private final int maxPositions;
  private final long cacheBytes;
  private final long workBytes;
  private final @Nullable PageCosts pageCosts;
  private final LayerCosts costs;

  private Engine(LlmModel model, WorkerOptions options) {
    this.model = model;
    this.options = options;
    info = model.info();
    LayerRange layers = options.layers();
    if (layers.end() != 0 && layers.end() != info.layers() || layers.begin() >= info.layers()) {
      throw new LlmException(ErrorCode.RANGE, "layers: must end with the model's last, such as " + layers.begin() + ":"
          + info.layers() + ", but are " + layers);
    }
    options.basis().ifPresent(basis -> basis.check(info));
    int trained = info.contextTrain() > 0 ? info.contextTrain() : DEFAULT_CONTEXT;
    maxPositions = options.contextTokens() > 0 ? options.contextTokens() : Math.min(DEFAULT_CONTEXT, trained);
    // The largest session that there can be tells what sessions cost, and whether this model can be served at all.
    try (LlmSession session = newSession(layers.begin(), maxPositions, null)) {
      session.evalHidden(new int[1], rows(1), null);
      SessionStats stats = session.stats();
      cacheBytes = stats.kvBytes();
      workBytes = stats.computeBytes();
    }
    pageCosts = options.pages().isPresent()
        ? PageCosts.measure(model, sessionOptions(layers.begin(), maxPositions), options.pages().get()) : null;
    if (options.spillDirectory().isPresent() && shareMb() < 1) {
      throw new LlmException(ErrorCode.INVALID_ARGUMENT, "maxMemoryBytes: " + options.maxMemoryBytes() + " for "
          + options.maxSessions() + " sessions leave less than a megabyte for the cache of each");
    }
    costs = LayerCosts.measureFrom(
        model, SessionOptions.builder().threads(options.threads()).build(), layers.begin());
  }

  /** Loads the layers of the options. */
  static Engine load(WorkerOptions options) {
    LlmModel model =
        LlmModel.load(ModelOptions.builder().path(options.model()).layers(options.layers()).build());
    try {
      return new Engine(model, options);
    } catch (RuntimeException e) {
      model.close();
      throw e;
    }
  }

  ModelInfo info() {
    return info;
  }

  /** What the layers take for one session at a time. */
  LayerCosts costs() {
    return costs;
  }

  int layerBegin() {
    return options.layers().begin();
  }

  int maxPositions() {
    return maxPositions;
  }

  /** Bytes that a session takes besides the weights. */
  long sessionBytes(int layerBegin, int positions, @Nullable SplitPages pages) {
    if (pages != null && pageCosts != null) {
      long most = ofLayers(layerBegin, pageCosts.cacheBytes(positions));
      return (options.spillDirectory().isPresent() ? Math.min(most, (long) shareMb() << 20) : most) + pageCosts.workBytes();
    }
    return ofLayers(layerBegin, (double) cacheBytes * positions / maxPositions) + workBytes;
  }

  private long ofLayers(int layerBegin, double bytesOfAll) {
    return (long) Math.ceil(bytesOfAll * (info.layers() - layerBegin) / (info.layers() - layerBegin()));
  }

  /** What the cache of one session may take where the rest goes to a file. */
  private int shareMb() {
    long work = pageCosts == null ? 0 : pageCosts.workBytes();
    return (int) Math.min(Integer.MAX_VALUE, (options.maxMemoryBytes() / options.maxSessions() - work) >> 20);
  }

  /** How sessions keep keys and values that ask for pages. */
  Optional<SplitPages> pages() {
    return options.pages();
  }

  /** The pages of a session; null if it has none. */
  @Nullable SplitPages pages(Open open) throws ProtocolException {
    if (!open.hasPages()) {
      return null;
    }
    SplitPages pages = Wire.pages(open.getPages());
    if (!options.pages().filter(pages::equals).isPresent()) {
      throw new ProtocolException(Code.PAGES_MISMATCH, "this worker does not keep " + pages);
    }
    return pages;
  }

  /** The basis for reduced rows. */
  Optional<RowBasis> basis() {
    return options.basis();
  }

  /** How the rows of a session travel. */
  RowFormat format(Open open) throws ProtocolException {
    RowCodec codec = Wire.codec(open.getCodec());
    if (open.getKeepDims() == 0 && open.getBasis().isEmpty()) {
      return RowFormat.of(codec, info.embedding());
    }
    RowBasis basis = options.basis()
        .filter(ours -> Arrays.equals(ours.digest(), open.getBasis().toByteArray()))
        .orElseThrow(() -> new ProtocolException(Code.BASIS_MISMATCH, "this worker has not the basis of the client"));
    if (open.getKeepDims() == 0 || !basis.splits().contains(open.getLayerBegin())
        || Integer.compareUnsigned(open.getKeepDims(), basis.dims(open.getLayerBegin())) > 0) {
      throw new ProtocolException(Code.BASIS_MISMATCH, "the basis is for splits " + basis.splits()
          + " and has not as many dimensions as the client keeps");
    }
    return RowFormat.reduced(codec, basis, open.getLayerBegin(), open.getKeepDims());
  }

  /** A session of layers from {@code layerBegin} on. */
  LlmSession newSession(int layerBegin, int positions, @Nullable SplitPages pages) {
    InferenceConfig.Builder config = InferenceConfig.builder().strict(true);
    if (pages != null) {
      // Without a file the room was reserved, and nothing must press.
      config.memoryManager(pages.config(options.spillDirectory().isPresent() ? shareMb() : Integer.MAX_VALUE,
          options.spillDirectory().orElse(null)));
    }
    return model.newSession(sessionOptions(layerBegin, positions), config.build());
  }

  private SessionOptions sessionOptions(int layerBegin, int positions) {
    return SessionOptions.builder().contextTokens(positions).batchTokens(MAX_ROWS).threads(options.threads())
        .layers(LayerRange.of(layerBegin, 0)).build();
  }

  /** A buffer for rows as {@link LlmSession#evalHidden} takes them. */
  FloatBuffer rows(int count) {
    return Rows.allocate(count, info.embedding());
  }

  @Override
  public void close() {
    model.close();
  }
}
