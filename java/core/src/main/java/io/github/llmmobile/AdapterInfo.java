package io.github.llmmobile;

import java.util.Optional;

/** What an open LoRA adapter has. */
public final class AdapterInfo {
  private final String json;
  private final JsonFields fields;

  AdapterInfo(String json) {
    this.json = json;
    fields = JsonFields.parse(json);
  }

  /**
   * The rank in force, the largest where matrices differ.
   *
   * @return at least 1
   */
  public int rank() {
    return fields.integer("rank");
  }

  /**
   * The rank of the file, the largest where matrices differ.
   *
   * @return at least {@link #rank()}
   */
  public int fileRank() {
    return fields.integer("file_rank");
  }

  /**
   * How many matrices have factors.
   *
   * @return a count
   */
  public int matrices() {
    return fields.integer("matrices");
  }

  /**
   * What the factors take in memory.
   *
   * @return bytes
   */
  public long bytes() {
    return fields.number("bytes");
  }

  /**
   * Whether llama.cpp's own nodes apply all of it: see {@link AdapterOptions#exact()}.
   *
   * @return true if so
   */
  public boolean exact() {
    return fields.flag("exact");
  }

  /**
   * The only model that the adapter fits, by its {@link ModelInfo#fingerprint()}.
   *
   * @return hexadecimal digits, if the file names a model (never null)
   */
  public Optional<String> base() {
    return fields.optionalText("base");
  }

  /**
   * A digest that tells adapters apart.
   *
   * @return hexadecimal digits (never null)
   */
  public String fingerprint() {
    return fields.text("fingerprint");
  }

  /**
   * All of this as the native library wrote it.
   *
   * @return JSON (never null)
   */
  public String toJson() {
    return json;
  }
}
