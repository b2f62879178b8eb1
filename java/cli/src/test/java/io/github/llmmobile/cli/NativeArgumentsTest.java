package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class NativeArgumentsTest {
  @Test
  void lettersThatJavaLostComeBack() {
    String[] lost = {"run", "gr\uFFFD\uFFFDe"};
    byte[] raw = "java\0-jar\0cli.jar\0run\0grüße\0".getBytes(StandardCharsets.UTF_8);
    assertArrayEquals(new String[] {"run", "grüße"}, NativeArguments.recover(lost, raw));
  }

  @Test
  void emptyArgumentsKeepTheirPlace() {
    String[] lost = {"run", "", "?"};
    byte[] raw = "java\0Main\0run\0\0é\0".getBytes(StandardCharsets.UTF_8);
    assertArrayEquals(new String[] {"run", "", "é"}, NativeArguments.recover(lost, raw));
  }

  @Test
  void commandLineThatDoesNotMatchIsIgnored() {
    String[] args = {"run", "x"};
    byte[] other = "java\0Main\0chat\0x\0".getBytes(StandardCharsets.UTF_8);
    assertArrayEquals(args, NativeArguments.recover(args, other));
    assertArrayEquals(args, NativeArguments.recover(args, "x\0".getBytes(StandardCharsets.UTF_8)));
    assertArrayEquals(args, NativeArguments.recover(args, new byte[0]));
  }

  @Test
  void bytesThatAreNotUtf8AreLeftToJava() {
    String[] args = {"run", "?"};
    byte[] raw = {'r', 'u', 'n', 0, (byte) 0xff, 0};
    assertArrayEquals(args, NativeArguments.recover(args, raw));
  }
}
