package io.github.llmmobile.internal.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.llmmobile.internal.jni.Llmm;
import io.github.llmmobile.internal.jni.LlmmModelParams;
import io.github.llmmobile.internal.jni.LlmmSessionParams;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NativeLoaderTest {

  @TempDir Path temp;

  @Test
  void secondAttemptFailsWithTheSameText() throws Exception {
    String out = probe("-D" + NativeProperties.PATH + "=" + temp);
    String first = between(out, "FAILED 1 ", "CAUSE 1");
    assertTrue(first.contains(temp.toString()), out);
    assertEquals(first, between(out, "FAILED 2 ", "CAUSE 2"));
    assertTrue(out.contains("CAUSE 2 java.lang.UnsatisfiedLinkError: LLM Mobile cannot load"), out);
  }

  @Test
  void physicalMemoryLimitIsLifted() throws Exception {
    assertTrue(probe("-D" + NativeProperties.PATH + "=" + temp).contains("LIMIT 0"));
  }

  @Test
  void physicalMemoryLimitOfTheUserIsKept() throws Exception {
    String out =
        probe("-D" + NativeProperties.PATH + "=" + temp, "-D" + NativeProperties.MAX_PHYSICAL_BYTES + "=123456789");
    assertTrue(out.contains("LIMIT 123456789"), out);
  }

  /** System.load takes any library: that it is ours only shows when its functions are called. */
  @Test
  void foreignLibraryOfThatNameIsAClearError() throws Exception {
    Path some = Paths.get(System.getProperty("java.home"), "lib", System.mapLibraryName("zip"));
    assumeTrue(Files.isRegularFile(some), () -> "this JVM has no " + some);
    Files.copy(some, temp.resolve(System.mapLibraryName(NativeLibrary.NAME)));
    String out = probe("-D" + NativeProperties.PATH + "=" + temp);
    assertTrue(out.contains("FAILED 1 LLM Mobile: the library jnillmm from " + temp + " is another one"), out);
    assertTrue(out.contains("FAILED 2 LLM Mobile: the library jnillmm from " + temp + " is another one"), out);
  }

  @Test
  void builtLibraryLoadsAndAnswers() {
    Path folder = builtLibrary();
    NativeLoader.load();
    NativeLoader.load();
    assertEquals(folder, NativeLibrary.link().get());
    assertEquals(Llmm.LLMM_ABI_VERSION, Llmm.llmm_abi_version());
    assertEquals("CONTEXT_FULL", Llmm.llmm_status_name(Llmm.LLMM_ERR_CONTEXT_FULL).getString());
    assertEquals(0, Pointer.maxPhysicalBytes());
  }

  @Test
  void structsHaveTheLayoutOfTheLibrary() {
    builtLibrary();
    NativeLoader.load();
    try (LlmmModelParams model = new LlmmModelParams();
        LlmmSessionParams session = new LlmmSessionParams()) {
      Llmm.llmm_model_params_init(model);
      assertEquals(model.sizeof(), model.struct_size());
      assertEquals(1, model.use_mmap());
      assertEquals(1, model.repack());
      assertTrue(Pointer.isNull(model.progress_data()));
      Llmm.llmm_session_params_init(session);
      assertEquals(session.sizeof(), session.struct_size());
      assertEquals(512, session.n_batch());
      assertEquals(Llmm.LLMM_FLASH_ATTENTION_AUTO, session.flash_attention());
    }
  }

  @Test
  void textCrossesAsUtf8() {
    builtLibrary();
    NativeLoader.load();
    String path = "/nowhere/Müßiggang-模型-🦙.gguf";
    try (io.github.llmmobile.internal.jni.LlmmBuffer out = new io.github.llmmobile.internal.jni.LlmmBuffer()) {
      assertEquals(Llmm.LLMM_ERR_MODEL_NOT_FOUND, Llmm.llmm_gguf_inspect(path, out));
    }
    String text = new String(Llmm.llmm_last_error().getStringBytes(), StandardCharsets.UTF_8);
    assertTrue(text.contains(path), text);
  }

  private static Path builtLibrary() {
    String jar = System.getProperty(NativeProperties.PATH, "");
    Platform platform = Platform.of(System::getProperty);
    Path folder = Paths.get(jar).toAbsolutePath().resolve(platform.resourceFolder());
    assumeTrue(
        Files.exists(folder.resolve(platform.fileName(NativeLibrary.NAME))), () -> "no native library in " + folder);
    return folder;
  }

  private static String probe(String... options) throws IOException, InterruptedException {
    List<String> arguments = new ArrayList<>(List.of(options));
    arguments.add("-cp");
    arguments.add(
        List.of(LoadProbe.class, NativeLoader.class, org.bytedeco.javacpp.Loader.class, org.slf4j.Logger.class).stream()
            .map(type -> Jvm.origin(type).toString())
            .collect(Collectors.joining(java.io.File.pathSeparator)));
    arguments.add(LoadProbe.class.getName());
    return Jvm.run(arguments);
  }

  private static String between(String text, String start, String end) {
    int from = text.indexOf(start);
    int to = text.indexOf(end);
    assertTrue(from >= 0 && to > from, text);
    return text.substring(from + start.length(), to);
  }
}
