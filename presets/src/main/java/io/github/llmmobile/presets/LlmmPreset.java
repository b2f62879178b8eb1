package io.github.llmmobile.presets;

import io.github.llmmobile.internal.loader.NativeLibrary;
import org.bytedeco.javacpp.ClassProperties;
import org.bytedeco.javacpp.LoadEnabled;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.annotation.Platform;
import org.bytedeco.javacpp.annotation.Properties;
import org.bytedeco.javacpp.tools.Info;
import org.bytedeco.javacpp.tools.InfoMap;
import org.bytedeco.javacpp.tools.InfoMapper;

/**
 * Tells JavaCPP how to turn {@code llm_mobile.h} into the package {@code io.github.llmmobile.internal.jni}, and, at run
 * time, where the library lies.
 *
 * <p>JavaCPP creates an instance of this class in both roles, therefore it is public. Users have no business with it.
 */
@Properties(
    value =
        @Platform(
            include = "llm_mobile.h",
            library = NativeLibrary.NAME,
            // Without this, String arguments would cross in the platform's own charset and break paths and prompts.
            define = "STRING_BYTES_CHARSET \"UTF-8\""),
    target = "io.github.llmmobile.internal.jni",
    global = "io.github.llmmobile.internal.jni.Llmm")
public class LlmmPreset implements InfoMapper, LoadEnabled {

  private static final String[] HANDLES = {
    "llmm_buffer", "llmm_model", "llmm_adapter", "llmm_sampler", "llmm_session"
  };

  private static final String[] STRUCTS = {
    "llmm_model_params",
    "llmm_adapter_params",
    "llmm_prune_params",
    "llmm_gate_params",
    "llmm_session_params",
    "llmm_prune_event",
    "llmm_prune_page",
    "llmm_kv_probe_result",
    "llmm_token_result",
    "llmm_token_batch",
    "llmm_generate_params",
    "llmm_generate_result",
    "llmm_perplexity_params",
    "llmm_perplexity_result",
    "llmm_stats"
  };

  private static final String[] CALLBACKS = {"llmm_log_cb", "llmm_progress_cb", "llmm_token_cb"};

  /** Creates the preset; only JavaCPP does. */
  public LlmmPreset() {}

  @Override
  public void map(InfoMap infoMap) {
    // The parser would take the export macro for a type.
    infoMap.put(new Info("LLMM_API").cppTypes().annotations());
    for (String name : HANDLES) {
      infoMap.put(new Info(name).pointerTypes(javaName(name)));
    }
    for (String name : STRUCTS) {
      infoMap.put(new Info(name).pointerTypes(javaName(name)));
    }
    // A pointer has a position of its own.
    infoMap.put(new Info("llmm_prune_event::position").javaNames("event_position"));
    for (String name : CALLBACKS) {
      String type = javaName(name.substring(0, name.length() - "_cb".length())) + "Callback";
      infoMap.put(new Info(name).pointerTypes(type).valueTypes(type));
    }
  }

  /** {@code llmm_model_params} becomes {@code LlmmModelParams}. */
  private static String javaName(String name) {
    StringBuilder result = new StringBuilder();
    for (String word : name.split("_")) {
      result.append(Character.toUpperCase(word.charAt(0))).append(word, 1, word.length());
    }
    return result.toString();
  }

  /** Points JavaCPP to the folder of the library. Called once per generated class, at run time only. */
  @Override
  public void init(ClassProperties properties) {
    if (Loader.isLoadLibraries()) {
      NativeLibrary.configure(properties);
    }
  }
}
