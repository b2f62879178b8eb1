package io.github.llmmobile.internal;

import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.github.llmmobile.internal.loader.CacheFolder;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.UUID;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The outcome of one probe as a file, {@code probes/<fingerprint>-<page size>-<library version>-<revision>.json} in a cache
 * folder.
 * It saves time and nothing else: what cannot be read or written is as if it were not there. Threads and processes: any;
 * a reader finds a whole file or none.
 */
public final class ProbeFile {
  private static final Logger LOG = LoggerFactory.getLogger(ProbeFile.class);

  /** Another number whenever the probe, the codec or the kernels come to another outcome within one library version. */
  private static final int REVISION = 2;

  private final @Nullable Path path;
  private final String model;
  private final int pageTokens;
  private final String library;

  private ProbeFile(@Nullable Path path, String model, int pageTokens, String library) {
    this.path = path;
    this.model = model;
    this.pageTokens = pageTokens;
    this.library = library;
  }

  /**
   * Names a file.
   *
   * @param cache the cache folder, or null for the one of this process, if it has one
   * @param model fingerprint of the model
   * @param pageTokens tokens per page
   * @param library version of the library
   * @return the file, or a stand-in for none
   */
  public static ProbeFile of(@Nullable Path cache, String model, int pageTokens, String library) {
    String name = model + "-" + pageTokens + "-" + library + "-" + REVISION + ".json";
    Path folder = cache != null ? cache : folder();
    return new ProbeFile(folder == null ? null : folder.resolve("probes").resolve(name), model, pageTokens, library);
  }

  private static @Nullable Path folder() {
    try {
      return CacheFolder.find().orElse(null);
    } catch (InvalidPathException e) {
      LOG.info("there is no cache folder: {}", e.toString());
      return null;
    }
  }

  /**
   * The outcome: from the file, else found out and written to the file.
   *
   * @param probe finds out
   * @return the outcome
   */
  public KvProbe readOr(Supplier<KvProbe> probe) {
    if (path == null) {
      return probe.get();
    }
    KvProbe known = read(path);
    if (known == null) {
      known = probe.get();
      write(path, known);
    }
    return known;
  }

  private @Nullable KvProbe read(Path file) {
    try {
      return parse(JsonParser.parseString(new String(Files.readAllBytes(file), StandardCharsets.UTF_8))
          .getAsJsonObject());
    } catch (NoSuchFileException e) {
      return null;
    } catch (IOException | JsonParseException | IllegalStateException | IllegalArgumentException
        | UnsupportedOperationException | NullPointerException e) {
      LOG.info("{} is not used: {}", file, e.toString());
      return null;
    }
  }

  private KvProbe parse(JsonObject json) {
    if (!json.get("model").getAsString().equals(model) || json.get("page_tokens").getAsInt() != pageTokens
        || !json.get("library").getAsString().equals(library) || json.get("revision").getAsInt() != REVISION) {
      throw new IllegalArgumentException("it is about something else");
    }
    Quantization safe = Quantization.valueOf(json.get("safe").getAsString().toUpperCase(Locale.ROOT));
    if (safe == Quantization.ADAPTIVE) {
      throw new IllegalArgumentException("no probe says " + safe);
    }
    return new KvProbe(safe, nats(json, "kl_4bit"), nats(json, "kl_smallest"), nats(json, "kl_noise"),
        nats(json, "limit"));
  }

  private static double nats(JsonObject json, String key) {
    double value = json.get(key).getAsDouble();
    if (Double.isNaN(value) || Double.isInfinite(value)) {
      throw new IllegalArgumentException(key + " is " + value);
    }
    return value;
  }

  private void write(Path file, KvProbe probe) {
    JsonObject json = new JsonObject();
    json.addProperty("model", model);
    json.addProperty("page_tokens", pageTokens);
    json.addProperty("library", library);
    json.addProperty("revision", REVISION);
    json.addProperty("safe", probe.safe.name().toLowerCase(Locale.ROOT));
    json.addProperty("kl_4bit", probe.fourBit);
    json.addProperty("kl_smallest", probe.smallest);
    json.addProperty("kl_noise", probe.noise);
    json.addProperty("limit", probe.limit);
    try {
      replace(file, (json + "\n").getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      LOG.info("{} is not written: {}", file, e.toString());
    }
  }

  private static void replace(Path file, byte[] content) throws IOException {
    Files.createDirectories(file.getParent());
    Path temporary = file.resolveSibling(file.getFileName() + "." + UUID.randomUUID() + ".tmp");
    try {
      try (FileOutputStream out = new FileOutputStream(temporary.toFile())) {
        out.write(content);
        out.getFD().sync();      // a crash must not leave a whole name with half a content
      }
      CacheFolder.put(temporary, file);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }
}
