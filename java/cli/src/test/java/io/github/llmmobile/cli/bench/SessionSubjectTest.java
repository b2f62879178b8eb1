package io.github.llmmobile.cli.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import io.github.llmmobile.LlmCancelledException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.cli.TinyModelFile;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SessionSubjectTest {
  @TempDir Path folder;

  @Test
  void cancelledGenerationIsNoMeasurement() throws IOException {
    try (LlmModel model = LlmModel.load(ModelOptions.of(TinyModelFile.in(folder)))) {
      LlmSession session = model.newSession();
      int[] seen = {0};
      try (SessionSubject subject = new SessionSubject(session, stats -> new CacheUse(stats.kvBytes(), "", new JsonObject()))) {
        subject.eval(new int[] {1, 2, 3});
        assertThrows(LlmCancelledException.class, () -> subject.generate(new int[] {1, 2, 3}, 20, () -> {
          if (++seen[0] == 2) {
            session.cancel();
          }
        }));
        assertTrue(seen[0] >= 2 && seen[0] < 20, seen[0] + " tokens");
        seen[0] = 10;
        subject.rewind(3);
        subject.generate(new int[] {1, 2, 3}, 4, () -> seen[0]++);
        assertEquals(14, seen[0]);
      }
    }
  }
}
