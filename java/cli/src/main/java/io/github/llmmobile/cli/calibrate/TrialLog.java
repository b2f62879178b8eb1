package io.github.llmmobile.cli.calibrate;

import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What has been measured so far, a line each in a file, so that a calibration that was stopped goes on where it was. A
 * file of other settings is begun anew; a line that was cut off is measured again.
 */
public final class TrialLog {
  private static final String SETTINGS = "settings";
  private static final String KEY = "trial";

  private final Path file;
  private final Map<String, Outcome> outcomes = new HashMap<>();

  /**
   * What a trial gave.
   *
   * @param divergence from the whole model's predictions, nats
   * @param perplexity of the text
   * @param share of the steps that left something out
   */
  public record Outcome(double divergence, double perplexity, double share) {}

  private TrialLog(Path file) {
    this.file = file;
  }

  /**
   * Opens or begins a log.
   *
   * @param file its path (required)
   * @param settings all that the outcomes depend on (required)
   * @return the log (never null)
   * @throws LlmException IO
   */
  public static TrialLog open(Path file, String settings) {
    TrialLog log = new TrialLog(file);
    try {
      if (Files.exists(file) && log.read(Files.readAllLines(file), settings)) {
        return log;
      }
      JsonObject head = new JsonObject();
      head.addProperty(SETTINGS, settings);
      Files.writeString(file, head + "\n");
      return log;
    } catch (IOException e) {
      throw failed(file, e);
    }
  }

  private boolean read(List<String> lines, String settings) {
    Map<String, Outcome> read = new HashMap<>();
    boolean same = false;
    for (String line : lines) {
      try {
        JsonObject json = JsonParser.parseString(line).getAsJsonObject();
        if (json.has(SETTINGS)) {
          same = json.get(SETTINGS).getAsString().equals(settings);
        } else {
          read.put(json.get(KEY).getAsString(), new Outcome(json.get("kl").getAsDouble(),
              json.get("perplexity").getAsDouble(), json.get("share").getAsDouble()));
        }
      } catch (JsonParseException | IllegalStateException | NullPointerException | UnsupportedOperationException e) {
        continue;
      }
    }
    if (same) {
      outcomes.putAll(read);
    }
    return same;
  }

  /**
   * How many outcomes there are.
   *
   * @return a count
   */
  public int size() {
    return outcomes.size();
  }

  Optional<Outcome> find(String key) {
    return Optional.ofNullable(outcomes.get(key));
  }

  void add(String key, Outcome outcome) {
    JsonObject json = new JsonObject();
    json.addProperty(KEY, key);
    json.addProperty("kl", outcome.divergence());
    json.addProperty("perplexity", outcome.perplexity());
    json.addProperty("share", outcome.share());
    try {
      Files.writeString(file, json + "\n", StandardOpenOption.APPEND);
    } catch (IOException e) {
      throw failed(file, e);
    }
    outcomes.put(key, outcome);
  }

  private static LlmException failed(Path file, IOException e) {
    return new LlmException(ErrorCode.IO, "cannot write " + file + ": " + e.getMessage(), e);
  }
}
