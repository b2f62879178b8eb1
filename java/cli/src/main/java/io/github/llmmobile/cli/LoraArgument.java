package io.github.llmmobile.cli;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * A LoRA adapter and its strength, written {@code FILE} or {@code FILE:SCALE}.
 *
 * @param path the adapter
 * @param scale its strength; 1 if none is given
 */
record LoraArgument(Path path, float scale) {
  static LoraArgument parse(String text) {
    int colon = text.lastIndexOf(':');
    if (colon > 0) {
      try {
        float scale = Float.parseFloat(text.substring(colon + 1));
        if (Float.isFinite(scale)) {
          return new LoraArgument(Path.of(text.substring(0, colon)), scale);
        }
      } catch (NumberFormatException e) {
        // The colon is part of the file name, as in C:\adapter.gguf.
        return new LoraArgument(Path.of(text), 1);
      }
    }
    return new LoraArgument(Path.of(text), 1);
  }

  /** Lets picocli read the option. */
  static final class Converter implements ITypeConverter<LoraArgument> {
    @Override
    public LoraArgument convert(String value) {
      try {
        return parse(value);
      } catch (InvalidPathException e) {
        throw new TypeConversionException("'" + value + "' is not a file name here; " + FileArgument.HINT_LOCALE);
      }
    }
  }
}
