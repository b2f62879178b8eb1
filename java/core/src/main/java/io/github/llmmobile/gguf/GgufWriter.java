package io.github.llmmobile.gguf;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * Writes a GGUF file, version 3. Metadata and tensors are named first; then the tensors' bytes come in that order, in
 * pieces of any size, so that a model need not fit the memory. The target has its old content until
 * {@link #commit()}; closing without it leaves nothing behind. Threads: one.
 */
public final class GgufWriter implements AutoCloseable {
  private static final int VERSION = 3;
  private static final int COPY_BYTES = 1 << 24;

  private final WritableByteChannel out;
  private final @Nullable Path part;
  private final @Nullable Path target;
  private final List<GgufTensor> tensors;
  private final int alignment;
  private int current;
  private long written;
  private boolean committed;

  private GgufWriter(WritableByteChannel out, @Nullable Path part, @Nullable Path target,
      Map<String, GgufValue> metadata, List<GgufTensor> tensors) {
    this.out = out;
    this.part = part;
    this.target = target;
    this.tensors = tensors;
    alignment = GgufFile.alignment(metadata);
    header(metadata);
  }

  /**
   * Begins a file.
   *
   * @param target its path; its folder exists (required)
   * @param metadata values by key, in this order (required)
   * @param tensors what will be written, in this order, each name once (required)
   * @return the writer; closed by the caller (never null)
   * @throws LlmException IO if it cannot be written, RANGE if a name stands twice
   */
  public static GgufWriter create(Path target, Map<String, GgufValue> metadata, List<GgufTensor> tensors) {
    checkNames(tensors);
    Path part = target.resolveSibling("." + target.getFileName() + "." + UUID.randomUUID() + ".part");
    FileChannel channel;
    try {
      channel = FileChannel.open(part, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    } catch (IOException e) {
      throw new LlmException(ErrorCode.IO, "cannot write beside " + target + ": " + e, e);
    }
    try {
      return new GgufWriter(channel, part, target, metadata, tensors);
    } catch (RuntimeException e) {
      discard(channel, part);
      throw e;
    }
  }

  /**
   * Begins a file on a stream. {@link #commit()} flushes it, closing closes it.
   *
   * @param stream takes the bytes (required)
   * @param metadata values by key, in this order (required)
   * @param tensors what will be written, in this order, each name once (required)
   * @return the writer; closed by the caller (never null)
   * @throws LlmException IO if it cannot be written, RANGE if a name stands twice
   */
  public static GgufWriter to(OutputStream stream, Map<String, GgufValue> metadata, List<GgufTensor> tensors) {
    checkNames(tensors);
    return new GgufWriter(Channels.newChannel(stream), null, null, metadata, tensors);
  }

  private static void checkNames(List<GgufTensor> tensors) {
    Set<String> names = new HashSet<>();
    for (GgufTensor tensor : tensors) {
      if (!names.add(tensor.name())) {
        throw new LlmException(ErrorCode.RANGE, "the tensor " + tensor.name() + " stands twice");
      }
    }
  }

  private void header(Map<String, GgufValue> metadata) {
    GgufValue.Payload header = new GgufValue.Payload().raw("GGUF".getBytes(StandardCharsets.US_ASCII)).int32(VERSION)
        .int64(tensors.size()).int64(metadata.size());
    metadata.forEach((key, value) -> {
      header.text(key).int32(value.kind().ordinal());
      if (value.kind() == GgufValue.Kind.ARRAY) {
        header.int32(value.elementKind().ordinal()).int64(value.count());
      }
      header.raw(value.payload());
    });
    long offset = 0;
    for (GgufTensor tensor : tensors) {
      header.text(tensor.name()).int32(tensor.shape().size());
      tensor.shape().forEach(header::int64);
      header.int32(tensor.type().number()).int64(offset);
      offset += tensor.bytes() + padding(tensor.bytes());
    }
    put(ByteBuffer.wrap(header.bytes()));
    put(ByteBuffer.allocate((int) padding(header.size())));
  }

  /**
   * The next bytes of the tensor that is being written; a tensor's last piece may not run into the next one.
   *
   * @param bytes the bytes from its position to its limit (required)
   * @throws LlmException IO if writing fails, RANGE if the tensor has fewer bytes left
   */
  public void write(ByteBuffer bytes) {
    int count = bytes.remaining();
    long left = current < tensors.size() ? tensors.get(current).bytes() - written : 0;
    if (count > left) {
      throw new LlmException(ErrorCode.RANGE, count + " bytes, but "
          + (current < tensors.size() ? tensors.get(current) + " has " + left + " left" : "all tensors are written"));
    }
    put(bytes);
    written += count;
    if (current < tensors.size() && written == tensors.get(current).bytes()) {
      put(ByteBuffer.allocate((int) padding(written)));
      current++;
      written = 0;
    }
  }

  /**
   * The next bytes of the tensor that is being written.
   *
   * @param bytes the bytes (required)
   * @throws LlmException as {@link #write(ByteBuffer)}
   */
  public void write(byte[] bytes) {
    write(ByteBuffer.wrap(bytes));
  }

  /**
   * All bytes of the tensor that is next, from another file.
   *
   * @param file the other file (required)
   * @param tensor a tensor of it of the same size (required)
   * @throws LlmException IO if reading or writing fails, RANGE if the size is another
   */
  public void copy(GgufFile file, GgufTensor tensor) {
    for (long from = 0; from < tensor.bytes(); from += COPY_BYTES) {
      write(file.data(tensor, from, Math.min(COPY_BYTES, tensor.bytes() - from)));
    }
  }

  /**
   * Ends the file: it is on the disk, and the target's name is its own.
   *
   * @throws IllegalStateException if bytes of a tensor are missing
   * @throws LlmException IO if writing or renaming fails; the target is what it was
   */
  public void commit() {
    if (current < tensors.size()) {
      throw new IllegalStateException("bytes of " + tensors.get(current) + " are missing");
    }
    try {
      if (out instanceof FileChannel) {
        ((FileChannel) out).force(true);
      }
      out.close();
      if (part != null && target != null) {
        move(part, target);
      }
    } catch (IOException e) {
      throw new LlmException(ErrorCode.IO, "writing the file failed: " + e, e);
    }
    committed = true;
  }

  private static void move(Path part, Path target) throws IOException {
    try {
      Files.move(part, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (AtomicMoveNotSupportedException e) {
      Files.move(part, target, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  /** Gives up what was not committed; further calls do nothing. */
  @Override
  public void close() {
    if (!committed) {
      discard(out, part);
    }
  }

  private static void discard(WritableByteChannel out, @Nullable Path part) {
    try {
      out.close();
      if (part != null) {
        Files.deleteIfExists(part);
      }
    } catch (IOException ignored) {
      // The file was to go anyway.
    }
  }

  private void put(ByteBuffer bytes) {
    try {
      while (((Buffer) bytes).hasRemaining()) {
        out.write(bytes);
      }
    } catch (IOException e) {
      throw new LlmException(ErrorCode.IO, "writing the file failed: " + e, e);
    }
  }

  private long padding(long size) {
    return (alignment - size % alignment) % alignment;
  }
}
