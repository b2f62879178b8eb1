package io.github.llmmobile.cli.explain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.PruningEvent;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class PruningExplainerTest {
  private static final Segment.State DROPPED = Segment.State.DROPPED;

  /** Tokens are single bytes, the hardest case for texts. */
  private static String decode(int[] tokens) {
    byte[] bytes = new byte[tokens.length];
    for (int i = 0; i < tokens.length; i++) {
      bytes[i] = (byte) tokens[i];
    }
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private static int[] tokens(byte[] bytes) {
    int[] tokens = new int[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      tokens[i] = bytes[i] & 0xff;
    }
    return tokens;
  }

  private static Segment page(int first, int last, double active, double dropped, double importance) {
    return new Segment(first, last, "", Segment.State.of(active, dropped), importance, active, dropped);
  }

  private static String joined(List<Segment> segments) {
    return segments.stream().map(Segment::text).collect(Collectors.joining());
  }

  @Test
  void charactersAcrossPagesStayWhole() {
    String text = "na\u00efve \u65e5\u672c\u8a9e \ud83d\ude00\ud83d\ude01\ud83d\ude02 end";
    int[] tokens = tokens(text.getBytes(StandardCharsets.UTF_8));
    TokenTexts texts = new TokenTexts(tokens, PruningExplainerTest::decode);
    for (int size = 1; size <= 7; size++) {
      List<Segment> pages = new ArrayList<>();
      for (int at = 0; at < tokens.length; at += size) {
        pages.add(page(at, Math.min(tokens.length, at + size) - 1, 1, 0, 0));
      }
      List<Segment> segments = Segments.of(pages, tokens.length, 9, texts, DROPPED);
      assertEquals(text, joined(segments), "pages of " + size);
      for (Segment segment : segments) {
        assertFalse(segment.text().contains("\ufffd"), segment::toString);
      }
    }
  }

  @Test
  void brokenBytesLoseNothingElse() {
    byte[] bytes = new byte[300];
    new Random(1).nextBytes(bytes);
    int[] tokens = tokens(bytes);
    TokenTexts texts = new TokenTexts(tokens, PruningExplainerTest::decode);
    StringBuilder all = new StringBuilder();
    for (int at = 0; at < tokens.length; at += 5) {
      all.append(texts.between(at, Math.min(tokens.length, at + 5)));
    }
    String ascii = "[^\\x00-\\x7f]";
    assertEquals(decode(tokens).replaceAll(ascii, ""), all.toString().replaceAll(ascii, ""));
  }

  @Test
  void segmentsAreTheWholeHistory() {
    int[] tokens = tokens("0123456789abcdefghij".getBytes(StandardCharsets.UTF_8));
    TokenTexts texts = new TokenTexts(tokens, PruningExplainerTest::decode);
    // Nothing holds 4 to 7 and the last two; the answer begins within a page; a page may end past the history.
    List<Segment> pages = List.of(page(0, 3, 1, 0, 0.5), page(8, 11, 0.25, 0.25, 0.1), page(12, 17, 0.1, 0.9, 0.1));
    List<Segment> segments = Segments.of(pages, tokens.length, 10, texts, DROPPED);
    assertEquals(List.of("0123", "4567", "89", "ab", "cdefgh", "ij"),
        segments.stream().map(Segment::text).toList());
    assertEquals(List.of("ACTIVE", "DROPPED", "SHADOW", "SHADOW", "DROPPED", "ABSENT"),
        segments.stream().map(segment -> segment.state().name()).toList());
    assertEquals(List.of(0, 4, 8, 10, 12, 18), segments.stream().map(Segment::first).toList());
    assertEquals(List.of(3, 7, 9, 11, 17, 19), segments.stream().map(Segment::last).toList());
    assertEquals(Segment.State.ABSENT, Segments.of(pages, 20, 0, texts, Segment.State.ABSENT).get(1).state());
    assertEquals("0123456789abcdefghij", joined(Segments.of(List.of(), 20, 0, texts, DROPPED)));
    assertEquals("0123456789abcdefghij", joined(Segments.of(List.of(page(0, 31, 1, 0, 0)), 20, 99, texts, DROPPED)));
  }

  @Test
  void textIsEscaped() {
    assertEquals("a &lt;b&gt; &amp;amp; &quot;c&quot; &#39;d&#39;\n\t", Html.escape("a <b> &amp; \"c\" 'd'\n\t"));
    assertEquals("\u2400\u240d\u241b\u2421 \u65e5\ud83d\ude00", Html.escape("\0\r\u001b\u007f \u65e5\ud83d\ude00"));
  }

  private static Explanation explanation(List<Segment> segments, List<Change> changes) {
    return new Explanation("<model>", "prunes <much>", 100, 60, segments, changes,
        Map.of("read & so on", "5 < 6"), List.of("careful, <reader>"));
  }

  @Test
  void thePageShowsStatesAndImportance() {
    String html = new ExplanationPage(explanation(List.of(
        page(0, 19, 1, 0, 0.1).part(0, 19, "<script>alert('x')</script>"),
        page(20, 39, 0.25, 0, 0.01).part(20, 39, "shady"),
        page(40, 59, 0, 0.75, 0.001).part(40, 59, "gone"),
        page(60, 79, 1, 0, 0).part(60, 79, "answered"),
        new Segment(80, 99, "evicted", Segment.State.ABSENT, 0, 0, 0)), List.of())).html();
    assertTrue(html.startsWith("<!DOCTYPE html>\n") && html.endsWith("</html>\n"));
    assertTrue(html.contains("<span class=\"active\" style=\"background:rgba(240,228,66,1.00)\" title=\"tokens 0 to 19"
        + "\nshare of attention 0.10\nactive for 100 % of heads, dropped by 0 %\">&lt;script&gt;alert(&#39;x&#39;)"
        + "&lt;/script&gt;</span>"), html);
    assertTrue(html.contains("<span class=\"shadow\" style=\"background:rgba(240,228,66,0.53)\""), html);
    assertTrue(html.contains("<span class=\"dropped\" style=\"background:rgba(240,228,66,0.05)\""), html);
    assertTrue(html.contains("<span class=\"begin\">answer</span><span class=\"active\" title=\"tokens 60 to 79\n"
        + "share of attention not measured\n"), html);
    assertTrue(
        html.contains("<span class=\"absent\" title=\"tokens 80 to 99\nnot in the cache\">evicted</span>"), html);
    assertTrue(html.contains("<h1>Token pruning of &lt;model&gt;</h1>\n<p>prunes &lt;much&gt;.</p>"), html);
    assertTrue(html.contains("<td>read &amp; so on</td><td>5 &lt; 6</td>"), html);
    assertTrue(html.contains("careful, &lt;reader&gt;"), html);
  }

  @Test
  void thePageLoadsNothing() {
    String html = new ExplanationPage(explanation(List.of(page(0, 99, 1, 0, 0.1).part(0, 99, "x")), List.of())).html();
    for (String door : List.of("http://", "https://", "<script", "<link", "<img", "url(", "@import", "src=")) {
      assertFalse(html.contains(door), door);
    }
    assertTrue(html.contains("default-src 'none'"));
  }

  @Test
  void theTimelineHasAMarkForEachChange() {
    List<Change> changes = List.of(new Change(60, 0, 19, PruningEvent.Kind.PRUNED),
        new Change(80, 0, 19, PruningEvent.Kind.RECALLED), new Change(100, 40, 59, PruningEvent.Kind.DROPPED));
    String html = new ExplanationPage(explanation(List.of(), changes)).html();
    assertTrue(html.contains("<path class=\"pruned\" d=\"M60.0 44.0m-3-3h6l-3 6z\"/>"), html);
    assertTrue(html.contains("<path class=\"recalled\" d=\"M510.0 44.0m-3 3h6l-3-6z\"/>"), html);
    assertTrue(html.contains("<path class=\"dropped\" d=\"M960.0 172.0m-3-3l6 6m0-6l-6 6\"/>"), html);
    assertTrue(html.contains("pruned: 1 page<"), html);
    assertTrue(new ExplanationPage(explanation(List.of(), List.of())).html().contains("recalled: 0 pages<"));
  }
}
