package io.github.llmmobile.edge;

import com.google.protobuf.ByteString;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.edge.policy.LayerCosts;
import io.github.llmmobile.edge.proto.Capabilities;
import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.wire.ProtocolException;
import io.github.llmmobile.edge.wire.Wire;
import java.time.Duration;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What a worker says about itself. Immutable. */
public final class WorkerInfo {
  private static final double NANOS_PER_MILLI = 1e6;

  private final Capabilities capabilities;

  WorkerInfo(Capabilities capabilities) {
    this.capabilities = capabilities;
  }

  /**
   * Asks a worker.
   *
   * @param address where it is (required)
   * @param timeout how long at most (required)
   * @return the answer (never null)
   * @throws LlmException REMOTE_UNAVAILABLE if there is none; REMOTE_REFUSED if the two have no version in common;
   *     INVALID_ARGUMENT if the address is not of this machine and there is no TLS
   */
  public static WorkerInfo ask(WorkerAddress address, Duration timeout) {
    try (WorkerChannel channel = new WorkerChannel(address)) {
      return channel.describe(timeout.toMillis());
    } catch (ProtocolException e) {
      throw Failures.of(address, e);
    }
  }

  /** The answer as it came. */
  Capabilities capabilities() {
    return capabilities;
  }

  /** Checks that the worker continues a model and knows a format. */
  void check(String model, int width, int layers, int split, RowFormat format) {
    if (!capabilities.getModel().equals(model) || capabilities.getDModel() != width
        || capabilities.getNLayer() != layers) {
      throw refused("serves another model: its fingerprint is " + capabilities.getModel() + ", not " + model);
    }
    if (split < capabilities.getLayerBegin() || split >= layers || capabilities.getLayerEnd() != layers) {
      throw refused("has layers " + capabilities.getLayerBegin() + ":" + capabilities.getLayerEnd()
          + ", so the split must be from " + capabilities.getLayerBegin() + " to " + (layers - 1) + ", but is " + split);
    }
    if (!capabilities.getCodecList().contains(Wire.codec(format.codec()))) {
      throw refused("does not know the codec " + format.codec());
    }
    format.basis().ifPresent(this::checkBasis);
  }

  private void checkBasis(RowBasis basis) {
    ByteString theirs = capabilities.getBasis();
    if (theirs.isEmpty()) {
      throw refused("has no basis to read reduced rows with; it needs the same file as the device");
    }
    ByteString ours = ByteString.copyFrom(basis.digest());
    if (!theirs.equals(ours)) {
      throw refused("has another basis: its SHA-256 is " + Wire.hex(theirs) + ", not " + Wire.hex(ours));
    }
  }

  /** Checks that the worker keeps pages as a session does that has been with it, or with another, before. */
  void checkPages(@Nullable SplitPages pages) throws ProtocolException {
    if (pages != null && !pages().filter(pages::equals).isPresent()) {
      throw new ProtocolException(Code.PAGES_MISMATCH, "the worker does not keep " + pages);
    }
  }

  private static LlmException refused(String what) {
    return new LlmException(ErrorCode.REMOTE_REFUSED, "the worker " + what);
  }

  /**
   * Fingerprint of the model.
   *
   * @return as {@link io.github.llmmobile.ModelInfo#fingerprint()} (never null)
   */
  public String model() {
    return capabilities.getModel();
  }

  /**
   * The first layer that the worker has, and so the least that a device keeps.
   *
   * @return at least 1
   */
  public int layerBegin() {
    return capabilities.getLayerBegin();
  }

  /**
   * Layers of the whole model.
   *
   * @return their number
   */
  public int layers() {
    return capabilities.getNLayer();
  }

  /**
   * Tokens that a session may hold.
   *
   * @return their number
   */
  public int maxPositions() {
    return capabilities.getMaxPositions();
  }

  /**
   * What its layers take for one session at a time.
   *
   * @return as the worker measured when it started; empty if it does not tell (never null)
   */
  public Optional<LayerCosts> costs() {
    double lastMs = capabilities.getLastLayerNs() / NANOS_PER_MILLI;
    double layerMs = capabilities.getLayerNs() / NANOS_PER_MILLI;
    return lastMs == 0 ? Optional.empty()
        : Optional.of(LayerCosts.of(layers(), layerMs, lastMs, layerMs, capabilities.getRowNs() / NANOS_PER_MILLI));
  }

  /**
   * How long steps have waited for their turn lately.
   *
   * @return nanoseconds; 0 if the worker does not tell
   */
  public long queueNanos() {
    return capabilities.getQueueNs();
  }

  /**
   * How the worker keeps keys and values of sessions that ask for it.
   *
   * @return the pages; empty if it keeps them unpaged, or in pages that are not known here (never null)
   */
  public Optional<SplitPages> pages() {
    if (!capabilities.hasPages()) {
      return Optional.empty();
    }
    try {
      return Optional.of(Wire.pages(capabilities.getPages()));
    } catch (ProtocolException e) {
      return Optional.empty();
    }
  }

  /**
   * Version of the worker's program.
   *
   * @return the version (never null)
   */
  public String build() {
    return capabilities.getBuild();
  }
}
