package io.github.llmmobile.gguf;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A value of the metadata with its exact type: number, truth value, text, or an array of these. It keeps the bytes of
 * the file, so that a copy of a file is the same to the byte. Immutable.
 */
public final class GgufValue {
  /** Types of values. Their order is that of their numbers in files. */
  public enum Kind {
    /** Unsigned 8-bit integer. */
    UINT8(1),
    /** Signed 8-bit integer. */
    INT8(1),
    /** Unsigned 16-bit integer. */
    UINT16(2),
    /** Signed 16-bit integer. */
    INT16(2),
    /** Unsigned 32-bit integer. */
    UINT32(4),
    /** Signed 32-bit integer. */
    INT32(4),
    /** 32-bit floating point. */
    FLOAT32(4),
    /** Truth value. */
    BOOL(1),
    /** Text, UTF-8. */
    STRING(0),
    /** Several values of one type. */
    ARRAY(0),
    /** Unsigned 64-bit integer. */
    UINT64(8),
    /** Signed 64-bit integer. */
    INT64(8),
    /** 64-bit floating point. */
    FLOAT64(8);

    private final int bytes;

    Kind(int bytes) {
      this.bytes = bytes;
    }

    /** Size of a value; 0 where it varies. */
    int bytes() {
      return bytes;
    }

    static @Nullable Kind of(int number) {
      return number >= 0 && number < values().length ? values()[number] : null;
    }
  }

  private final Kind kind;
  /** Of an array's elements; of other values the same as kind. */
  private final Kind element;
  private final long count;
  /** The values one after the other; a text with its length in front. */
  private final byte[] payload;

  GgufValue(Kind kind, Kind element, long count, byte[] payload) {
    this.kind = kind;
    this.element = element;
    this.count = count;
    this.payload = payload;
  }

  /**
   * A text.
   *
   * @param value the text (required)
   * @return the value (never null)
   */
  public static GgufValue text(String value) {
    return scalar(Kind.STRING, new Payload().text(value));
  }

  /**
   * An unsigned 32-bit integer.
   *
   * @param value 0 to 2^32 - 1
   * @return the value (never null)
   * @throws LlmException RANGE if it does not fit
   */
  public static GgufValue uint32(long value) {
    if (value < 0 || value > 0xFFFFFFFFL) {
      throw new LlmException(ErrorCode.RANGE, value + " is no unsigned 32-bit integer");
    }
    return scalar(Kind.UINT32, new Payload().int32((int) value));
  }

  /**
   * A 32-bit floating-point number.
   *
   * @param value the number
   * @return the value (never null)
   */
  public static GgufValue float32(float value) {
    return scalar(Kind.FLOAT32, new Payload().int32(Float.floatToRawIntBits(value)));
  }

  /**
   * A truth value.
   *
   * @param value true or false
   * @return the value (never null)
   */
  public static GgufValue bool(boolean value) {
    return new GgufValue(Kind.BOOL, Kind.BOOL, 1, new byte[] {(byte) (value ? 1 : 0)});
  }

  /**
   * An array of texts.
   *
   * @param values the texts (required)
   * @return the value (never null)
   */
  public static GgufValue texts(List<String> values) {
    Payload payload = new Payload();
    values.forEach(payload::text);
    return array(Kind.STRING, values.size(), payload);
  }

  /**
   * An array of signed 32-bit integers.
   *
   * @param values the numbers (required)
   * @return the value (never null)
   */
  public static GgufValue int32s(List<Integer> values) {
    Payload payload = new Payload();
    values.forEach(payload::int32);
    return array(Kind.INT32, values.size(), payload);
  }

  /**
   * An array of 32-bit floating-point numbers.
   *
   * @param values the numbers (required)
   * @return the value (never null)
   */
  public static GgufValue float32s(List<Float> values) {
    Payload payload = new Payload();
    values.forEach(value -> payload.int32(Float.floatToRawIntBits(value)));
    return array(Kind.FLOAT32, values.size(), payload);
  }

  private static GgufValue scalar(Kind kind, Payload payload) {
    return new GgufValue(kind, kind, 1, payload.bytes());
  }

  private static GgufValue array(Kind element, int count, Payload payload) {
    return new GgufValue(Kind.ARRAY, element, count, payload.bytes());
  }

  /**
   * The type.
   *
   * @return the type (never null)
   */
  public Kind kind() {
    return kind;
  }

  /**
   * The type of an array's elements.
   *
   * @return the elements' type; of a value that is no array its own (never null)
   */
  public Kind elementKind() {
    return element;
  }

  /**
   * How many elements an array has.
   *
   * @return a count; 1 for a value that is no array
   */
  public long count() {
    return count;
  }

  /**
   * A text.
   *
   * @return the text; bytes that are no UTF-8 become U+FFFD (never null)
   * @throws LlmException MODEL_INVALID if this is something else
   */
  public String asText() {
    require(kind == Kind.STRING, "a text");
    return new String(payload, Long.BYTES, payload.length - Long.BYTES, StandardCharsets.UTF_8);
  }

  /**
   * An integer of any size.
   *
   * @return the number; of UINT64 those above 2^63 - 1 as negative ones
   * @throws LlmException MODEL_INVALID if this is something else
   */
  public long asInteger() {
    ByteBuffer bytes = ByteBuffer.wrap(payload).order(ByteOrder.LITTLE_ENDIAN);
    switch (kind) {
      case UINT8:
        return bytes.get() & 0xFF;
      case INT8:
        return bytes.get();
      case UINT16:
        return bytes.getShort() & 0xFFFF;
      case INT16:
        return bytes.getShort();
      case UINT32:
        return bytes.getInt() & 0xFFFFFFFFL;
      case INT32:
        return bytes.getInt();
      case UINT64:
      case INT64:
        return bytes.getLong();
      default:
        throw wrongKind("an integer");
    }
  }

  /**
   * A floating-point number.
   *
   * @return the number
   * @throws LlmException MODEL_INVALID if this is something else
   */
  public double asReal() {
    ByteBuffer bytes = ByteBuffer.wrap(payload).order(ByteOrder.LITTLE_ENDIAN);
    require(kind == Kind.FLOAT32 || kind == Kind.FLOAT64, "a floating-point number");
    return kind == Kind.FLOAT32 ? bytes.getFloat() : bytes.getDouble();
  }

  /**
   * A truth value.
   *
   * @return true or false
   * @throws LlmException MODEL_INVALID if this is something else
   */
  public boolean asBool() {
    require(kind == Kind.BOOL, "a truth value");
    return payload[0] != 0;
  }

  /**
   * An array of texts.
   *
   * @return the texts, unmodifiable (never null)
   * @throws LlmException MODEL_INVALID if this is something else
   */
  public List<String> asTexts() {
    require(kind == Kind.ARRAY && element == Kind.STRING, "an array of texts");
    ByteBuffer bytes = ByteBuffer.wrap(payload).order(ByteOrder.LITTLE_ENDIAN);
    List<String> texts = new ArrayList<>((int) count);
    for (long i = 0; i < count; i++) {
      byte[] text = new byte[(int) bytes.getLong()];
      bytes.get(text);
      texts.add(new String(text, StandardCharsets.UTF_8));
    }
    return Collections.unmodifiableList(texts);
  }

  byte[] payload() {
    return payload;
  }

  private void require(boolean condition, String what) {
    if (!condition) {
      throw wrongKind(what);
    }
  }

  private LlmException wrongKind(String what) {
    return new LlmException(ErrorCode.MODEL_INVALID, "a value of the metadata is " + this + " where " + what
        + " is expected");
  }

  @Override
  public boolean equals(@Nullable Object other) {
    if (!(other instanceof GgufValue)) {
      return false;
    }
    GgufValue that = (GgufValue) other;
    return kind == that.kind && element == that.element && count == that.count && Arrays.equals(payload, that.payload);
  }

  @Override
  public int hashCode() {
    return Objects.hash(kind, element, count, Arrays.hashCode(payload));
  }

  @Override
  public String toString() {
    return kind == Kind.ARRAY ? count + " x " + element : kind.toString();
  }

  /** Bytes as they stand in a file. */
  static final class Payload {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    Payload raw(byte[] bytes) {
      out.write(bytes, 0, bytes.length);
      return this;
    }

    Payload int32(int value) {
      return raw(ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array());
    }

    Payload int64(long value) {
      return raw(ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array());
    }

    Payload text(String text) {
      byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
      return int64(bytes.length).raw(bytes);
    }

    int size() {
      return out.size();
    }

    byte[] bytes() {
      return out.toByteArray();
    }
  }
}
