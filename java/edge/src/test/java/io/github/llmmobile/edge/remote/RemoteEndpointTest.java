package io.github.llmmobile.edge.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RemoteEndpointTest {
  @ParameterizedTest
  @CsvSource({
    "http://127.0.0.1:8080, http://127.0.0.1:8080/v1/",
    "http://127.0.0.1:8080/, http://127.0.0.1:8080/v1/",
    "HTTPS://example.org/v1, https://example.org/v1/",
    "https://example.org/v1/, https://example.org/v1/",
    "https://example.org/gateway/openai, https://example.org/gateway/openai/v1/",
    "http://[::1]:8080, http://[::1]:8080/v1/"})
  void addressesEndWithTheVersion(String url, String base) {
    assertEquals(base, RemoteEndpoint.of(url).base().toString());
    assertEquals(base + "chat/completions", RemoteEndpoint.of(url).resolve("chat/completions").toString());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "localhost:8080", "ftp://host", "http:///v1", "http://user:secret@host", "http://host?q=1",
      "http://host#f", "http://ho st", "file:///etc/passwd"})
  void otherThingsAreRefusedWithoutRepeatingThem(String url) {
    LlmException e = assertThrows(LlmException.class, () -> RemoteEndpoint.of(url));
    assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
    assertFalse(e.getMessage().contains("secret"), e.getMessage());
  }

  @Test
  void keysAreNeverShownAndNeverSentInTheClear() {
    assertFalse(RemoteEndpoint.of("https://host").withApiKey("sk-secret").toString().contains("secret"));
    assertTrue(RemoteEndpoint.of("http://localhost:1").withApiKey("sk-secret").apiKey().isPresent());
    for (String url : new String[] {"http://192.168.1.5:8080", "http://127.example.org", "http://example.org"}) {
      assertThrows(LlmException.class, () -> RemoteEndpoint.of(url).withApiKey("k"), url);
    }
    for (String key : new String[] {"", "a b", "a\r\nX: y", "\u00e9"}) {
      assertThrows(LlmException.class, () -> RemoteEndpoint.of("https://host").withApiKey(key));
    }
  }
}
