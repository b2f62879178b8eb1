package io.github.llmmobile.edge.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class SseReaderTest {
  private static List<String> events(InputStream in) throws IOException {
    List<String> events = new ArrayList<>();
    SseReader reader = new SseReader(in);
    for (String data = reader.next(); data != null; data = reader.next()) {
      events.add(data);
    }
    return events;
  }

  private static List<String> events(String text) throws IOException {
    return events(new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)));
  }

  @Test
  void allThreeLineEndsCount() throws IOException {
    assertEquals(List.of("a", "b", "c"), events("data: a\n\ndata: b\r\n\r\ndata: c\r\r"));
  }

  @Test
  void commentsAndOtherFieldsAreLeftOut() throws IOException {
    assertEquals(List.of("x"), events(": ping\n\nevent: e\nid: 7\ndatax: no\ndata: x\nretry: 5\n\n"));
  }

  @Test
  void oneBlankAfterTheColonBelongsToTheFormat() throws IOException {
    assertEquals(List.of("a", " b", "", "", "c"), events("data:a\n\ndata:  b\n\ndata:\n\ndata\n\ndata: c\n\n"));
  }

  @Test
  void severalDataLinesAreOneEvent() throws IOException {
    assertEquals(List.of("a\nb"), events("data: a\ndata: b\n\n"));
  }

  @Test
  void anEventThatIsCutOffIsNone() throws IOException {
    assertEquals(List.of("a"), events("data: a\n\ndata: b\n"));
    assertEquals(List.of(), events("data: b"));
  }

  /** Characters and line ends that fall on the border of two reads. */
  @Test
  void piecesOfOneByteGiveTheSame() throws IOException {
    String text = "data: \u65e5\u672c\r\n\r\ndata: \ud83c\udf89\r\n\r\n";
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    InputStream slow = new ByteArrayInputStream(bytes) {
      @Override
      public synchronized int read(byte[] into, int offset, int length) {
        return super.read(into, offset, Math.min(1, length));
      }
    };
    assertEquals(List.of("\u65e5\u672c", "\ud83c\udf89"), events(slow));
  }

  @Test
  void linesWithoutEndAreRefused() {
    InputStream endless = new InputStream() {
      @Override
      public int read() {
        return 'x';
      }
    };
    RemoteException e = assertThrows(RemoteException.class, () -> events(endless));
    assertEquals(RemoteException.Kind.TOO_LARGE, e.kind());
  }

  @Test
  void eventsWithoutEndAreRefused() {
    byte[] line = "data: 0123456789\n".getBytes(StandardCharsets.UTF_8);
    InputStream endless = new InputStream() {
      private int at;

      @Override
      public int read() {
        return line[at++ % line.length];
      }
    };
    RemoteException e = assertThrows(RemoteException.class, () -> events(endless));
    assertEquals(RemoteException.Kind.TOO_LARGE, e.kind());
  }

  @Test
  void bytesAreCounted() throws IOException {
    SseReader reader = new SseReader(new ByteArrayInputStream("data: a\n\n".getBytes(StandardCharsets.UTF_8)));
    reader.next();
    assertEquals(9, reader.bytes());
  }
}
