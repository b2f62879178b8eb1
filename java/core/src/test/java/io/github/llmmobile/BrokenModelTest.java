package io.github.llmmobile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.testing.Models;
import io.github.llmmobile.testing.TinyModel;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Files that are no sound models. Each has its code and a message, and the next sound model loads. */
class BrokenModelTest {
  private static final int VERSION_AT = 4;
  private static final int TENSORS_AT = 8;
  private static final int KEYS_AT = 16;
  private static final Set<ErrorCode> INVALID = EnumSet.of(ErrorCode.MODEL_INVALID);
  private static final Set<ErrorCode> UNSUPPORTED = EnumSet.of(ErrorCode.MODEL_UNSUPPORTED);
  private static final Set<ErrorCode> EITHER = EnumSet.of(ErrorCode.MODEL_INVALID, ErrorCode.MODEL_UNSUPPORTED);

  @TempDir static Path folder;

  static Stream<Arguments> broken() throws IOException {
    byte[] sound = TinyModel.bytes();
    byte[] noise = new byte[10_000];
    new Random(9).nextBytes(noise);
    List<Arguments> table = new ArrayList<>();
    table.add(Arguments.of("missing", folder.resolve("missing.gguf"), EnumSet.of(ErrorCode.MODEL_NOT_FOUND)));
    table.add(Arguments.of("a folder", folder, EnumSet.of(ErrorCode.MODEL_NOT_FOUND)));
    table.add(row("empty", new byte[0], INVALID));
    table.add(row("noise", noise, INVALID));
    table.add(row("text", "This is a letter, not a model.".getBytes(StandardCharsets.UTF_8), INVALID));
    table.add(row("version 99", with(sound, VERSION_AT, 4, 99), UNSUPPORTED));
    table.add(row("version 0", with(sound, VERSION_AT, 4, 0), EITHER));
    for (long huge : new long[] {1L << 40, 1L << 62, Long.MAX_VALUE, -1}) {
      table.add(row(huge + " tensors", with(sound, TENSORS_AT, 8, huge), INVALID));
      table.add(row(huge + " keys", with(sound, KEYS_AT, 8, huge), INVALID));
    }
    table.add(row("no keys", with(sound, KEYS_AT, 8, 0), INVALID));
    table.add(row("unknown architecture", replace(sound, "llama", "zzzzz"), EITHER));
    table.add(row("tensor missing", replace(sound, "output_norm.weight", "output_xxxx.weight"), INVALID));
    for (int i = 1; i <= 20; i++) {
      int length = (int) ((long) i * sound.length / 21);
      table.add(row("cut at " + length, Arrays.copyOf(sound, length), INVALID));
    }
    return table.stream();
  }

  private static Arguments row(String name, byte[] bytes, Set<ErrorCode> codes) throws IOException {
    return Arguments.of(name, Files.write(folder.resolve(name.replace(' ', '-') + ".gguf"), bytes), codes);
  }

  private static byte[] with(byte[] bytes, int at, int size, long value) {
    ByteBuffer copy = ByteBuffer.wrap(bytes.clone()).order(ByteOrder.LITTLE_ENDIAN);
    if (size == 4) {
      copy.putInt(at, (int) value);
    } else {
      copy.putLong(at, value);
    }
    return copy.array();
  }

  private static byte[] replace(byte[] bytes, String from, String to) {
    String text = new String(bytes, StandardCharsets.ISO_8859_1);
    return text.replace(from, to).getBytes(StandardCharsets.ISO_8859_1);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("broken")
  void loadingIsRefused(String name, Path file, Set<ErrorCode> codes) {
    ModelUnavailableException e =
        assertThrows(ModelUnavailableException.class, () -> LlmModel.load(ModelOptions.of(file)));
    assertTrue(codes.contains(e.code()), () -> e.code() + ": " + e.getMessage());
    assertFalse(e.getMessage().isEmpty());
    assertEquals("hello", Models.tiny().detokenize(Models.tiny().tokenize("hello", false, false), false));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("broken")
  void inspectingIsRefusedOrShowsTheHeader(String name, Path file, Set<ErrorCode> codes) {
    try {
      assertTrue(LlmModel.inspect(file).version() > 0);
    } catch (ModelUnavailableException e) {
      assertFalse(e.getMessage().isEmpty());
    }
  }

  @Test
  void loadingCanBeCancelledAndFailByItsListener() {
    ModelOptions options = ModelOptions.of(Models.tinyPath());
    assertThrows(LlmCancelledException.class,
        () -> LlmModel.load(options.toBuilder().progress(fraction -> false).build()));
    IllegalStateException own = new IllegalStateException("mine");
    assertEquals(own, assertThrows(IllegalStateException.class, () -> LlmModel.load(options.toBuilder()
        .progress(fraction -> {
          throw own;
        }).build())));
    List<Double> fractions = new ArrayList<>();
    LlmModel.load(options.toBuilder().progress(fractions::add).build()).close();
    assertEquals(1.0, fractions.get(fractions.size() - 1));
  }

  @Test
  void anInterruptedThreadLoadsNothing() {
    Thread.currentThread().interrupt();
    assertThrows(LlmCancelledException.class, () -> LlmModel.load(ModelOptions.of(Models.tinyPath())));
    assertTrue(Thread.interrupted());
  }
}
