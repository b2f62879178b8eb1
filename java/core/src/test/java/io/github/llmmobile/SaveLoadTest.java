package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.llmmobile.testing.Models;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SaveLoadTest {
  private static final GenerationOptions OPTIONS =
      GenerationOptions.greedy().toBuilder().maxTokens(20).ignoreEos(true).build();

  @TempDir Path folder;

  private final LlmModel model = Models.tiny();
  private final LlmSession session = model.newSession(Models.tinySession());

  @AfterEach
  void close() {
    session.close();
  }

  @Test
  void aLoadedSessionGoesOnAsTheSavedOneWould() {
    session.generate(Prompt.text("hello world"), OPTIONS);
    Path file = folder.resolve("a \u00e9\u65e5.session");
    session.save(file);
    int[] history = session.tokens();
    float[] logits = session.logits();
    try (LlmSession other = model.newSession(Models.tinySession())) {
      other.eval(99, 98);
      other.load(file);
      assertArrayEquals(history, other.tokens());
      assertArrayEquals(logits, other.logits(), 1e-4f);
      GenerationResult next = other.generate(Prompt.tokens(history), OPTIONS);
      assertTrue(next.reusedTokens() >= history.length - 1, next.reusedTokens() + " of " + history.length);
      assertArrayEquals(session.generate(Prompt.tokens(history), OPTIONS).tokens(), next.tokens());
    }
  }

  @Test
  void anEmptySessionCanBeSaved() {
    Path file = folder.resolve("empty");
    session.save(file);
    session.eval(70);
    session.load(file);
    assertEquals(0, session.tokenCount());
  }

  @Test
  void damagedFilesAreRefusedAndChangeNothing() throws IOException {
    session.eval(70, 71, 72, 73, 74, 75);
    Path file = folder.resolve("saved");
    session.save(file);
    byte[] sound = Files.readAllBytes(file);
    session.eval(76);
    Path damaged = folder.resolve("damaged");
    for (int i = 0; i < 20; i++) {
      Files.write(damaged, Arrays.copyOf(sound, i * sound.length / 20));
      fails(ErrorCode.STATE_INVALID, () -> session.load(damaged));
      byte[] flipped = sound.clone();
      flipped[i * (sound.length - 1) / 19] ^= 0x10;
      Files.write(damaged, flipped);
      fails(ErrorCode.STATE_INVALID, () -> session.load(damaged));
    }
    Files.write(damaged, Arrays.copyOf(sound, sound.length + 1));
    fails(ErrorCode.STATE_INVALID, () -> session.load(damaged));
    Files.write(damaged, "not a session".getBytes());
    fails(ErrorCode.STATE_INVALID, () -> session.load(damaged));
    fails(ErrorCode.IO, () -> session.load(folder.resolve("missing")));
    fails(ErrorCode.IO, () -> session.load(folder));
    assertArrayEquals(new int[] {70, 71, 72, 73, 74, 75, 76}, session.tokens());
    session.load(file);
    assertEquals(6, session.tokenCount());
  }

  @Test
  void aSessionOfAnotherModelOrALargerContextIsRefused() {
    int[] many = new int[400];
    Arrays.fill(many, 70);
    session.eval(many);
    Path file = folder.resolve("saved");
    session.save(file);
    try (LlmSession other = Models.other().newSession(Models.tinySession())) {
      other.eval(80);
      fails(ErrorCode.STATE_MISMATCH, () -> other.load(file));
      assertEquals(1, other.tokenCount());
    }
    try (LlmSession small = model.newSession(Models.tinySession().toBuilder().contextTokens(256).build())) {
      String message = fails(ErrorCode.STATE_MISMATCH, () -> small.load(file));
      assertTrue(message.contains("400") && message.contains("256"), message);
    }
  }

  @Test
  void aFileThatCannotBeWrittenLeavesTheOldOneAndNoRubbish() throws IOException {
    session.eval(70, 71);
    fails(ErrorCode.IO, () -> session.save(folder.resolve("no/such/folder/file")));
    Path directory = Files.createDirectory(folder.resolve("directory"));
    Files.write(directory.resolve("inside"), new byte[1]);
    fails(ErrorCode.IO, () -> session.save(directory));
    assertEquals(List.of("directory"), names(folder));
    session.save(folder.resolve("good"));
  }

  @Test
  void aFullDiskLeavesTheOldFile() throws IOException, InterruptedException {
    Path disk = Files.createDirectory(folder.resolve("disk"));
    assumeTrue(run("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk.toString()),
        "no right to mount a small disk");
    try {
      Path file = disk.resolve("saved");
      byte[] old = {1, 2, 3};
      Files.write(file, old);
      int[] many = new int[400];
      Arrays.fill(many, 70);
      session.eval(many);
      fails(ErrorCode.IO, () -> session.save(file));
      assertArrayEquals(old, Files.readAllBytes(file));
      assertEquals(List.of("saved"), names(disk));
      session.save(folder.resolve("elsewhere"));
    } finally {
      run("umount", disk.toString());
    }
  }

  private static List<String> names(Path directory) throws IOException {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.map(entry -> entry.getFileName().toString()).collect(Collectors.toList());
    }
  }

  private static boolean run(String... command) throws InterruptedException {
    try {
      Process process = new ProcessBuilder(command).redirectErrorStream(true)
          .redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
      return process.waitFor() == 0;
    } catch (IOException noSuchProgram) {
      return false;
    }
  }
}
