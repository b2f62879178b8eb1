package io.github.llmmobile.internal.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class NativeIndexTest {

  // SHA-256 of "abc", from FIPS 180.
  private static final String ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

  @Test
  void filesComeInTheOrderOfTheIndex() throws IOException {
    NativeIndex index = read(ABC + "  libggml-base.so\n" + ABC + "  libjnillmm.so\n");
    assertArrayEquals(new Object[] {"libggml-base.so", "libjnillmm.so"}, index.sha256ByFile().keySet().toArray());
    assertEquals(ABC, index.sha256ByFile().get("libjnillmm.so"));
  }

  @Test
  void digestIsTheStartOfTheSha256OfTheIndex() throws IOException {
    String text = ABC + "  a.so\n";
    assertEquals(Sha256.copy(stream(text), new java.io.ByteArrayOutputStream()).substring(0, 16), read(text).digest());
    assertNotEquals(read(text).digest(), read(ABC.replace('b', 'c') + "  a.so\n").digest());
  }

  @Test
  void sha256IsTheStandardOne() throws IOException {
    assertEquals(ABC, Sha256.copy(stream("abc"), new java.io.ByteArrayOutputStream()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"../evil.so", "/etc/evil.so", "a/b.so", "..", ".hidden", "a\\b.so", "", "a b.so"})
  void namesThatCouldLeaveTheFolderAreRejected(String name) {
    IOException e = assertThrows(IOException.class, () -> read(ABC + "  " + name + "\n"));
    assertTrue(e.getMessage().contains("malformed line"), e.getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"libjnillmm.so\n", "0123  a.so\n", "\n"})
  void linesWithoutAWholeDigestAreRejected(String text) {
    assertThrows(IOException.class, () -> read(text));
  }

  @Test
  void duplicatesAreRejected() {
    IOException e = assertThrows(IOException.class, () -> read(ABC + "  a.so\n" + ABC + "  a.so\n"));
    assertTrue(e.getMessage().contains("a.so twice"), e.getMessage());
  }

  @Test
  void anEmptyIndexIsRejected() {
    assertThrows(IOException.class, () -> read(""));
  }

  private static NativeIndex read(String text) throws IOException {
    return NativeIndex.read(stream(text));
  }

  private static ByteArrayInputStream stream(String text) {
    return new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8));
  }
}
