package io.github.llmmobile;

import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Which model file, and how it is loaded. */
public final class ModelOptions {
  private final Path path;
  private final boolean useMmap;
  private final boolean useMlock;
  private final boolean checkTensors;
  private final boolean vocabOnly;
  private final boolean repack;
  private final LayerRange layers;
  private final @Nullable ProgressListener progress;

  private ModelOptions(Builder b, Path path) {
    this.path = path;
    useMmap = b.useMmap;
    useMlock = b.useMlock;
    checkTensors = b.checkTensors;
    vocabOnly = b.vocabOnly;
    repack = b.repack;
    layers = b.layers;
    progress = b.progress;
  }

  /**
   * A model with defaults for everything else.
   *
   * @param path the GGUF file; of a split model, the first part (required)
   * @return the options (never null)
   * @throws LlmException INVALID_ARGUMENT if the path is not of the default file system
   */
  public static ModelOptions of(Path path) {
    return builder().path(path).build();
  }

  /**
   * Starts from the defaults.
   *
   * @return a builder that still needs a path (never null)
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
    b.path = path;
    b.useMmap = useMmap;
    b.useMlock = useMlock;
    b.checkTensors = checkTensors;
    b.vocabOnly = vocabOnly;
    b.repack = repack;
    b.layers = layers;
    b.progress = progress;
    return b;
  }

  /**
   * The GGUF file.
   *
   * @return the path (never null)
   */
  public Path path() {
    return path;
  }

  /**
   * Whether the file is mapped rather than read into memory. Default: true.
   *
   * @return true to map it
   */
  public boolean useMmap() {
    return useMmap;
  }

  /**
   * Whether the weights are kept from being swapped out. Default: false.
   *
   * @return true to lock them
   */
  public boolean useMlock() {
    return useMlock;
  }

  /**
   * Whether loading looks for NaN and infinities in the weights, which takes a pass over the file. Default: false.
   *
   * @return true to look
   */
  public boolean checkTensors() {
    return checkTensors;
  }

  /**
   * Whether only vocabulary and metadata are loaded. Such a model tokenises but has no sessions. Default: false.
   *
   * @return true to leave the weights out
   */
  public boolean vocabOnly() {
    return vocabOnly;
  }

  /**
   * Whether weights are rearranged for the CPU's matrix kernels: faster, but the rearranged copy costs memory. Default:
   * true.
   *
   * @return true to rearrange them
   */
  public boolean repack() {
    return repack;
  }

  /**
   * The layers to load; the weights of the others stay in the file and take no memory. Sessions of such a model take and
   * give hidden states: {@link LlmSession#evalHidden}. Default: {@link LayerRange#ALL}.
   *
   * @return the layers (never null)
   */
  public LayerRange layers() {
    return layers;
  }

  /**
   * Who hears how far loading has come, and may cancel it. Default: nobody.
   *
   * @return the listener (never null)
   */
  public Optional<ProgressListener> progress() {
    return Optional.ofNullable(progress);
  }

  @Override
  public String toString() {
    return "ModelOptions[path=" + path + ", useMmap=" + useMmap + ", useMlock=" + useMlock + ", checkTensors="
        + checkTensors + ", vocabOnly=" + vocabOnly + ", repack=" + repack
        + ", layers=" + layers + "]";
  }

  /** Collects {@link ModelOptions}. Not for use by several threads at once. */
  public static final class Builder {
    private @Nullable Path path;
    private boolean useMmap = true;
    private boolean useMlock;
    private boolean checkTensors;
    private boolean vocabOnly;
    private boolean repack = true;
    private LayerRange layers = LayerRange.ALL;
    private @Nullable ProgressListener progress;

    private Builder() {}

    /**
     * Sets the model's file.
     *
     * @param path the GGUF file; of a split model, the first part (required)
     * @return this
     */
    public Builder path(Path path) {
      this.path = Objects.requireNonNull(path, "path");
      return this;
    }

    /**
     * Sets {@link ModelOptions#useMmap()}.
     *
     * @param useMmap true to map the file
     * @return this
     */
    public Builder useMmap(boolean useMmap) {
      this.useMmap = useMmap;
      return this;
    }

    /**
     * Sets {@link ModelOptions#useMlock()}.
     *
     * @param useMlock true to lock the weights
     * @return this
     */
    public Builder useMlock(boolean useMlock) {
      this.useMlock = useMlock;
      return this;
    }

    /**
     * Sets {@link ModelOptions#checkTensors()}.
     *
     * @param checkTensors true to look at every weight
     * @return this
     */
    public Builder checkTensors(boolean checkTensors) {
      this.checkTensors = checkTensors;
      return this;
    }

    /**
     * Sets {@link ModelOptions#vocabOnly()}.
     *
     * @param vocabOnly true to leave the weights out
     * @return this
     */
    public Builder vocabOnly(boolean vocabOnly) {
      this.vocabOnly = vocabOnly;
      return this;
    }

    /**
     * Sets {@link ModelOptions#repack()}.
     *
     * @param repack true to rearrange the weights
     * @return this
     */
    public Builder repack(boolean repack) {
      this.repack = repack;
      return this;
    }

    /**
     * Sets {@link ModelOptions#layers()}.
     *
     * @param layers the layers to load (required)
     * @return this
     */
    public Builder layers(LayerRange layers) {
      this.layers = Objects.requireNonNull(layers, "layers");
      return this;
    }

    /**
     * Sets {@link ModelOptions#progress()}.
     *
     * @param progress the listener (required)
     * @return this
     */
    public Builder progress(ProgressListener progress) {
      this.progress = Objects.requireNonNull(progress, "progress");
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the options (never null)
     * @throws LlmException INVALID_ARGUMENT if there is no path, or one that is not of the default file system
     */
    public ModelOptions build() {
      Path file = path;
      if (file == null) {
        throw Checks.invalid("path", "is required");
      }
      // Native code opens the file, and knows no other file system.
      if (!file.getFileSystem().equals(FileSystems.getDefault())) {
        throw Checks.invalid("path", file + " is not on the default file system");
      }
      return new ModelOptions(this, file);
    }
  }
}
