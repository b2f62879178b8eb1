package io.github.llmmobile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class ErrorCodeTest {
  private static final Path HEADER = Path.of("../../native/include/llm_mobile.h");
  private static final int FIRST_OF_JAVA = 1000;

  @Test
  void codesAreTheHeadersStatuses() throws IOException {
    assumeTrue(Files.exists(HEADER), () -> HEADER + " is missing: the test runs in the module's folder of the tree");
    Map<String, Integer> header = new TreeMap<>();
    Matcher statuses = Pattern.compile("LLMM_ERR_(\\w+)\\s*=\\s*(\\d+)").matcher(Files.readString(HEADER));
    while (statuses.find()) {
      header.put(statuses.group(1), Integer.parseInt(statuses.group(2)));
    }
    Map<String, Integer> codes = new TreeMap<>();
    for (ErrorCode code : ErrorCode.values()) {
      if (code.number() < FIRST_OF_JAVA) {
        codes.put(code.name(), code.number());
      }
    }
    assertEquals(header, codes);
  }

  @Test
  void numbersLeadBackToTheirCodes() {
    for (ErrorCode code : ErrorCode.values()) {
      assertEquals(code, ErrorCode.of(code.number()));
    }
    assertEquals(ErrorCode.INTERNAL, ErrorCode.of(999));
    assertEquals(ErrorCode.INTERNAL, ErrorCode.of(-1));
  }

  @Test
  void stopReasonsHaveLowerCaseNames() {
    assertEquals("max_tokens", StopReason.MAX_TOKENS.jsonName());
    assertEquals("end", StopReason.END.jsonName());
  }
}
