package io.github.llmmobile.internal;

import io.github.llmmobile.internal.jni.Llmm;
import io.github.llmmobile.internal.jni.LlmmLogCallback;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Native log lines in SLF4J. llama.cpp's information is far too much for a program that logs at INFO, so it arrives one
 * level lower.
 */
final class NativeLog extends LlmmLogCallback {
  private static final Logger LOG = LoggerFactory.getLogger("io.github.llmmobile.native");
  private static final NativeLog INSTANCE = new NativeLog();

  private NativeLog() {}

  /** Routes native messages to SLF4J, as many as its logger lets through. */
  static void install() {
    Status.check(Llmm.llmm_log_set(nativeLevel(LOG), INSTANCE, null));
  }

  static int nativeLevel(Logger logger) {
    if (logger.isTraceEnabled()) {
      return Llmm.LLMM_LOG_DEBUG;
    }
    if (logger.isDebugEnabled()) {
      return Llmm.LLMM_LOG_INFO;
    }
    if (logger.isWarnEnabled()) {
      return Llmm.LLMM_LOG_WARN;
    }
    return logger.isErrorEnabled() ? Llmm.LLMM_LOG_ERROR : Llmm.LLMM_LOG_OFF;
  }

  @Override
  public void call(int level, BytePointer text, Pointer userData) {
    try {
      log(LOG, level, Buffers.text(text));
    } catch (Throwable e) {
      // A broken logging set-up must not take the process down, and there is no one to report it to.
      return;
    }
  }

  static void log(Logger logger, int level, String line) {
    switch (level) {
      case Llmm.LLMM_LOG_ERROR:
        logger.error("{}", line);
        break;
      case Llmm.LLMM_LOG_WARN:
        logger.warn("{}", line);
        break;
      case Llmm.LLMM_LOG_INFO:
        logger.debug("{}", line);
        break;
      default:
        logger.trace("{}", line);
        break;
    }
  }
}
