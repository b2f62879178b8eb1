package io.github.llmmobile.cli.privacy;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.gguf.GgufFile;
import io.github.llmmobile.gguf.GgufTensor;
import io.github.llmmobile.gguf.TensorCodec;
import java.util.Arrays;
import java.util.function.DoubleConsumer;
import org.bytedeco.openblas.global.openblas;

/** The embeddings of a model's tokens, each of length 1. */
public final class TokenEmbeddings {
  private static final String NAME = "token_embd.weight";
  private static final int CHUNK = 4096;

  private final GgufFile file;
  private final GgufTensor tensor;
  private final int width;
  private final int count;

  /**
   * The embeddings of a model.
   *
   * @param file the model, open as long as these are in use (required)
   * @param width of a row
   * @throws LlmException NOT_AVAILABLE if the model has no table of embeddings of this width
   */
  public TokenEmbeddings(GgufFile file, int width) {
    this.file = file;
    this.width = width;
    tensor = file.tensor(NAME).orElse(null);
    if (tensor == null || tensor.shape().get(0) != width) {
      throw new LlmException(ErrorCode.NOT_AVAILABLE, "the model has no embeddings " + NAME + " of width " + width);
    }
    count = (int) (tensor.elements() / width);
  }

  /**
   * The embeddings of some tokens.
   *
   * @param tokens ids (required)
   * @return one after another (never null)
   */
  float[] of(int[] tokens) {
    float[] rows = new float[tokens.length * width];
    for (int i = 0; i < tokens.length; i++) {
      System.arraycopy(read(tokens[i], 1), 0, rows, i * width, width);
    }
    return rows;
  }

  private float[] read(int first, int rows) {
    long bytes = tensor.type().rowBytes(width);
    float[] values = TensorCodec.dequantize(tensor.type(), file.data(tensor, first * bytes, rows * bytes), rows * width);
    for (int i = 0; i < rows; i++) {
      Rows.normalise(values, i * width, width);
    }
    return values;
  }

  /**
   * The tokens whose embeddings have the largest cosines with some rows.
   *
   * @param rows one after another; their lengths do not matter (required)
   * @param most how many for each row
   * @param progress hears which share is done (required)
   * @return for each row the tokens, the nearest first (never null)
   */
  int[][] nearest(float[] rows, int most, DoubleConsumer progress) {
    int queries = rows.length / width;
    int[][] best = new int[queries][most];
    float[][] cosines = new float[queries][most];
    for (float[] of : cosines) {
      Arrays.fill(of, Float.NEGATIVE_INFINITY);
    }
    float[] products = new float[queries * CHUNK];
    for (int first = 0; first < count; first += CHUNK) {
      progress.accept((double) first / count);
      int size = Math.min(CHUNK, count - first);
      openblas.cblas_sgemm(openblas.CblasRowMajor, openblas.CblasNoTrans, openblas.CblasTrans, queries, size, width, 1,
          rows, width, read(first, size), width, 0, products, size);
      for (int i = 0; i < queries * size; i++) {
        insert(best[i / size], cosines[i / size], first + i % size, products[i]);
      }
    }
    return best;
  }

  private static void insert(int[] tokens, float[] scores, int token, float score) {
    int slot = tokens.length;
    while (slot > 0 && scores[slot - 1] < score) {
      slot--;
    }
    if (slot < tokens.length) {
      System.arraycopy(tokens, slot, tokens, slot + 1, tokens.length - 1 - slot);
      System.arraycopy(scores, slot, scores, slot + 1, tokens.length - 1 - slot);
      tokens[slot] = token;
      scores[slot] = score;
    }
  }
}
