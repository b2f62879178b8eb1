package io.github.llmmobile.internal;

import io.github.llmmobile.internal.jni.LlmmProgressCallback;
import io.github.llmmobile.internal.jni.LlmmTokenBatch;
import io.github.llmmobile.internal.jni.LlmmTokenCallback;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;

/**
 * The way from native callbacks to Java objects. JavaCPP allows only ten live instances of a callback class, so there
 * is one per type, and the user data that comes with each call is a number that stands for the object. The table of
 * these numbers is this package's only mutable static.
 *
 * <p>An exception must not pass through native frames: it is kept, the native call is told to stop, and {@link
 * Registration#rethrow()} throws it once the call has returned.
 */
final class Callbacks {
  private static final int GO_ON = 0;
  private static final int STOP = 1;

  private static final Map<Long, Registration> TABLE = new ConcurrentHashMap<>();
  private static final AtomicLong NEXT_ID = new AtomicLong(1);

  private Callbacks() {}

  /** Makes a sink reachable for native code until the registration is closed. */
  static Registration register(ProgressSink sink) {
    return new Registration(sink, null);
  }

  /** Makes a sink reachable for native code until the registration is closed. */
  static Registration register(TokenSink sink) {
    return new Registration(null, sink);
  }

  static LlmmProgressCallback progress() {
    return ProgressTrampoline.INSTANCE;
  }

  static LlmmTokenCallback tokens() {
    return TokenTrampoline.INSTANCE;
  }

  /** How many sinks are registered. */
  static int registered() {
    return TABLE.size();
  }

  /** A sink in use by one native call. */
  static final class Registration implements AutoCloseable {
    private final long id = NEXT_ID.getAndIncrement();
    private final @Nullable ProgressSink progress;
    private final @Nullable TokenSink tokens;
    // Native code calls back on the thread that made the call, so these need no lock.
    private @Nullable Throwable failure;

    private Registration(@Nullable ProgressSink progress, @Nullable TokenSink tokens) {
      this.progress = progress;
      this.tokens = tokens;
      TABLE.put(id, this);
    }

    /** What to hand over as user data. */
    Pointer userData() {
      return new UserData(id);
    }

    int onProgress(double fraction) {
      if (failure != null || progress == null) {
        return STOP;
      }
      try {
        return progress.onProgress(fraction) ? GO_ON : STOP;
      } catch (Throwable e) {
        failure = e;
        return STOP;
      }
    }

    int onTokens(LlmmTokenBatch batch) {
      // After a failure the library still gives out the rest of the text; nobody wants it.
      if (failure != null || tokens == null) {
        return STOP;
      }
      try {
        return deliver(tokens, batch) ? GO_ON : STOP;
      } catch (Throwable e) {
        failure = e;
        return STOP;
      }
    }

    /** Throws what the sink threw, as it is. */
    void rethrow() {
      if (failure != null) {
        Callbacks.<RuntimeException>throwAny(failure);
      }
    }

    @Override
    public void close() {
      TABLE.remove(id);
    }
  }

  private static boolean deliver(TokenSink sink, LlmmTokenBatch batch) {
    int n = batch.n_tokens();
    int[] tokens = new int[n];
    int[] ends = new int[n];
    float[] logprobs = new float[n];
    Arrays.fill(logprobs, Float.NaN);
    if (n > 0) {
      batch.tokens().get(tokens, 0, n);
      IntPointer textEnds = batch.text_ends();
      textEnds.get(ends, 0, n);
      if (batch.logprobs() != null) {
        batch.logprobs().get(logprobs, 0, n);
      }
    }
    byte[] bytes = new byte[batch.text_bytes()];
    BytePointer text = batch.text();
    if (bytes.length > 0) {
      text.get(bytes, 0, bytes.length);
    }
    String[] texts = new String[n];
    int from = 0;
    for (int i = 0; i < n; i++) {
      texts[i] = new String(bytes, from, ends[i] - from, StandardCharsets.UTF_8);
      from = ends[i];
    }
    return sink.onTokens(tokens, logprobs, texts, new String(bytes, from, bytes.length - from, StandardCharsets.UTF_8));
  }

  private static @Nullable Registration find(@Nullable Pointer userData) {
    return userData == null ? null : TABLE.get(userData.address());
  }

  @SuppressWarnings("unchecked")
  private static <T extends Throwable> void throwAny(Throwable failure) throws T {
    throw (T) failure;
  }

  /** A number in a pointer's clothes. It is never dereferenced. */
  private static final class UserData extends Pointer {
    UserData(long id) {
      address = id;
    }
  }

  private static final class ProgressTrampoline extends LlmmProgressCallback {
    static final ProgressTrampoline INSTANCE = new ProgressTrampoline();

    @Override
    public int call(float progress, Pointer userData) {
      Registration registration = find(userData);
      return registration == null ? STOP : registration.onProgress(progress);
    }
  }

  private static final class TokenTrampoline extends LlmmTokenCallback {
    static final TokenTrampoline INSTANCE = new TokenTrampoline();

    @Override
    public int call(LlmmTokenBatch batch, Pointer userData) {
      Registration registration = find(userData);
      return registration == null ? STOP : registration.onTokens(batch);
    }
  }
}
