package io.github.llmmobile.edge.remote;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** A server on loopback that answers as a test wants, badly if need be. One connection, one request, one answer. */
final class ScriptedServer implements AutoCloseable {
  /** What it got. */
  static final class Seen {
    final String line;
    final String head;
    final String body;

    Seen(String line, String head, String body) {
      this.line = line;
      this.head = head;
      this.body = body;
    }
  }

  /** What it does about it. */
  interface Script {
    void answer(Seen request, Reply reply) throws IOException;
  }

  /** The way back. */
  static final class Reply {
    private final OutputStream out;
    private final Socket socket;

    Reply(Socket socket) throws IOException {
      this.socket = socket;
      out = socket.getOutputStream();
    }

    void raw(String text) throws IOException {
      out.write(text.getBytes(StandardCharsets.UTF_8));
      out.flush();
    }

    /** A whole answer. */
    void status(int status, String headers, String body) throws IOException {
      byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
      raw("HTTP/1.1 " + status + " X\r\nContent-Length: " + bytes.length + "\r\nConnection: close\r\n" + headers
          + "\r\n" + body);
    }

    void json(String body) throws IOException {
      status(200, "Content-Type: application/json\r\n", body);
    }

    /** The head of a stream that ends with the connection. */
    void streamHead() throws IOException {
      raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
    }

    void event(String data) throws IOException {
      raw("data: " + data + "\n\n");
    }

    /** Waits until the other side has gone. */
    void untilGone() throws IOException {
      InputStream in = socket.getInputStream();
      try {
        while (in.read() >= 0) {
          continue;
        }
      } catch (IOException e) {
        // Gone in a hurry.
      }
    }
  }

  final List<Seen> seen = new CopyOnWriteArrayList<>();
  private final ServerSocket socket;
  private final Script script;
  private final CountDownLatch gone = new CountDownLatch(1);

  ScriptedServer(Script script) throws IOException {
    this.script = script;
    socket = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    Thread acceptor = new Thread(this::accept, "scripted-server");
    acceptor.setDaemon(true);
    acceptor.start();
  }

  String url() {
    return "http://127.0.0.1:" + socket.getLocalPort();
  }

  private void accept() {
    while (!socket.isClosed()) {
      try {
        Socket client = socket.accept();
        Thread one = new Thread(() -> serve(client), "scripted-server-connection");
        one.setDaemon(true);
        one.start();
      } catch (IOException e) {
        return;
      }
    }
  }

  private void serve(Socket client) {
    try (client; InputStream in = client.getInputStream()) {
      ByteArrayOutputStream head = new ByteArrayOutputStream();
      while (!head.toString("ISO-8859-1").endsWith("\r\n\r\n")) {
        int b = in.read();
        if (b < 0) {
          return;
        }
        head.write(b);
      }
      String text = head.toString("ISO-8859-1");
      String lower = text.toLowerCase(Locale.ROOT);
      int length = 0;
      int at = lower.indexOf("content-length:");
      if (at >= 0) {
        length = Integer.parseInt(lower.substring(at + 15, lower.indexOf('\r', at)).trim());
      }
      String body = new String(in.readNBytes(length), StandardCharsets.UTF_8);
      Seen request = new Seen(text.substring(0, text.indexOf('\r')), text, body);
      seen.add(request);
      script.answer(request, new Reply(client));
    } catch (IOException e) {
      // The client went away, as some tests want.
    } finally {
      gone.countDown();
    }
  }

  /** Whether an exchange has come to its end within some time that no test should need. */
  boolean exchangeEnded() throws InterruptedException {
    return gone.await(20, TimeUnit.SECONDS);
  }

  @Override
  public void close() throws IOException {
    socket.close();
  }
}
