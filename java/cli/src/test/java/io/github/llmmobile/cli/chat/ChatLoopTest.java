package io.github.llmmobile.cli.chat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.ChatMessage;
import io.github.llmmobile.ContextFullException;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.StopReason;
import io.github.llmmobile.cli.console.CliEnvironment;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ChatLoopTest {
  @TempDir Path folder;

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();
  private final List<Throwable> errors = new ArrayList<>();
  private final Engine engine = new Engine();

  /** Answers with a count, so that each answer is another. */
  private static final class Engine implements ChatEngine {
    final List<String> asked = new ArrayList<>();
    final List<String> files = new ArrayList<>();
    RuntimeException failure;
    StopReason reason = StopReason.END;
    Runnable during = () -> {};
    boolean cancelled;

    @Override
    public Answer answer(List<ChatMessage> messages, CancellationToken cancellation) {
      asked.add(messages.stream().map(m -> m.role() + ":" + m.content()).collect(Collectors.joining("|")));
      during.run();
      cancelled = cancellation.isCancelled();
      if (failure != null) {
        throw failure;
      }
      JsonObject json = new JsonObject();
      json.addProperty("text", "answer " + asked.size());
      return new Answer("answer " + asked.size(), reason, json);
    }

    @Override
    public String stats() {
      return "some figures\n";
    }

    @Override
    public void trim(int megabytes) {
      if (failure != null) {
        throw failure;
      }
      files.add("trim " + megabytes);
    }

    @Override
    public void saveState(Path file) {
      files.add("save " + file.getFileName());
    }

    @Override
    public void loadState(Path file) {
      files.add("load " + file.getFileName());
    }
  }

  private ChatLoop loop(ScriptedInput input, List<ChatMessage> system, boolean json) {
    Properties properties = new Properties();
    properties.setProperty("user.home", folder.toString());
    CliEnvironment env = new CliEnvironment.Builder().out(out).err(err).properties(properties).build();
    return new ChatLoop(env, engine, input, errors::add, system, json);
  }

  private Throwable talk(String... lines) {
    return loop(new ScriptedInput(false, lines), List.of(), false).run();
  }

  private String err() {
    return err.toString(StandardCharsets.UTF_8);
  }

  @Test
  void eachQuestionCarriesTheConversation() {
    assertNull(talk("one", "", "two"));
    assertEquals(List.of("user:one", "user:one|assistant:answer 1|user:two"), engine.asked);
  }

  @Test
  void quitEndsBeforeTheInputDoes() {
    talk("/quit", "never");
    talk("/exit", "never");
    assertEquals(List.of(), engine.asked);
  }

  @Test
  void resetKeepsTheSystemMessage() {
    loop(new ScriptedInput(false, "one", "/reset", "two"), List.of(ChatMessage.system("S")), false).run();
    assertEquals(List.of("system:S|user:one", "system:S|user:two"), engine.asked);
  }

  @Test
  void statsAndHelpGoToStandardError() {
    talk("/stats", "/help");
    assertTrue(err().contains("some figures"), err());
    for (String command : List.of("/reset", "/stats", "/trim MB", "/save FILE", "/load FILE", "/quit")) {
      assertTrue(err().contains(command), command);
    }
    assertEquals("", out.toString(StandardCharsets.UTF_8));
  }

  @Test
  void doubleSlashIsAMessage() {
    talk("//etc/hosts is a file");
    assertEquals(List.of("user:/etc/hosts is a file"), engine.asked);
  }

  @Test
  void unknownCommandIsAnErrorAndNoMessage() {
    Throwable failure = talk("/rest", "/save", "hello");
    assertEquals(List.of("user:hello"), engine.asked);
    assertEquals(2, errors.size());
    assertSame(errors.get(0), failure);
  }

  @Test
  void trimTakesANumberAndSaysWhyItFails() {
    talk("/trim 32", "/trim", "/trim a few");
    assertEquals(List.of("trim 32"), engine.files);
    assertEquals(2, errors.size());
    assertTrue(err().contains("32 MB"), err());
    engine.failure = new LlmException(ErrorCode.NOT_AVAILABLE, "no pages");
    assertTrue(talk("/trim 32").getMessage().contains("--max-memory-mb"));
    engine.failure = new ContextFullException("needs 5 MB");
    assertSame(engine.failure, talk("/trim 1"));
  }

  @Test
  void savedConversationGoesOn() {
    Path file = folder.resolve("talk.json");
    talk("one", "/save " + file);
    engine.asked.clear();
    assertNull(loop(new ScriptedInput(false, "/load ~/talk.json", "two"), List.of(), false).run());
    assertEquals(List.of("user:one|assistant:answer 1|user:two"), engine.asked);
    assertEquals(List.of("save talk.json.session"), engine.files);
    assertTrue(err().contains("reads it again"), err());
  }

  @Test
  void cacheIsLoadedWhereThereIsOne() throws IOException {
    Path file = folder.resolve("talk.json");
    talk("one", "/save " + file);
    Files.writeString(Transcript.stateFile(file), "cache");
    talk("/load " + file);
    assertEquals(List.of("save talk.json.session", "load talk.json.session"), engine.files);
  }

  @Test
  void brokenFileLeavesTheConversationAlone() throws IOException {
    Path file = Files.writeString(folder.resolve("bad.json"), "{");
    talk("one", "/load " + file, "/load " + folder.resolve("none.json"), "two");
    assertEquals("user:one|assistant:answer 1|user:two", engine.asked.get(1));
    assertEquals(2, errors.size());
  }

  @Test
  void failedAnswerDropsItsQuestion() {
    engine.failure = new LlmException(ErrorCode.INTERNAL, "broken");
    ScriptedInput input = new ScriptedInput(false, "one");
    ChatLoop loop = loop(input, List.of(), false);
    assertSame(engine.failure, loop.run());
    assertEquals(List.of(), loop.messages());
    assertEquals(List.of(engine.failure), errors);
    assertEquals(List.of(), input.interrupts);
  }

  @Test
  void failureSeenByAPersonDoesNotEndInAnErrorCode() {
    engine.failure = new LlmException(ErrorCode.INTERNAL, "broken");
    assertNull(loop(new ScriptedInput(true, "one"), List.of(), false).run());
    assertEquals(1, errors.size());
  }

  @Test
  void interruptStopsTheAnswerAndKeepsWhatThereIs() {
    ScriptedInput input = new ScriptedInput(true, "one", "two");
    engine.reason = StopReason.CANCELLED;
    engine.during = () -> input.interrupts.get(0).run();
    ChatLoop loop = loop(input, List.of(), false);
    loop.run();
    assertTrue(engine.cancelled);
    assertEquals(4, loop.messages().size());
    assertEquals(List.of(), input.interrupts);
  }

  @Test
  void interruptAtThePromptGoesOn() {
    loop(new ScriptedInput(true, ScriptedInput.CTRL_C, "one"), List.of(), false).run();
    assertEquals(List.of("user:one"), engine.asked);
    assertTrue(err().contains("/quit"), err());
  }

  @Test
  void fullContextIsTold() {
    engine.reason = StopReason.CONTEXT_FULL;
    talk("one");
    assertTrue(err().contains("context is full"), err());
  }

  @Test
  void jsonIsOneLinePerAnswer() {
    loop(new ScriptedInput(false, "one", "two"), List.of(), true).run();
    assertEquals("{\"text\":\"answer 1\"}\n{\"text\":\"answer 2\"}\n", out.toString(StandardCharsets.UTF_8));
    assertFalse(err().contains("answer"), err());
  }
}
