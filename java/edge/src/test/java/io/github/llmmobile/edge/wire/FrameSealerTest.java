package io.github.llmmobile.edge.wire;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.llmmobile.edge.wire.FrameSealer.Direction;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class FrameSealerTest {
  private static final byte[] SECRET = bytes(32, 1);
  private static final byte[] NONCE = bytes(32, 2);
  private static final byte[] OPEN = bytes(100, 3);
  private static final byte[] PLAIN = "hidden states of a sentence".getBytes(StandardCharsets.US_ASCII);

  private static byte[] bytes(int count, long seed) {
    byte[] bytes = new byte[count];
    new Random(seed).nextBytes(bytes);
    return bytes;
  }

  private static FrameContext context() {
    return new FrameContext(bytes(16, 4), 1, 15, 30, "0123456789abcdef", 1, OPEN);
  }

  private static FrameSealer sealer(FrameContext context, Direction direction, byte[] nonce) {
    return FrameSealer.of(context, direction, SECRET, nonce, FrameSealer.FRAMES_PER_KEY);
  }

  private static FrameSealer up() {
    return sealer(context(), Direction.UP, NONCE);
  }

  private static void refuses(FrameSealer opener, long seq, byte[] sealed) {
    assertThrows(SealException.class, () -> opener.open(seq, sealed));
  }

  @Test
  void framesComeThroughInOrder() throws SealException {
    FrameSealer sealer = up();
    FrameSealer opener = up();
    for (int i = 0; i < 100; i++) {
      byte[] plain = bytes(i, i);
      byte[] sealed = sealer.seal(plain);
      assertEquals(plain.length + FrameSealer.TAG_BYTES, sealed.length);
      assertArrayEquals(plain, opener.open(i, sealed));
    }
  }

  @Test
  void equalFramesLookDifferent() {
    FrameSealer sealer = up();
    assertFalse(Arrays.equals(sealer.seal(PLAIN), sealer.seal(PLAIN)));
  }

  @Test
  void aFrameOpensOnce() throws SealException {
    byte[] sealed = up().seal(PLAIN);
    FrameSealer opener = up();
    opener.open(0, sealed);
    refuses(opener, 0, sealed);
    refuses(opener, 1, sealed);
  }

  @Test
  void aFrameThatIsLeftOutEndsTheEpoch() {
    FrameSealer sealer = up();
    byte[] first = sealer.seal(PLAIN);
    byte[] second = sealer.seal(PLAIN);
    FrameSealer opener = up();
    refuses(opener, 1, second);
    // Nothing opens after a failure, not even what would have been next.
    refuses(opener, 0, first);
  }

  @Test
  void everyChangedBitIsNoticed() {
    byte[] sealed = up().seal(PLAIN);
    for (int bit = 0; bit < 8 * sealed.length; bit++) {
      byte[] changed = sealed.clone();
      changed[bit / 8] ^= (byte) (1 << bit % 8);
      refuses(up(), 0, changed);
    }
    for (int length = 0; length < sealed.length; length++) {
      refuses(up(), 0, Arrays.copyOf(sealed, length));
    }
  }

  /** {@code -Dllmm.edge.mutations=1000000} for the long form. */
  @Test
  void noMutatedFrameOpens() {
    Random random = new Random(9);
    byte[] plain = bytes(600, 5);
    byte[] sealed = up().seal(plain);
    for (int i = Integer.getInteger("llmm.edge.mutations", 20_000); i > 0; i--) {
      byte[] changed = random.nextInt(8) == 0 ? Arrays.copyOf(sealed, random.nextInt(2 * sealed.length)) : sealed.clone();
      for (int n = random.nextInt(8); n >= 0 && changed.length > 0; n--) {
        changed[random.nextInt(changed.length)] ^= (byte) (1 + random.nextInt(255));
      }
      if (!Arrays.equals(changed, sealed)) {
        refuses(up(), 0, changed);
      }
    }
  }

  @Test
  void aFrameBelongsToItsContext() {
    byte[] sealed = up().seal(PLAIN);
    byte[] session = bytes(16, 4);
    String model = "0123456789abcdef";
    for (FrameContext other : new FrameContext[] {
        new FrameContext(bytes(16, 5), 1, 15, 30, model, 1, OPEN),
        new FrameContext(session, 2, 15, 30, model, 1, OPEN),
        new FrameContext(session, 1, 14, 30, model, 1, OPEN),
        new FrameContext(session, 1, 15, 29, model, 1, OPEN),
        new FrameContext(session, 1, 15, 30, "0123456789abcdee", 1, OPEN),
        new FrameContext(session, 1, 15, 30, model, 2, OPEN),
        new FrameContext(session, 1, 15, 30, model, 1, bytes(100, 6))}) {
      refuses(sealer(other, Direction.UP, NONCE), 0, sealed);
    }
    refuses(sealer(context(), Direction.DOWN, NONCE), 0, sealed);
    refuses(sealer(context(), Direction.UP, bytes(32, 7)), 0, sealed);
    refuses(FrameSealer.of(context(), Direction.UP, bytes(32, 8), NONCE, FrameSealer.FRAMES_PER_KEY), 0, sealed);
  }

  @Test
  void keysChangeAndOldOnesAreOfNoUse() throws SealException {
    FrameSealer sealer = FrameSealer.of(context(), Direction.UP, SECRET, NONCE, 3);
    FrameSealer opener = FrameSealer.of(context(), Direction.UP, SECRET, NONCE, 3);
    FrameSealer never = FrameSealer.of(context(), Direction.UP, SECRET, NONCE, 1000);
    for (int i = 0; i < 20; i++) {
      byte[] sealed = sealer.seal(PLAIN);
      assertArrayEquals(PLAIN, opener.open(i, sealed));
      if (i < 3) {
        never.open(i, sealed);
      } else {
        refuses(never, i, sealed);
      }
    }
  }
}
