package io.github.llmmobile.internal;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.llmmobile.ErrorCode;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class Utf8Test {
  @ParameterizedTest
  @ValueSource(strings = {"", "a", "\u00e9", "\u65e5\u672c", "\ud83c\udf89", "a\0b", "\uffff"})
  void soundTextIsEncoded(String text) {
    assertArrayEquals(text.getBytes(StandardCharsets.UTF_8), Utf8.encode("text", text));
  }

  @Test
  void halfOfASurrogatePairIsAnErrorWithItsPlace() {
    String high = String.valueOf((char) 0xD83C);
    String low = String.valueOf((char) 0xDF89);
    assertEquals("text: half of a surrogate pair at index 0",
        fails(ErrorCode.ENCODING, () -> Utf8.encode("text", high)));
    assertEquals("text: half of a surrogate pair at index 1",
        fails(ErrorCode.ENCODING, () -> Utf8.encode("text", "a" + low + "b")));
    assertEquals("text: half of a surrogate pair at index 2",
        fails(ErrorCode.ENCODING, () -> Utf8.encode("text", high + low + low)));
    assertEquals("text: half of a surrogate pair at index 0",
        fails(ErrorCode.ENCODING, () -> Utf8.encode("text", low + high)));
  }

  @Test
  void everyCharacterSurvives() {
    for (int code = 0; code <= Character.MAX_CODE_POINT; code++) {
      if (code < 0xD800 || code > 0xDFFF) {
        String text = new String(Character.toChars(code));
        assertEquals(text, new String(Utf8.encode("text", text), StandardCharsets.UTF_8));
      }
    }
  }
}
