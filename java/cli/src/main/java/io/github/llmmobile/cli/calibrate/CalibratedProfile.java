package io.github.llmmobile.cli.calibrate;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.github.llmmobile.LayerProfile;
import io.github.llmmobile.cli.algebra.Matrix;
import io.github.llmmobile.cli.compress.Work;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import io.github.llmmobile.gguf.GgufFile;
import io.github.llmmobile.gguf.GgufTensor;
import io.github.llmmobile.gguf.GgufValue;
import io.github.llmmobile.gguf.GgufWriter;
import io.github.llmmobile.gguf.TensorCodec;
import io.github.llmmobile.gguf.TensorType;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What was found out about a model, as the profile that sessions read, as a page for people, and as a table. */
public final class CalibratedProfile {
  private final LayerCosts costs;
  private final StandIns standIns;
  private final JsonObject data;

  private CalibratedProfile(LayerCosts costs, StandIns standIns, JsonObject data) {
    this.costs = costs;
    this.standIns = standIns;
    this.data = data;
  }

  /**
   * What is measured.
   *
   * @param layers of the model
   * @param width of its residual stream
   * @param ranks of stand-ins, 0 for none; each once, ascending
   * @param depth tokens in the cache, for the share of a step's reads
   * @param mostParts the most parts in the order
   * @param mostDivergence the order ends before this, nats
   */
  public record Plan(int layers, int width, List<Integer> ranks, int depth, int mostParts, double mostDivergence) {}

  /**
   * Measures a model.
   *
   * @param plan what is wanted (required)
   * @param file the model (required)
   * @param skippable its parts that can be left out (required)
   * @param trials with all texts begun (required)
   * @param standIns of these parts (required)
   * @param settings become a part of the profile's report (required)
   * @param progress hears of each trial (required)
   * @return the profile (never null)
   */
  public static CalibratedProfile measure(Plan plan, GgufFile file, int[] skippable, Trials trials, StandIns standIns,
      JsonObject settings, Work progress) {
    LayerCosts costs = LayerCosts.measure(trials, new PartWork(file, plan.width(), plan.depth()), standIns,
        plan.ranks(), plan.layers(), skippable, plan.mostParts(), plan.mostDivergence(), progress);
    return new CalibratedProfile(costs, standIns, json(plan, costs, trials, settings));
  }

  private static JsonObject json(Plan plan, LayerCosts costs, Trials trials, JsonObject settings) {
    JsonObject data = new JsonObject();
    data.addProperty("layers", plan.layers());
    data.addProperty("embedding", plan.width());
    data.add("hot_path", numbers(costs.hotPath()));
    data.add("order", numbers(costs.order()));
    JsonArray levels = new JsonArray();
    costs.levels().forEach((rank, list) -> {
      JsonObject level = levels(list);
      level.addProperty("rank", rank);
      levels.add(level);
    });
    data.add("levels", levels);
    JsonObject gates = new JsonObject();
    gates.add("entropy_edges", numbers(costs.entropyEdges()));
    gates.add("shares", numbers(costs.ranges().stream().map(LayerCosts.Range::share).toList()));
    gates.add("relative_kl", numbers(costs.ranges().stream().map(LayerCosts.Range::relative).toList()));
    data.add("gates", gates);
    data.add("report", report(costs, trials, settings));
    return data;
  }

  private static JsonObject levels(List<LayerCosts.Level> levels) {
    JsonObject json = new JsonObject();
    json.add("kl", numbers(levels.stream().map(LayerCosts.Level::divergence).toList()));
    json.add("perplexity", numbers(levels.stream().map(LayerCosts.Level::perplexity).toList()));
    json.add("work_saved", numbers(levels.stream().map(LayerCosts.Level::workSaved).toList()));
    return json;
  }

  private static JsonObject report(LayerCosts costs, Trials trials, JsonObject settings) {
    JsonObject report = new JsonObject();
    report.add("settings", settings);
    report.addProperty("perplexity", trials.perplexity(Trials.Text.CHOICE));
    report.addProperty("held_out_perplexity", trials.perplexity(Trials.Text.HELD_OUT));
    JsonArray parts = new JsonArray();
    for (LayerCosts.PartCost part : costs.parts()) {
      JsonObject json = new JsonObject();
      json.addProperty("part", part.part());
      json.addProperty("layer", Part.layer(part.part()));
      json.addProperty("kind", Part.kind(part.part()));
      json.addProperty("block_influence", part.blockInfluence());
      json.addProperty("kl", part.bare().divergence());
      json.addProperty("perplexity", part.bare().perplexity());
      json.addProperty("kl_stand_in", part.withStandIn().divergence());
      json.addProperty("perplexity_stand_in", part.withStandIn().perplexity());
      json.addProperty("explained", part.explained());
      json.addProperty("work_saved", part.workSaved());
      parts.add(json);
    }
    report.add("parts", parts);
    JsonArray layers = new JsonArray();
    costs.wholeLayers().forEach((layer, outcome) -> {
      JsonObject json = new JsonObject();
      json.addProperty("layer", layer);
      json.addProperty("kl_stand_in", outcome.divergence());
      json.addProperty("perplexity_stand_in", outcome.perplexity());
      layers.add(json);
    });
    report.add("whole_layers", layers);
    JsonArray controls = new JsonArray();
    for (LayerCosts.Control control : costs.controls()) {
      JsonObject json = levels(control.levels());
      json.addProperty("order_by", control.name());
      json.add("order", numbers(control.order()));
      json.add("parts", numbers(control.counts()));
      controls.add(json);
    }
    report.add("controls", controls);
    JsonArray gates = new JsonArray();
    for (LayerCosts.Gate gate : costs.gates()) {
      JsonObject json = new JsonObject();
      json.addProperty("gate", gate.name());
      json.addProperty("parts", gate.parts());
      json.addProperty("share", gate.share());
      json.addProperty("kl", gate.divergence());
      json.addProperty("perplexity", gate.perplexity());
      json.addProperty("relative_kl_per_work", gate.relative());
      gates.add(json);
    }
    report.add("gates", gates);
    return report;
  }

  private static JsonArray numbers(List<? extends Number> values) {
    JsonArray array = new JsonArray();
    values.forEach(array::add);
    return array;
  }

  /**
   * All numbers, as they stand in the profile.
   *
   * @return a JSON object (never null)
   */
  public JsonObject data() {
    return data;
  }

  /**
   * The profile as a page of HTML that loads nothing.
   *
   * @param modelName for its title (required)
   * @return the page (never null)
   */
  public String html(String modelName) {
    return new ProfilePage(costs, modelName).html();
  }

  /**
   * The order for people: a line for each part, with what leaving out all up to it costs and saves.
   *
   * @return the table (never null)
   */
  public TextTable table() {
    int rank = costs.greatestRank();
    TextTable table = new TextTable("rlrrrrr").heading("", "part", "KL alone", "with stand-in", "together", "perplexity",
        "reads saved");
    for (int i = 0; i < costs.order().size(); i++) {
      int number = costs.order().get(i);
      LayerCosts.PartCost part =
          costs.parts().stream().filter(cost -> cost.part() == number).findFirst().orElseThrow();
      LayerCosts.Level level = costs.levels().get(rank).get(i);
      table.row(String.valueOf(i + 1), Part.name(number), Units.decimal(part.bare().divergence(), 4),
          Units.decimal(part.withStandIn().divergence(), 4), Units.decimal(level.divergence(), 4),
          Units.decimal(100 * (level.perplexity() - 1), 2) + " %", Units.decimal(100 * level.workSaved(), 1) + " %");
    }
    return table;
  }

  /**
   * Gates for people: the divergence per unit of work saved, as a multiple of what it is when parts are left out of every
   * step, for each share of the steps.
   *
   * @return the table, without lines if there is no order (never null)
   */
  public TextTable gateTable() {
    List<LayerCosts.Gate> gates = costs.gates();
    TextTable table = new TextTable("lrrr");
    int shares = (int) gates.stream().map(LayerCosts.Gate::share).distinct().count() - 1;
    for (int from = 0; from < gates.size(); from += shares + 1) {
      List<String> line = new ArrayList<>(List.of(gates.get(from).name()));
      List<String> heading = new ArrayList<>(List.of("gate"));
      for (LayerCosts.Gate gate : gates.subList(from, from + shares)) {
        heading.add("for " + Units.decimal(100 * gate.share(), 0) + " % of the steps");
        line.add(Units.decimal(gate.relative(), 2));
      }
      if (from == 0) {
        table.heading(heading.toArray(String[]::new));
      }
      table.row(line.toArray(String[]::new));
    }
    return table;
  }

  /**
   * Writes the profile.
   *
   * @param target its path (required)
   * @param fingerprint of the model (required)
   * @param modelName for people (required)
   */
  public void write(Path target, String fingerprint, String modelName) {
    Map<String, GgufValue> metadata = new LinkedHashMap<>();
    metadata.put(LayerProfile.TYPE_KEY, GgufValue.text(LayerProfile.TYPE));
    metadata.put("general.name", GgufValue.text("Layer profile of " + modelName));
    metadata.put(LayerProfile.VERSION_KEY, GgufValue.uint32(LayerProfile.VERSION));
    metadata.put(LayerProfile.FINGERPRINT_KEY, GgufValue.text(fingerprint));
    metadata.put(LayerProfile.DATA_KEY, GgufValue.text(data.toString()));
    int rank = costs.greatestRank();
    List<GgufTensor> tensors = new ArrayList<>();
    List<byte[]> bytes = new ArrayList<>();
    if (rank > 0) {
      for (int part : costs.order()) {
        StandIn standIn = standIns.of(part);
        add(tensors, bytes, LayerProfile.name(part, "down"), TensorType.F16, standIn.down().head(rank));
        add(tensors, bytes, LayerProfile.name(part, "up"), TensorType.F16, standIn.up().head(rank));
        add(tensors, bytes, LayerProfile.name(part, "shift"), TensorType.F32,
            new Matrix(1, rank, Arrays.copyOf(standIn.shift(), rank)));
        add(tensors, bytes, LayerProfile.name(part, "mean"), TensorType.F32,
            new Matrix(1, standIn.mean().length, standIn.mean()));
      }
    }
    try (GgufWriter writer = GgufWriter.create(target, metadata, tensors)) {
      bytes.forEach(values -> writer.write(ByteBuffer.wrap(values)));
      writer.commit();
    }
  }

  private static void add(List<GgufTensor> tensors, List<byte[]> bytes, String name, TensorType type, Matrix values) {
    tensors.add(values.rows() == 1 ? GgufTensor.of(name, type, values.cols())
        : GgufTensor.of(name, type, values.cols(), values.rows()));
    bytes.add(TensorCodec.quantize(type, values.rows(), values.cols(), values.toFloats()));
  }
}
