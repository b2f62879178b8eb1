package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.edge.wire.Rotation;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RowBasisTest {
  @TempDir Path folder;

  private static String fails(ErrorCode code, Path file) {
    LlmException e = assertThrows(LlmException.class, () -> RowBasis.read(file));
    assertEquals(code, e.code(), e.getMessage());
    return String.valueOf(e.getMessage());
  }

  @Test
  void whatIsWrittenIsRead() {
    RowBasis basis = TinyBasis.write(folder.resolve("a.basis"), 1);
    assertEquals(Arrays.asList(2, 3), basis.splits());
    assertEquals(64, basis.width());
    assertEquals(62, basis.dims(2));
    assertEquals(TinyModels.deepModel().info().fingerprint(), basis.fingerprint());
    Rotation read = basis.at(3);
    assertArrayEquals(TinyBasis.APART, read.apart());
    assertArrayEquals(TinyBasis.vectors(64, 4), read.vectors(), 0x1p-11f);
    assertEquals(ErrorCode.RANGE, assertThrows(LlmException.class, () -> basis.dims(4)).code());
  }

  @Test
  void theDigestTellsFilesApart() {
    RowBasis basis = TinyBasis.write(folder.resolve("a.basis"), 1);
    assertArrayEquals(basis.digest(), TinyBasis.write(folder.resolve("b.basis"), 1).digest());
    assertFalse(Arrays.equals(basis.digest(), TinyBasis.write(folder.resolve("c.basis"), 2).digest()));
  }

  @Test
  void anotherModelIsRefused() {
    RowBasis basis = TinyBasis.write(folder.resolve("a.basis"), 1);
    basis.check(TinyModels.deepModel().info());
    try (LlmModel other = LlmModel.load(ModelOptions.of(TinyModels.other()))) {
      LlmException e = assertThrows(LlmException.class, () -> basis.check(other.info()));
      assertEquals(ErrorCode.BASIS_INVALID, e.code());
      assertTrue(e.getMessage().contains("another model"), e.getMessage());
    }
  }

  @Test
  void filesThatAreNoneAreRefused() throws IOException {
    fails(ErrorCode.MODEL_NOT_FOUND, folder.resolve("absent"));
    assertTrue(fails(ErrorCode.BASIS_INVALID, TinyModels.deep()).contains("no basis"));
    Path file = folder.resolve("a.basis");
    TinyBasis.write(file, 1);
    byte[] bytes = Files.readAllBytes(file);
    for (int length : new int[] {0, 3, 100, bytes.length / 2, bytes.length - 100}) {
      fails(ErrorCode.BASIS_INVALID, Files.write(folder.resolve("short"), Arrays.copyOf(bytes, length)));
    }
  }

  private Path edited(String from, String to) throws IOException {
    Path file = folder.resolve("a.basis");
    TinyBasis.write(file, 1);
    String text = new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1);
    assertEquals(from.length(), to.length());
    assertTrue(text.contains(from), text.substring(0, 600));
    return Files.write(folder.resolve("edited"), text.replace(from, to).getBytes(StandardCharsets.ISO_8859_1));
  }

  @Test
  void contradictionsAreRefused() throws IOException {
    assertTrue(fails(ErrorCode.BASIS_INVALID, edited("\"split\":3", "\"split\":2")).contains("stands twice"));
    assertTrue(fails(ErrorCode.BASIS_INVALID, edited("\"split\":3", "\"split\":4")).contains("no tensor"));
    assertTrue(fails(ErrorCode.BASIS_INVALID, edited("\"embedding\":64", "\"embedding\":65")).contains("shape"));
    assertTrue(fails(ErrorCode.BASIS_INVALID, edited("[3,59]", "[9,3] ")).contains("must be from"));
    assertTrue(fails(ErrorCode.BASIS_INVALID, edited("[3,59]", "[3,64]")).contains("must be from"));
    assertTrue(fails(ErrorCode.BASIS_INVALID, edited("[3,59]", "[null]")).contains("malformed"));
    assertTrue(fails(ErrorCode.BASIS_INVALID, edited("{\"embedding\"", "[\"embedding\"")).contains("malformed"));
  }

  @Test
  void vectorsThatAreNoneAreRefused() throws IOException {
    Path file = folder.resolve("a.basis");
    TinyBasis.write(file, 1);
    byte[] bytes = Files.readAllBytes(file);
    for (byte[] half : new byte[][] {{0, 0x7E}, {0, 0x7C}, {0, 0x40}}) {
      // A NaN, an infinity, a 2 among numbers below 1: in the last vector.
      byte[] broken = bytes.clone();
      System.arraycopy(half, 0, broken, (bytes.length - 64) / 2 * 2, 2);
      assertTrue(fails(ErrorCode.BASIS_INVALID, Files.write(folder.resolve("broken"), broken)).contains("length 1"));
    }
  }
}
