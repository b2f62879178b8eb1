package io.github.llmmobile.cli.chat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import org.junit.jupiter.api.Test;

class MessageReaderTest {
  private static String read(String... lines) {
    return new MessageReader(new ScriptedInput(true, lines)).next();
  }

  @Test
  void lineIsAMessage() {
    assertEquals("hello", read("hello", "next"));
    assertEquals("", read(""));
    assertNull(read());
  }

  @Test
  void backslashJoinsLines() {
    assertEquals("a\nb\nc", read("a\\", "b\\", "c", "d"));
    assertEquals("a\n", read("a\\"));
  }

  @Test
  void blockKeepsItsLines() {
    assertEquals("a\n\n  b\\", read("\"\"\"", "a", "", "  b\\", "\"\"\"", "next"));
  }

  @Test
  void blockMayBeginAndEndBesideItsText() {
    assertEquals("a\nb", read("\"\"\"a", "b\"\"\""));
    assertEquals("a", read("\"\"\"a\"\"\""));
    assertEquals("", read("\"\"\"", "\"\"\""));
  }

  @Test
  void unfinishedBlockCountsAtTheEndOfTheInput() {
    assertEquals("a\nb", read("\"\"\"", "a", "b"));
  }

  @Test
  void laterLinesGetTheOtherPrompt() {
    ScriptedInput input = new ScriptedInput(true, "a\\", "b", "c");
    MessageReader reader = new MessageReader(input);
    reader.next();
    reader.next();
    assertEquals(List.of(false, true, false), input.prompts);
  }

  @Test
  void interruptDropsWhatWasTyped() {
    MessageReader reader =
        new MessageReader(new ScriptedInput(true, "\"\"\"", "a", ScriptedInput.CTRL_C, "b"));
    assertThrows(ChatInput.LineInterruptedException.class, reader::next);
    assertEquals("b", reader.next());
  }
}
