package io.github.llmmobile;

import com.google.gson.JsonElement;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/** Facts of a GGUF file, read from its header alone. */
public final class GgufInfo {
  private final String json;
  private final JsonFields fields;
  private final Map<String, Object> metadata;
  private final List<Tensor> tensors;

  GgufInfo(String json) {
    this.json = json;
    fields = JsonFields.parse(json);
    @SuppressWarnings("unchecked")
    Map<String, Object> map = (Map<String, Object>) JsonFields.plain(fields.object("metadata"));
    metadata = map;
    List<Tensor> list = new ArrayList<>();
    for (JsonElement tensor : fields.array("tensors")) {
      list.add(new Tensor(new JsonFields(tensor.getAsJsonObject())));
    }
    tensors = Collections.unmodifiableList(list);
  }

  /**
   * Version of the file format.
   *
   * @return 2 or 3
   */
  public int version() {
    return fields.integer("version");
  }

  /**
   * Size of the file.
   *
   * @return bytes
   */
  public long sizeBytes() {
    return fields.number("size_bytes");
  }

  /**
   * Where the tensors' data begins.
   *
   * @return bytes from the start of the file
   */
  public long dataOffset() {
    return fields.number("data_offset");
  }

  /**
   * How many tensors the file has.
   *
   * @return a count
   */
  public long tensorCount() {
    return fields.number("tensor_count");
  }

  /**
   * How many weights the file has.
   *
   * @return a count
   */
  public long parameters() {
    return fields.number("parameters");
  }

  /**
   * The metadata. Values are String, Boolean, Long, Double, a List of these, or, for an array of more than 16 elements,
   * a Map with its {@code type} and {@code length}.
   *
   * @return values by key in the order of the file, unmodifiable (never null)
   */
  public Map<String, Object> metadata() {
    return metadata;
  }

  /**
   * The tensors.
   *
   * @return in the order of the file, unmodifiable (never null)
   */
  public List<Tensor> tensors() {
    return tensors;
  }

  /**
   * All of this as the native library wrote it.
   *
   * @return one JSON object (never null)
   */
  public String toJson() {
    return json;
  }

  @Override
  public String toString() {
    return "GgufInfo[version " + version() + ", " + tensorCount() + " tensors, " + parameters() + " parameters]";
  }

  /** One tensor of the file. */
  public static final class Tensor {
    private final String name;
    private final String type;
    private final List<Long> shape;
    private final long bytes;

    private Tensor(JsonFields fields) {
      name = fields.text("name");
      type = fields.text("type");
      bytes = fields.number("bytes");
      List<Long> sizes = new ArrayList<>();
      fields.array("shape").forEach(size -> sizes.add(size.getAsLong()));
      shape = Collections.unmodifiableList(sizes);
    }

    /**
     * The tensor's name.
     *
     * @return such as {@code blk.0.attn_q.weight} (never null)
     */
    public String name() {
      return name;
    }

    /**
     * How its numbers are stored.
     *
     * @return such as {@code Q4_1} (never null)
     */
    public String type() {
      return type;
    }

    /**
     * Its sizes, the fastest-running first, as GGUF has them.
     *
     * @return one to four numbers, unmodifiable (never null)
     */
    public List<Long> shape() {
      return shape;
    }

    /**
     * Its size in the file.
     *
     * @return bytes
     */
    public long bytes() {
      return bytes;
    }

    @Override
    public String toString() {
      return name + " " + type + shape;
    }
  }
}
