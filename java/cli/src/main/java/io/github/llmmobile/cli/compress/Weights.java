package io.github.llmmobile.cli.compress;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.cli.algebra.Matrix;
import io.github.llmmobile.gguf.GgufFile;
import io.github.llmmobile.gguf.GgufTensor;
import io.github.llmmobile.gguf.GgufValue;
import io.github.llmmobile.gguf.TensorCodec;
import io.github.llmmobile.gguf.TensorType;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The matrices of a model's layers that can be compressed, and their numbers. */
public final class Weights {
  /** Those that llama.cpp multiplies in one place, where adapters apply. Experts and routers are left alone. */
  private static final Set<String> KINDS = Set.of("attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output", "ffn_gate",
      "ffn_up", "ffn_down");
  private static final Pattern NAME = Pattern.compile("blk\\.(\\d{1,4})\\.([a-z_]+)\\.weight");
  private static final Set<TensorType> EXACT = Set.of(TensorType.F32, TensorType.F16, TensorType.BF16);

  private Weights() {}

  /**
   * The matrices that can be compressed.
   *
   * @param file the model (required)
   * @param layers which layers (required)
   * @return in the order of the file (never null)
   * @throws LlmException NOT_AVAILABLE if there are none
   */
  public static List<GgufTensor> of(GgufFile file, LayerRange layers) {
    List<GgufTensor> list =
        file.tensors().stream().filter(tensor -> layers.contains(layerOf(tensor))).toList();
    if (list.isEmpty()) {
      throw new LlmException(ErrorCode.NOT_AVAILABLE, "the model has no matrices that can be compressed in layers "
          + layers);
    }
    return list;
  }

  /** The layer of a matrix that can be compressed, -1 for other tensors. */
  private static int layerOf(GgufTensor tensor) {
    Matcher name = NAME.matcher(tensor.name());
    return name.matches() && KINDS.contains(name.group(2)) && tensor.shape().size() == 2
        ? Integer.parseInt(name.group(1)) : -1;
  }

  /**
   * All layers but the first and the last, which a model can spare least; all of a model that has few.
   *
   * @param file the model (required)
   * @return the layers (never null)
   */
  public static LayerRange innerLayers(GgufFile file) {
    int last = file.tensors().stream().mapToInt(Weights::layerOf).max().orElse(0);
    return last < 3 ? LayerRange.ALL : new LayerRange(1, last);
  }

  /**
   * The metadata of a model that gets matrices of another type, without that of the type of most tensors: llama.cpp then
   * counts for itself.
   */
  static Map<String, GgufValue> metadataOfOtherTypes(GgufFile file) {
    Map<String, GgufValue> metadata = new LinkedHashMap<>(file.metadata());
    metadata.remove("general.file_type");
    return metadata;
  }

  /** The numbers of a matrix, outputs by inputs. */
  static Matrix read(GgufFile file, GgufTensor tensor) {
    return matrix(tensor, file.data(tensor));
  }

  /** The bytes of a matrix as they are. */
  static byte[] bytes(GgufFile file, GgufTensor tensor) {
    byte[] bytes = new byte[Math.toIntExact(tensor.bytes())];
    file.data(tensor).get(bytes);
    return bytes;
  }

  /** The numbers that bytes of a tensor's type and shape stand for. */
  static Matrix matrix(GgufTensor tensor, ByteBuffer bytes) {
    int cols = Math.toIntExact(tensor.shape().get(0));
    int rows = Math.toIntExact(tensor.shape().get(1));
    return Matrix.of(rows, cols, TensorCodec.dequantize(tensor.type(), bytes, Math.multiplyExact(rows, cols)));
  }

  /** A matrix as bytes. */
  static byte[] encode(TensorType type, Matrix m) {
    return TensorCodec.quantize(type, m.rows(), m.cols(), m.toFloats());
  }

  /**
   * Whether a model's matrices are quantised already, so that they are no originals themselves.
   *
   * @param tensors its matrices (required)
   * @return whether one of them is
   */
  public static boolean quantised(List<GgufTensor> tensors) {
    return tensors.stream().anyMatch(tensor -> !EXACT.contains(tensor.type()));
  }
}
