package io.github.llmmobile.edge;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** A way to a worker that can be broken: cut, or silent as a network is that loses every packet. */
final class FaultProxy implements Closeable {
  private final ServerSocket server;
  private final Set<Socket> sockets = ConcurrentHashMap.newKeySet();
  private final Object silence = new Object();
  private volatile int target;
  private volatile boolean silent;
  private volatile boolean closed;

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

  private void pump(Socket from, Socket to) {
    byte[] buffer = new byte[1 << 16];
    try {
      InputStream in = from.getInputStream();
      OutputStream out = to.getOutputStream();
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        awaitSound();
        out.write(buffer, 0, n);
      }
    } catch (IOException e) {
      // Either side is gone: so is the other.
    } finally {
      close(from);
      close(to);
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
