package io.github.llmmobile.edge;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * A way to a worker that can be broken: cut, or silent as a network is that loses every packet; and one that can be long or
 * narrow, in both directions.
 */
final class FaultProxy implements Closeable {
  private static final int PIECE_BYTES = 4096;
  private static final int PIECES = 16;
  private static final long RETRANSMISSION_NANOS = TimeUnit.MILLISECONDS.toNanos(200);

  private final ServerSocket server;
  private final Set<Socket> sockets = ConcurrentHashMap.newKeySet();
  private final Object silence = new Object();
  private volatile int target;
  private volatile boolean silent;
  private volatile boolean closed;
  private volatile long delayNanos;
  private volatile long bitsPerSecond;
  private volatile double lossRate;
  private final AtomicInteger lost = new AtomicInteger();

  FaultProxy(int target) {
    this.target = target;
    try {
      server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    start(this::accept);
  }

  int port() {
    return server.getLocalPort();
  }

  WorkerAddress address() {
    return WorkerAddress.insecure("127.0.0.1:" + port());
  }

  /** Where new connections lead. */
  void target(int port) {
    target = port;
  }

  /** Ends all connections. */
  void cut() {
    for (Socket socket : sockets) {
      close(socket);
    }
  }

  /** What comes through from now on takes so long. */
  void delay(int millis) {
    delayNanos = TimeUnit.MILLISECONDS.toNanos(millis);
  }

  /** And no more of it than this; 0 for any. */
  void rate(long bits) {
    bitsPerSecond = bits;
  }

  /**
   * A share of what is sent gets lost on the way. Between two ends of TCP that means: it comes 200 ms later, when it is sent
   * again, and what follows it comes after it.
   */
  void lose(double share) {
    lossRate = share;
  }

  /** How often that has happened. */
  int lost() {
    return lost.get();
  }

  /** From now on nothing comes through, and nobody is told. */
  void blackhole() {
    silent = true;
  }

  /** What was held back comes through, and whatever follows. */
  void heal() {
    synchronized (silence) {
      silent = false;
      silence.notifyAll();
    }
  }

  private void accept() {
    while (!closed) {
      try {
        Socket near = server.accept();
        near.setTcpNoDelay(true);
        sockets.add(near);
        start(() -> connect(near));
      } catch (IOException e) {
        return;
      }
    }
  }

  private void connect(Socket near) {
    try {
      awaitSound();
      Socket far = new Socket(InetAddress.getLoopbackAddress(), target);
      far.setTcpNoDelay(true);
      sockets.add(far);
      start(() -> pump(far, near));
      pump(near, far);
    } catch (IOException e) {
      close(near);
    }
  }

  /** Bytes on their way, and when they arrive. */
  private static final class Piece {
    private static final Piece END = new Piece(new byte[0], 0);
    private final byte[] bytes;
    private final long dueNanos;

    Piece(byte[] bytes, long dueNanos) {
      this.bytes = bytes;
      this.dueNanos = dueNanos;
    }
  }

  private void pump(Socket from, Socket to) {
    // As full as a router's buffer: then whoever sends has to wait.
    BlockingQueue<Piece> way = new ArrayBlockingQueue<>(PIECES);
    start(() -> arrive(way, from, to));
    byte[] buffer = new byte[PIECE_BYTES];
    long free = System.nanoTime();
    try {
      InputStream in = from.getInputStream();
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        awaitSound();
        long bits = bitsPerSecond;
        free = Math.max(free, System.nanoTime()) + (bits == 0 ? 0 : n * 8_000_000_000L / bits);
        if (ThreadLocalRandom.current().nextDouble() < lossRate) {
          free += RETRANSMISSION_NANOS;
          lost.incrementAndGet();
        }
        way.put(new Piece(Arrays.copyOf(buffer, n), free + delayNanos));
      }
      way.put(Piece.END);
    } catch (IOException | InterruptedException e) {
      // Either side is gone: so is the other.
      close(from);
      close(to);
      way.clear();
      way.add(Piece.END);
    }
  }

  private void arrive(BlockingQueue<Piece> way, Socket from, Socket to) {
    try {
      OutputStream out = to.getOutputStream();
      for (Piece piece = way.take(); piece != Piece.END; piece = way.take()) {
        for (long left = piece.dueNanos - System.nanoTime(); left > 0; left = piece.dueNanos - System.nanoTime()) {
          LockSupport.parkNanos(left);
        }
        awaitSound();
        out.write(piece.bytes);
      }
    } catch (IOException | InterruptedException e) {
      // As above.
    } finally {
      close(from);
      close(to);
      // Whoever waits to put something in need not any more.
      way.clear();
    }
  }

  private void awaitSound() throws IOException {
    synchronized (silence) {
      while (silent && !closed) {
        try {
          silence.wait();
        } catch (InterruptedException e) {
          throw new IOException(e);
        }
      }
    }
  }

  private void close(Socket socket) {
    sockets.remove(socket);
    try {
      socket.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void start(Runnable task) {
    Thread thread = new Thread(task, "fault-proxy");
    thread.setDaemon(true);
    thread.start();
  }

  @Override
  public void close() throws IOException {
    closed = true;
    heal();
    server.close();
    cut();
  }
}
