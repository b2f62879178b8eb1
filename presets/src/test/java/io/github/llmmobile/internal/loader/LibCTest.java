package io.github.llmmobile.internal.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.StringReader;
import org.junit.jupiter.api.Test;

class LibCTest {

  private static final String JAVA = "55d0-55d1 r-xp 00000000 08:01 1 /opt/musl-tools/jdk/bin/java\n";
  private static final String GLIBC = "7f00-7f01 r-xp 00000000 08:01 2 /usr/lib/x86_64-linux-gnu/libc.so.6\n";
  private static final String OLD_GLIBC = "7f00-7f01 r-xp 00000000 08:01 2 /lib64/libc-2.17.so\n";
  private static final String MUSL = "7f02-7f03 r-xp 00000000 08:01 3 /lib/ld-musl-x86_64.so.1\n";

  @Test
  void glibcIsRecognisedByItsFile() throws IOException {
    assertEquals(LibC.GLIBC, of(JAVA + GLIBC));
    assertEquals(LibC.GLIBC, of(JAVA + OLD_GLIBC));
  }

  @Test
  void muslIsRecognisedByItsLoader() throws IOException {
    assertEquals(LibC.MUSL, of(JAVA + MUSL));
  }

  @Test
  void muslDecidesWhereAGlibcShimIsMappedToo() throws IOException {
    assertEquals(LibC.MUSL, of(GLIBC + MUSL));
    assertEquals(LibC.MUSL, of(MUSL + GLIBC));
  }

  @Test
  void folderNamesDoNotCount() throws IOException {
    assertEquals(LibC.UNKNOWN, of(JAVA + "7f04-7f05 rw-p 00000000 00:00 0 [heap]\n"));
  }

  private static LibC of(String maps) throws IOException {
    return LibC.ofMaps(new BufferedReader(new StringReader(maps)));
  }
}
