package io.github.llmmobile.cli.routing;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * How unsure a model usually is, from one run to the next: {@code routing/<fingerprint>.json} in the cache. What cannot
 * be read or written is as if it were not there.
 */
public final class LearnedFile {
  private static final String KEY = "uncertainties";
  private static final int MOST = 1024;

  private final Path path;

  /**
   * Names the file of a model.
   *
   * @param cache the cache folder (required)
   * @param fingerprint of the model (required)
   */
  public LearnedFile(Path cache, String fingerprint) {
    path = cache.resolve("routing").resolve(fingerprint + ".json");
  }

  /** {@return the uncertainties of former runs; none if there were none} */
  public double[] read() {
    try {
      JsonArray array = JsonParser.parseString(Files.readString(path)).getAsJsonObject().getAsJsonArray(KEY);
      double[] values = new double[Math.min(array.size(), MOST)];
      for (int i = 0; i < values.length; i++) {
        JsonElement element = array.get(i);
        values[i] = element.getAsDouble();
        if (!(values[i] >= 0 && values[i] <= 1)) {
          return new double[0];
        }
      }
      return values;
    } catch (IOException | JsonParseException | IllegalStateException | ClassCastException | NullPointerException
        | UnsupportedOperationException | NumberFormatException e) {
      return new double[0];
    }
  }

  /**
   * Keeps uncertainties for the next run.
   *
   * @param values from 0 to 1 (required)
   */
  public void write(double[] values) {
    JsonArray array = new JsonArray();
    for (double value : values) {
      array.add(value);
    }
    JsonObject json = new JsonObject();
    json.add(KEY, array);
    try {
      Files.createDirectories(path.getParent());
      Path fresh = Files.createTempFile(path.getParent(), "learned", ".tmp");
      Files.writeString(fresh, json.toString());
      Files.move(fresh, path, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      // The next run learns anew.
    }
  }
}
