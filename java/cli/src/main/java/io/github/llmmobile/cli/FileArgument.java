package io.github.llmmobile.cli;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads the file names among the options. */
final class FileArgument implements ITypeConverter<Path> {
  /** Java encodes file names in the locale's character set; one that lacks a letter cannot name the file. */
  static final String HINT_LOCALE = "file names with such letters need a UTF-8 locale, for example LC_ALL=C.UTF-8";

  @Override
  public Path convert(String value) {
    try {
      return Path.of(value);
    } catch (InvalidPathException e) {
      throw new TypeConversionException("'" + value + "' is not a file name here; " + HINT_LOCALE);
    }
  }
}
