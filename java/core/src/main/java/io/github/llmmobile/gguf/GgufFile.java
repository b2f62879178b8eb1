package io.github.llmmobile.gguf;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.ModelUnavailableException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A GGUF file that is open for reading. The header is read and checked when it is opened; the numbers of tensors are
 * mapped when they are asked for. Threads: any.
 */
public final class GgufFile implements AutoCloseable {
  /** Where tensors begin if the metadata says nothing else. */
  static final int DEFAULT_ALIGNMENT = 32;

  static final String ALIGNMENT_KEY = "general.alignment";

  private static final int MAX_ALIGNMENT = 1 << 20;
  private static final int MAX_KEY_BYTES = 65535;
  /** What a key and a tensor take at least, so that absurd counts show before anything is read for them. */
  private static final int LEAST_KEY_BYTES = 13;
  private static final int LEAST_TENSOR_BYTES = 32;
  private static final byte[] MAGIC = {'G', 'G', 'U', 'F'};

  private final FileChannel channel;
  private final int version;
  private final int alignment;
  private final long dataOffset;
  private final Map<String, GgufValue> metadata;
  private final Map<String, GgufTensor> tensors;

  private GgufFile(FileChannel channel, HeaderReader in, long size) {
    this.channel = channel;
    version = version(in);
    long tensorCount = in.int64("the tensor count");
    long keyCount = in.int64("the metadata count");
    if (tensorCount < 0 || keyCount < 0 || keyCount > in.left() / LEAST_KEY_BYTES
        || tensorCount > in.left() / LEAST_TENSOR_BYTES) {
      throw HeaderReader.invalid(Long.toUnsignedString(tensorCount) + " tensors and "
          + Long.toUnsignedString(keyCount) + " metadata keys do not fit " + size + " bytes");
    }
    Map<String, GgufValue> values = new LinkedHashMap<>();
    for (long i = 0; i < keyCount; i++) {
      String key = in.text("a metadata key", MAX_KEY_BYTES);
      if (values.put(key, in.value(key)) != null) {
        throw HeaderReader.invalid("the key " + key + " stands twice");
      }
    }
    metadata = Collections.unmodifiableMap(values);
    alignment = alignment(values);
    Map<String, GgufTensor> list = new LinkedHashMap<>();
    for (long i = 0; i < tensorCount; i++) {
      GgufTensor tensor = tensor(in, alignment);
      if (list.put(tensor.name(), tensor) != null) {
        throw HeaderReader.invalid("the tensor " + tensor.name() + " stands twice");
      }
    }
    tensors = Collections.unmodifiableMap(list);
    dataOffset = (in.position() + alignment - 1) / alignment * alignment;
    long room = Math.max(0, size - dataOffset);
    for (GgufTensor tensor : list.values()) {
      if (tensor.offset() > room || tensor.bytes() > room - tensor.offset()) {
        throw HeaderReader.invalid("the file ends within tensor " + tensor.name());
      }
    }
  }

  /**
   * Opens a file and checks its header: magic, version, counts, lengths, types, shapes, and that every tensor lies
   * within the file.
   *
   * @param path the file (required)
   * @return the file; closed by the caller (never null)
   * @throws LlmException MODEL_NOT_FOUND if there is no file, MODEL_INVALID if it is broken, MODEL_UNSUPPORTED if it is
   *     of another version or has a tensor of an unknown type, IO if it cannot be read
   */
  public static GgufFile open(Path path) {
    if (!Files.isRegularFile(path)) {
      throw new ModelUnavailableException(ErrorCode.MODEL_NOT_FOUND, "no such file: " + path);
    }
    FileChannel channel = null;
    try {
      channel = FileChannel.open(path, StandardOpenOption.READ);
      long size = channel.size();
      return new GgufFile(channel, new HeaderReader(channel, size), size);
    } catch (IOException e) {
      closeQuietly(channel);
      throw new LlmException(ErrorCode.IO, path + " cannot be read: " + e.getMessage(), e);
    } catch (LlmException e) {
      closeQuietly(channel);
      String message = path + ": " + e.getMessage();
      throw e instanceof ModelUnavailableException
          ? new ModelUnavailableException(e.code(), message)
          : new LlmException(e.code(), message, e);
    } catch (RuntimeException | Error e) {
      closeQuietly(channel);
      throw e;
    }
  }

  private static int version(HeaderReader in) {
    byte[] magic = in.bytes(Math.min(MAGIC.length, in.left()), "the magic");
    if (!Arrays.equals(magic, MAGIC)) {
      throw HeaderReader.invalid("it does not begin with \"GGUF\"");
    }
    int version = in.int32("the version");
    if (version < 2 || version > 3) {
      throw new ModelUnavailableException(ErrorCode.MODEL_UNSUPPORTED,
          "GGUF version " + Integer.toUnsignedString(version) + "; versions 2 and 3 are supported");
    }
    return version;
  }

  /** The alignment that the metadata asks for. */
  static int alignment(Map<String, GgufValue> metadata) {
    GgufValue value = metadata.get(ALIGNMENT_KEY);
    if (value == null) {
      return DEFAULT_ALIGNMENT;
    }
    long alignment = value.kind() == GgufValue.Kind.UINT32 ? value.asInteger() : 0;
    if (alignment < 1 || alignment > MAX_ALIGNMENT || Long.bitCount(alignment) != 1) {
      throw HeaderReader.invalid("the alignment is no power of two");
    }
    return (int) alignment;
  }

  private static GgufTensor tensor(HeaderReader in, int alignment) {
    String name = in.text("a tensor's name", GgufTensor.MAX_NAME_BYTES);
    int dimensions = in.int32(name);
    if (dimensions < 0 || dimensions > GgufTensor.MAX_DIMENSIONS) {
      throw HeaderReader.invalid("tensor " + name + " has " + Integer.toUnsignedString(dimensions) + " dimensions");
    }
    // A tensor without dimensions is one number.
    long[] shape = new long[Math.max(1, dimensions)];
    shape[0] = 1;
    for (int i = 0; i < dimensions; i++) {
      shape[i] = in.int64(name);
    }
    int number = in.int32(name);
    long offset = in.int64(name);
    if (GgufTensor.elements(shape) < 0) {
      throw HeaderReader.invalid("tensor " + name + " has an impossible shape");
    }
    TensorType type = TensorType.of(number);
    if (type == null) {
      throw new ModelUnavailableException(ErrorCode.MODEL_UNSUPPORTED,
          "tensor " + name + " has type " + number + ", which this version does not know");
    }
    if (shape[0] % type.blockElements() != 0) {
      throw HeaderReader.invalid("the rows of tensor " + name + " are not whole blocks of " + type);
    }
    if (offset < 0 || offset % alignment != 0) {
      throw HeaderReader.invalid("tensor " + name + " is not aligned");
    }
    return GgufTensor.read(name, type, shape, offset);
  }

  /**
   * Version of the file format.
   *
   * @return 2 or 3
   */
  public int version() {
    return version;
  }

  /**
   * What the offsets of tensors are multiples of.
   *
   * @return a power of two
   */
  public int alignment() {
    return alignment;
  }

  /**
   * Where the tensors' data begins.
   *
   * @return bytes from the start of the file
   */
  public long dataOffset() {
    return dataOffset;
  }

  /**
   * The metadata.
   *
   * @return values by key in the order of the file, unmodifiable (never null)
   */
  public Map<String, GgufValue> metadata() {
    return metadata;
  }

  /**
   * The tensors.
   *
   * @return in the order of the file, a copy (never null)
   */
  public List<GgufTensor> tensors() {
    return new ArrayList<>(tensors.values());
  }

  /**
   * The tensor with a name.
   *
   * @param name such as {@code blk.0.attn_q.weight} (required)
   * @return the tensor; empty if the file has none of that name
   */
  public Optional<GgufTensor> tensor(String name) {
    return Optional.ofNullable(tensors.get(name));
  }

  /**
   * The bytes of a tensor, mapped.
   *
   * @param tensor a tensor of this file of less than 2 GiB (required)
   * @return its bytes, read-only, little-endian; valid after the file is closed (never null)
   * @throws LlmException IO if they cannot be mapped, RANGE if there are more
   */
  public ByteBuffer data(GgufTensor tensor) {
    return data(tensor, 0, tensor.bytes());
  }

  /**
   * Some bytes of a tensor, mapped.
   *
   * @param tensor a tensor of this file (required)
   * @param from the first byte
   * @param count how many, less than 2 GiB
   * @return the bytes, read-only, little-endian; valid after the file is closed (never null)
   * @throws LlmException IO if they cannot be mapped, RANGE if the tensor does not have them
   */
  public ByteBuffer data(GgufTensor tensor, long from, long count) {
    if (tensors.get(tensor.name()) != tensor) {
      throw new LlmException(ErrorCode.INVALID_ARGUMENT, tensor + " is no tensor of this file");
    }
    if (from < 0 || count < 0 || count > tensor.bytes() - from || count > Integer.MAX_VALUE) {
      throw new LlmException(ErrorCode.RANGE, count + " bytes from " + from + " of " + tensor + ", which has "
          + tensor.bytes());
    }
    try {
      return channel.map(FileChannel.MapMode.READ_ONLY, dataOffset + tensor.offset() + from, count)
          .order(ByteOrder.LITTLE_ENDIAN);
    } catch (IOException e) {
      throw new LlmException(ErrorCode.IO, "mapping " + tensor + " failed: " + e.getMessage(), e);
    }
  }

  /** Closes the file; further calls do nothing. */
  @Override
  public void close() {
    closeQuietly(channel);
  }

  /** Nothing was written, so nothing can be lost. */
  private static void closeQuietly(@Nullable FileChannel channel) {
    try {
      if (channel != null) {
        channel.close();
      }
    } catch (IOException ignored) {
      // as said
    }
  }
}
