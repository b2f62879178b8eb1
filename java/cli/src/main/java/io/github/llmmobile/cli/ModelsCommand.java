package io.github.llmmobile.cli;

import com.google.gson.JsonObject;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.ProgressBar;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code models}: the default model, where it is and whether it is sound. */
@Command(name = "models", header = "Show, find and check the default model.",
    description = {
      "Without an action, shows the default model, where it is, and whether it is there. path prints its path alone,"
          + " verify compares its SHA-256 with the known one. --model looks at a copy of it elsewhere.",
      "The cache is $LLMM_CACHE_DIR, else $XDG_CACHE_HOME/llm-mobile, else ~/.cache/llm-mobile. ci/fetch-models default"
          + " brings the model there.",
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  llm-mobile models",
      "  llm-mobile models verify",
      "  llm-mobile inspect --model \"$(llm-mobile models path)\"",
    })
final class ModelsCommand implements Callable<Integer> {
  /** What to do. */
  enum Action {
    LIST, PATH, VERIFY;

    /** As it is typed. */
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  private final CliEnvironment env;

  @Parameters(arity = "0..1", paramLabel = "list|path|verify", defaultValue = "list",
      description = "What to do, default list.")
  Action action = Action.LIST;

  @Option(names = {"-m", "--model"}, paramLabel = "FILE", description = "A copy of the default model elsewhere.")
  @Nullable Path model;

  @Mixin CommonArguments common = new CommonArguments();

  ModelsCommand(CliEnvironment env) {
    this.env = env;
  }

  @Override
  public Integer call() throws IOException {
    Path path = model != null ? model : DefaultModel.path(env);
    switch (action) {
      case PATH:
        print(facts(path), path.toString() + "\n");
        break;
      case VERIFY:
        verify(path);
        break;
      default:
        list(path);
    }
    return ExitCode.OK.number();
  }

  private void list(Path path) {
    TextTable table = new TextTable("ll")
        .row("name", DefaultModel.NAME + " (default)")
        .row("file", path.toString())
        .row("status", status(path))
        .row("size", Units.bytes(DefaultModel.SIZE_BYTES))
        .row("licence", DefaultModel.LICENSE)
        .row("sha-256", DefaultModel.SHA_256);
    if (!status(path).equals("present")) {
      table.row("get it", "ci/fetch-models default");
    }
    print(facts(path), table.render(env.outStyle()));
  }

  private void verify(Path path) throws IOException {
    if (!Files.isRegularFile(path)) {
      throw new CliException(ExitCode.MODEL, "the default model is missing: " + path, DefaultModel.HINT_FETCH);
    }
    long size = DefaultModel.size(path);
    String digest;
    try (ProgressBar bar = new ProgressBar(env, "reading")) {
      digest = DefaultModel.sha256(path, read -> bar.update(size > 0 ? read / (double) size : 1));
    }
    if (!digest.equals(DefaultModel.SHA_256)) {
      throw new CliException(ExitCode.MODEL, "the file is not the default model: " + path + " has SHA-256 " + digest
          + ", not " + DefaultModel.SHA_256, "delete it and fetch it again with: ci/fetch-models default");
    }
    JsonObject json = facts(path);
    json.addProperty("verified", true);
    print(json, env.outStyle().green("ok") + "  " + path + "\n");
  }

  private JsonObject facts(Path path) {
    JsonObject json = new JsonObject();
    json.addProperty("name", DefaultModel.NAME);
    json.addProperty("path", path.toString());
    json.addProperty("status", status(path));
    json.addProperty("size_bytes", DefaultModel.SIZE_BYTES);
    json.addProperty("license", DefaultModel.LICENSE);
    json.addProperty("sha256", DefaultModel.SHA_256);
    return json;
  }

  private static String status(Path path) {
    if (!Files.isRegularFile(path)) {
      return "missing";
    }
    return DefaultModel.size(path) == DefaultModel.SIZE_BYTES ? "present" : "incomplete";
  }

  private void print(JsonObject json, String text) {
    env.out().print(common.json ? Json.line(json) + "\n" : text);
    env.flush();
  }
}
