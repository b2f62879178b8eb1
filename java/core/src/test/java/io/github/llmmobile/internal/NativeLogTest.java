package io.github.llmmobile.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.llmmobile.internal.jni.Llmm;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.slf4j.Marker;
import org.slf4j.event.Level;
import org.slf4j.helpers.AbstractLogger;

class NativeLogTest {
  /** A logger that lets through a level and what is above it, and remembers it. */
  private static final class Recorder extends AbstractLogger {
    private static final long serialVersionUID = 1L;
    private final transient Level threshold;
    final transient List<String> lines = new ArrayList<>();

    Recorder(Level threshold) {
      this.threshold = threshold;
    }

    private boolean enabled(Level level) {
      return level.toInt() >= threshold.toInt();
    }

    @Override
    protected String getFullyQualifiedCallerName() {
      return Recorder.class.getName();
    }

    @Override
    protected void handleNormalizedLoggingCall(
        Level level, Marker marker, String message, Object[] arguments, Throwable throwable) {
      lines.add(level + " " + arguments[0]);
    }

    @Override
    public boolean isTraceEnabled() {
      return enabled(Level.TRACE);
    }

    @Override
    public boolean isTraceEnabled(Marker marker) {
      return isTraceEnabled();
    }

    @Override
    public boolean isDebugEnabled() {
      return enabled(Level.DEBUG);
    }

    @Override
    public boolean isDebugEnabled(Marker marker) {
      return isDebugEnabled();
    }

    @Override
    public boolean isInfoEnabled() {
      return enabled(Level.INFO);
    }

    @Override
    public boolean isInfoEnabled(Marker marker) {
      return isInfoEnabled();
    }

    @Override
    public boolean isWarnEnabled() {
      return enabled(Level.WARN);
    }

    @Override
    public boolean isWarnEnabled(Marker marker) {
      return isWarnEnabled();
    }

    @Override
    public boolean isErrorEnabled() {
      return enabled(Level.ERROR);
    }

    @Override
    public boolean isErrorEnabled(Marker marker) {
      return isErrorEnabled();
    }
  }

  @Test
  void nativeLinesKeepOrLowerTheirLevel() {
    Recorder log = new Recorder(Level.TRACE);
    NativeLog.log(log, Llmm.LLMM_LOG_ERROR, "a");
    NativeLog.log(log, Llmm.LLMM_LOG_WARN, "b {}");
    NativeLog.log(log, Llmm.LLMM_LOG_INFO, "c");
    NativeLog.log(log, Llmm.LLMM_LOG_DEBUG, "d");
    assertEquals(List.of("ERROR a", "WARN b {}", "DEBUG c", "TRACE d"), log.lines);
  }

  @Test
  void theLibraryProducesOnlyWhatTheLoggerLetsThrough() {
    assertEquals(Llmm.LLMM_LOG_DEBUG, NativeLog.nativeLevel(new Recorder(Level.TRACE)));
    assertEquals(Llmm.LLMM_LOG_INFO, NativeLog.nativeLevel(new Recorder(Level.DEBUG)));
    assertEquals(Llmm.LLMM_LOG_WARN, NativeLog.nativeLevel(new Recorder(Level.INFO)));
    assertEquals(Llmm.LLMM_LOG_WARN, NativeLog.nativeLevel(new Recorder(Level.WARN)));
    assertEquals(Llmm.LLMM_LOG_ERROR, NativeLog.nativeLevel(new Recorder(Level.ERROR)));
  }
}
