package io.github.llmmobile.internal;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.bytedeco.javacpp.BytePointer;

/** Text on its way in. Strings never cross as such: JNI's own encoding is not UTF-8. */
public final class Utf8 {
  private Utf8() {}

  /**
   * The UTF-8 form of a text.
   *
   * @param name what the text is, for the error
   * @param text the text
   * @return its bytes
   * @throws LlmException ENCODING if the text has half of a surrogate pair
   */
  public static byte[] encode(String name, String text) {
    try {
      ByteBuffer bytes =
          StandardCharsets.UTF_8
              .newEncoder()
              .onMalformedInput(CodingErrorAction.REPORT)
              .encode(CharBuffer.wrap(text));
      return Arrays.copyOf(bytes.array(), bytes.limit());
    } catch (CharacterCodingException e) {
      throw new LlmException(
          ErrorCode.ENCODING, name + ": half of a surrogate pair at index " + loneSurrogate(text), e);
    }
  }

  private static int loneSurrogate(String text) {
    for (int i = 0; i < text.length(); i++) {
      if (Character.isHighSurrogate(text.charAt(i))
          && i + 1 < text.length()
          && Character.isLowSurrogate(text.charAt(i + 1))) {
        i++;
      } else if (Character.isSurrogate(text.charAt(i))) {
        return i;
      }
    }
    return -1;
  }

  /** Native memory that holds the bytes and a zero byte. The caller closes it. */
  static BytePointer copy(byte[] bytes) {
    BytePointer copy = new BytePointer((long) bytes.length + 1);
    copy.put(bytes, 0, bytes.length);
    copy.put(bytes.length, (byte) 0);
    return copy;
  }

  /** A text as a path or other zero-terminated string. The caller closes it. */
  static BytePointer terminated(String name, String text) {
    if (text.indexOf('\0') >= 0) {
      throw new LlmException(ErrorCode.INVALID_ARGUMENT, name + ": contains a zero character");
    }
    return copy(encode(name, text));
  }
}
