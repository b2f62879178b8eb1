package io.github.llmmobile.cli;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.llmmobile.GgufInfo;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code inspect}: facts of a model file, from its header alone. */
@Command(name = "inspect", header = "Show the facts of a model file.",
    description = "Reads the header of the GGUF file and no weights, so it is quick for files of any size. Options that"
        + " concern running the model are accepted and have no effect.",
    footerHeading = "%nExamples:%n",
    footer = {
      "  llm-mobile inspect",
      "  llm-mobile inspect --model other.gguf --tensors",
      "  llm-mobile inspect --json --model other.gguf",
    })
final class InspectCommand implements Callable<Integer> {
  /** Chat templates and licence texts run over many lines; the table shows their beginning. */
  private static final int VALUE_WIDTH = 60;

  private final CliEnvironment env;

  @Option(names = "--tensors", description = "List the tensors: name, type, shape, size.")
  boolean tensors;

  @Mixin ModelArguments models = new ModelArguments();
  @Mixin ConfigArguments configuration = new ConfigArguments();
  @Mixin CommonArguments common = new CommonArguments();

  InspectCommand(CliEnvironment env) {
    this.env = env;
  }

  @Override
  public Integer call() {
    configuration.merged();
    Path path = models.path(env);
    GgufInfo info = LlmModel.inspect(path);
    if (common.json) {
      env.out().println(Json.line(json(path, info)));
    } else {
      print(path, info);
    }
    env.flush();
    return ExitCode.OK.number();
  }

  private JsonObject json(Path path, GgufInfo info) {
    JsonObject json = new JsonObject();
    json.addProperty("file", path.toString());
    JsonObject header = JsonParser.parseString(info.toJson()).getAsJsonObject();
    if (!tensors) {
      header.remove("tensors");
    }
    header.entrySet().forEach(entry -> json.add(entry.getKey(), entry.getValue()));
    return json;
  }

  private void print(Path path, GgufInfo info) {
    TextTable facts = new TextTable("ll")
        .row("file", path.toString())
        .row("size", Units.bytes(info.sizeBytes()))
        .row("format", "GGUF version " + info.version())
        .row("parameters", Units.count(info.parameters()))
        .row("tensors", Long.toString(info.tensorCount()));
    env.out().print(facts.render(env.outStyle()));
    TextTable metadata = new TextTable("ll").heading("metadata", "value");
    info.metadata().forEach((key, value) -> metadata.row(key, shown(value)));
    env.out().print("\n" + metadata.render(env.outStyle()));
    if (tensors) {
      printTensors(info);
    }
  }

  private void printTensors(GgufInfo info) {
    TextTable table = new TextTable("llrr").heading("tensor", "type", "shape", "size");
    info.tensors().forEach(tensor -> table.row(tensor.name(), tensor.type(),
        tensor.shape().stream().map(String::valueOf).collect(Collectors.joining(" x ")),
        Units.bytes(tensor.bytes())));
    env.out().print("\n" + table.render(env.outStyle()));
  }

  /** A value on one line: control characters as escapes, long text shortened, a long array as its type and length. */
  private static String shown(Object value) {
    if (value instanceof Map<?, ?> array && array.containsKey("length")) {
      return array.get("length") + " x " + array.get("type");
    }
    String text = String.valueOf(value).replace("\r", "").replace("\n", "\\n").replace("\t", "\\t");
    int length = text.codePointCount(0, text.length());
    if (length <= VALUE_WIDTH) {
      return text;
    }
    return text.substring(0, text.offsetByCodePoints(0, VALUE_WIDTH - 1)) + "\u2026 (" + length + " characters)";
  }
}
