package io.github.llmmobile.internal;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.internal.jni.Llmm;
import io.github.llmmobile.internal.loader.NativeLoader;
import org.bytedeco.javacpp.Loader;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The library as a whole: loading it, and what it says about itself and the machine. Threads: any. */
public final class NativeRuntime {
  private static final Logger LOG = LoggerFactory.getLogger(NativeRuntime.class);

  private static boolean ready;

  private NativeRuntime() {}

  /**
   * Loads the library if that has not happened. Everything native begins here.
   *
   * @throws LlmException NATIVE_LIBRARY if it cannot be loaded; a later call tries and fails the same way
   */
  public static synchronized void ensureLoaded() {
    if (ready) {
      return;
    }
    try {
      NativeLoader.load();
      NativeLog.install();
    } catch (LinkageError e) {
      throw new LlmException(ErrorCode.NATIVE_LIBRARY, String.valueOf(e.getMessage()), e);
    }
    ready = true;
    if (LOG.isInfoEnabled()) {
      JsonObject build = JsonParser.parseString(buildInfo()).getAsJsonObject();
      JsonObject llama = build.getAsJsonObject("llama_cpp");
      LOG.info("LLM Mobile {} on {}, llama.cpp {} (tree {})", build.get("version").getAsString(), Loader.getPlatform(),
          llama.get("version").getAsString(), llama.get("tree").getAsString());
    }
  }

  /**
   * How the library was built.
   *
   * @return JSON
   */
  public static String buildInfo() {
    ensureLoaded();
    return Buffers.text(Llmm.llmm_build_info());
  }

  /**
   * The machine as the library sees it.
   *
   * @return JSON
   */
  public static String systemInfo() {
    ensureLoaded();
    return Buffers.text(Llmm.llmm_system_info());
  }

  /**
   * Resident memory of the process.
   *
   * @return bytes now and at the peak
   */
  public static long[] processMemory() {
    ensureLoaded();
    long[] now = new long[1];
    long[] peak = new long[1];
    Status.check(Llmm.llmm_process_memory(now, peak));
    return new long[] {now[0], peak[0]};
  }
}
