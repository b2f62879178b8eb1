package io.github.llmmobile.internal.loader;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The table of contents of a folder of natives: file {@code index.sha256}, one line {@code <sha256>  <file>} per
 * library. Immutable.
 */
final class NativeIndex {

  static final String FILE = "index.sha256";

  // A name without a separator and without a leading dot cannot leave the folder.
  private static final Pattern LINE = Pattern.compile("([0-9a-f]{64}) [ *]([A-Za-z0-9_][A-Za-z0-9_.+-]*)");

  // 64 bits tell builds of one version apart; the digests inside guard the contents.
  private static final int DIGEST_CHARACTERS = 16;

  private final Map<String, String> sha256ByFile;
  private final String digest;

  private NativeIndex(Map<String, String> sha256ByFile, String digest) {
    this.sha256ByFile = Collections.unmodifiableMap(sha256ByFile);
    this.digest = digest;
  }

  /**
   * Reads an index.
   *
   * @throws IOException if a line is malformed, a file is listed twice or none is listed
   */
  static NativeIndex read(InputStream in) throws IOException {
    MessageDigest sha256 = Sha256.digest();
    Map<String, String> files = new LinkedHashMap<>();
    BufferedReader reader =
        new BufferedReader(new InputStreamReader(new DigestInputStream(in, sha256), StandardCharsets.UTF_8));
    for (String line = reader.readLine(); line != null; line = reader.readLine()) {
      Matcher matcher = LINE.matcher(line);
      if (!matcher.matches()) {
        throw new IOException(FILE + " has a malformed line: " + line);
      }
      if (files.put(matcher.group(2), matcher.group(1)) != null) {
        throw new IOException(FILE + " lists " + matcher.group(2) + " twice");
      }
    }
    if (files.isEmpty()) {
      throw new IOException(FILE + " lists no file");
    }
    return new NativeIndex(files, Sha256.hex(sha256).substring(0, DIGEST_CHARACTERS));
  }

  /** File names with the SHA-256 of their contents, lower-case hexadecimal, in the order of the index. */
  Map<String, String> sha256ByFile() {
    return sha256ByFile;
  }

  /** Short digest of the whole index: differs whenever any library does. */
  String digest() {
    return digest;
  }
}
