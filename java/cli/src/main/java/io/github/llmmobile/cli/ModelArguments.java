package io.github.llmmobile.cli;

import io.github.llmmobile.AdapterOptions;
import io.github.llmmobile.FlashAttention;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.ProgressListener;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.cli.console.CliEnvironment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Which model, and how it is loaded and run. */
final class ModelArguments {
  private static final String HINT_NAME = "--model names a GGUF file; without it the default model is used";

  /** Whether attention runs in one fused kernel. */
  enum Attention {
    AUTO(FlashAttention.AUTO), ON(FlashAttention.ON), OFF(FlashAttention.OFF);

    private final FlashAttention value;

    Attention(FlashAttention value) {
      this.value = value;
    }

    FlashAttention value() {
      return value;
    }

    /** As it is typed. */
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  @Option(names = {"-m", "--model"}, paramLabel = "FILE",
      description = "Model (GGUF). Default: " + DefaultModel.NAME + " from the cache; see llm-mobile models.")
  @Nullable Path model;

  @Option(names = {"-t", "--threads"}, paramLabel = "N", defaultValue = "0",
      description = "Threads. Default: one per physical core.")
  int threads;

  @Option(names = "--batch-threads", paramLabel = "N", defaultValue = "0",
      description = "Threads for reading the prompt. Default: as --threads.")
  int batchThreads;

  @Option(names = {"-c", "--context"}, paramLabel = "N",
      description = "Tokens that prompt and answer may have together.")
  @Nullable Integer context;

  @Option(names = {"-b", "--batch"}, paramLabel = "N", description = "Tokens per step of reading the prompt.")
  @Nullable Integer batch;

  @Option(names = "--flash-attention", paramLabel = "auto|on|off", defaultValue = "auto",
      description = "Flash attention; auto (default) takes what decodes faster.")
  Attention flashAttention = Attention.AUTO;

  @Option(names = "--lora", paramLabel = "FILE[:SCALE]", converter = LoraArgument.Converter.class,
      description = "LoRA adapter (GGUF) and its strength, default 1. May be given more than once.")
  List<LoraArgument> lora = new ArrayList<>();

  @Option(names = "--lora-rank", paramLabel = "N", defaultValue = "0",
      description = "Take only the first N components of each adapter. Default: all.")
  int loraRank;

  @Option(names = "--lora-exact", description = "Apply adapters with llama.cpp's own steps: its results, but slower.")
  boolean loraExact;

  @Option(names = "--no-mmap", description = "Read the model into memory instead of mapping the file.")
  boolean noMmap;

  @Option(names = "--mlock", description = "Keep the weights from being swapped out.")
  boolean mlock;

  @Option(names = "--no-repack", description = "Do not repack weights for faster kernels; saves memory.")
  boolean noRepack;

  @Option(names = "--check-tensors", description = "Look for broken numbers in the weights while loading.")
  boolean checkTensors;

  /**
   * The model's file. Looks for the adapters as well: a missing one should not be noticed only after loading.
   *
   * @throws CliException if one of them is not there
   */
  Path path(CliEnvironment env) {
    for (LoraArgument adapter : lora) {
      if (!Files.isRegularFile(adapter.path())) {
        throw CliException.usage("no such LoRA adapter: " + adapter.path(), "--lora names a GGUF file");
      }
    }
    if (model == null) {
      return DefaultModel.require(env);
    }
    if (!Files.exists(model)) {
      throw new CliException(ExitCode.MODEL, "no such model file: " + model, HINT_NAME);
    }
    if (Files.isDirectory(model)) {
      throw new CliException(ExitCode.MODEL, "not a model file but a folder: " + model, HINT_NAME);
    }
    return model;
  }

  /** How the model is loaded. */
  ModelOptions modelOptions(Path path, ProgressListener progress) {
    return ModelOptions.builder().path(path).useMmap(!noMmap).useMlock(mlock).repack(!noRepack)
        .checkTensors(checkTensors).progress(progress).build();
  }

  /** How adapters are opened. */
  AdapterOptions adapterOptions() {
    return AdapterOptions.builder().rank(loraRank).exact(loraExact).build();
  }

  /**
   * How the session is set up.
   *
   * @param defaultContext tokens if {@code --context} is not given; 0 leaves the choice to the library
   */
  SessionOptions sessionOptions(int defaultContext) {
    SessionOptions.Builder options = SessionOptions.builder()
        .contextTokens(context != null ? context : defaultContext)
        .threads(threads).batchThreads(batchThreads).flashAttention(flashAttention.value());
    if (batch != null) {
      options.batchTokens(batch);
    }
    return options.build();
  }
}
