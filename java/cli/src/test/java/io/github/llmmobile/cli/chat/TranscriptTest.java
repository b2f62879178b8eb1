package io.github.llmmobile.cli.chat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ChatMessage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TranscriptTest {
  @TempDir Path folder;

  @Test
  void messagesComeBackAsTheyWere() throws IOException {
    Path file = folder.resolve("talk.json");
    List<ChatMessage> messages = List.of(ChatMessage.system("Be <brief>."),
        ChatMessage.user("Grüße\n\"x\" \uD83D\uDE00"), ChatMessage.assistant("ok"));
    Transcript.write(file, messages);
    List<ChatMessage> read = Transcript.read(file);
    assertEquals(3, read.size());
    for (int i = 0; i < read.size(); i++) {
      assertEquals(messages.get(i).role(), read.get(i).role());
      assertEquals(messages.get(i).content(), read.get(i).content());
    }
  }

  @Test
  void writingReplacesTheOldFileAndLeavesNothingBeside() throws IOException {
    Path file = Files.writeString(folder.resolve("talk.json"), "old");
    Transcript.write(file, List.of(ChatMessage.user("new")));
    assertEquals("new", Transcript.read(file).get(0).content());
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(List.of(file), files.toList());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {
    "", "null", "[]", "{}", "{\"messages\":5}", "{\"messages\":[5]}", "{\"messages\":[{}]}", "{\"messages\":[",
    "{\"messages\":[{\"role\":\"user\"}]}", "{\"messages\":[{\"role\":\"robot\",\"content\":\"x\"}]}",
    "{\"messages\":[{\"role\":\"user\",\"content\":{}}]}", "{\"messages\":[{\"role\":null,\"content\":\"x\"}]}",
  })
  void otherFilesAreRefused(String text) throws IOException {
    Path file = Files.writeString(folder.resolve("other.json"), text);
    IOException e = assertThrows(IOException.class, () -> Transcript.read(file));
    assertTrue(e.getMessage().startsWith("not a conversation"), e.getMessage());
  }

  @Test
  void cacheStandsBeside() {
    assertEquals(Path.of("d/talk.json.session"), Transcript.stateFile(Path.of("d/talk.json")));
  }
}
