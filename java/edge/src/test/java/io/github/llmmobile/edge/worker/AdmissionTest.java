package io.github.llmmobile.edge.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.wire.ProtocolException;
import org.junit.jupiter.api.Test;

class AdmissionTest {
  private static void refused(Code code, Admission admission, String client, long bytes) {
    ProtocolException e = assertThrows(ProtocolException.class, () -> admission.enter(client, bytes));
    assertEquals(code, e.code());
    assertEquals(700, e.retryAfterMs());
  }

  @Test
  void oneClientDoesNotTakeTheRoomOfOthers() throws ProtocolException {
    Admission admission = new Admission(5, 2, 100, 700);
    admission.enter("a", 10);
    admission.enter("a", 10);
    refused(Code.QUOTA, admission, "a", 10);
    admission.enter("b", 10);
    admission.leave("a", 10);
    admission.enter("a", 10);
    refused(Code.QUOTA, admission, "a", 10);
    refused(Code.NO_SPACE, admission, "c", 71);
    assertEquals(3, admission.sessions());
    assertEquals(30, admission.bytes());
  }

  @Test
  void withoutAQuotaOneMayHaveAll() throws ProtocolException {
    Admission admission = new Admission(3, 0, 0, 700);
    for (int i = 0; i < 3; i++) {
      admission.enter("a", 1000);
    }
    refused(Code.NO_SPACE, admission, "b", 1);
  }
}
