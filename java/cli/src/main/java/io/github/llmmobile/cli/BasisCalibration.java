package io.github.llmmobile.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.github.llmmobile.ModelInfo;
import io.github.llmmobile.cli.calibrate.BasisFit;
import io.github.llmmobile.cli.calibrate.Residuals;
import io.github.llmmobile.cli.calibrate.SplitRows;
import io.github.llmmobile.cli.compress.Work;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import io.github.llmmobile.edge.RowBasis;
import io.github.llmmobile.edge.RowCodec;
import io.github.llmmobile.edge.RowFormat;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The part of {@code calibrate} that makes a basis for reduced rows, and says what it loses on text that it has not seen. */
final class BasisCalibration {
  private static final List<Double> SHARES = List.of(0.25, 0.5, 0.75);
  private static final double FITTED = 0.7;

  private final Map<Integer, List<Loss>> losses = new TreeMap<>();

  /** What a reduction loses: the mean over rows of the squared length of the error as a share of the row's own. */
  private static final class Loss {
    final RowFormat format;
    double errors;
    long rows;

    Loss(RowFormat format) {
      this.format = format;
    }

    double error() {
      return errors / rows;
    }

    void add(float[] given) {
      int width = given.length;
      FloatBuffer decoded = FloatBuffer.allocate(width);
      format.decode(format.encode(FloatBuffer.wrap(given)), decoded);
      double error = 0;
      double square = Double.MIN_NORMAL;
      for (int i = 0; i < width; i++) {
        error += Math.pow((double) given[i] - decoded.get(i), 2);
        square += (double) given[i] * given[i];
      }
      errors += error / square;
      rows++;
    }
  }

  private BasisCalibration() {}

  /** Refuses splits that the model does not have. */
  static void check(List<Integer> splits, int layers) {
    if (splits.stream().anyMatch(split -> split < 1 || split >= layers)) {
      throw CliException.usage("--basis-layers must be from 1 to " + (layers - 1) + ", but is " + splits,
          "a basis for layer 15 serves --split 15");
    }
  }

  /**
   * Fits, writes and measures.
   *
   * @param fitted tokens that the basis is fitted to
   * @param heldOut tokens by which it is measured
   */
  static BasisCalibration run(Residuals model, ModelInfo info, String name, List<Integer> splits, int[] fitted,
      int[] heldOut, int window, Path target, JsonObject settings, Work work) {
    BasisCalibration made = new BasisCalibration();
    RowBasis.write(target, info, name, BasisFit.fit(model, splits, info.embedding(), fitted, window,
        (what, fraction) -> work.onStep(what, FITTED * fraction)), settings.toString());
    RowBasis basis = RowBasis.read(target);
    int width = info.embedding();
    for (int split : splits) {
      List<Loss> list = new ArrayList<>();
      SHARES.forEach(share ->
          list.add(new Loss(RowFormat.reduced(RowCodec.INT8, basis, split, Math.max(1, (int) (share * width))))));
      made.losses.put(split, list);
    }
    SplitRows.read(model, splits, width, heldOut, window, (split, from, count, rows) -> {
      float[] row = new float[width];
      for (int i = 0; i < count; i++) {
        System.arraycopy(rows, i * width, row, 0, width);
        made.losses.get(split).forEach(loss -> loss.add(row));
      }
    }, fraction -> work.onStep("measuring", FITTED + (1 - FITTED) * fraction));
    return made;
  }

  /** For each split what reductions take and lose. */
  JsonArray json() {
    JsonArray array = new JsonArray();
    losses.forEach((split, list) -> list.forEach(loss -> {
      JsonObject json = new JsonObject();
      json.addProperty("split", split);
      json.addProperty("keep_dims", loss.format.keepDims());
      json.addProperty("codec", loss.format.codec().toString());
      json.addProperty("record_bytes", loss.format.recordBytes());
      json.addProperty("error", loss.error());
      array.add(json);
    }));
    return array;
  }

  /** The same for people. */
  TextTable table() {
    TextTable table = new TextTable("rrrr").heading("split", "dimensions", "bytes per row, int8", "lost of the energy");
    losses.forEach((split, list) -> list.forEach(loss -> table.row(String.valueOf(split),
        String.valueOf(loss.format.keepDims()), String.valueOf(loss.format.recordBytes()),
        Units.decimal(100 * loss.error(), 2) + " %")));
    return table;
  }
}
