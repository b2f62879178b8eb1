package io.github.llmmobile.edge.keys;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.cert.CertPathValidator;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KeyFolderTest {
  @TempDir Path folder;

  private static X509Certificate certificate(Path file) throws IOException, GeneralSecurityException {
    try (InputStream in = Files.newInputStream(file)) {
      return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in);
    }
  }

  @Test
  void certificatesAreWhatTlsNeeds() throws IOException, GeneralSecurityException {
    KeyFolder keys = KeyFolder.create(folder.resolve("keys"), List.of("worker.example", "192.0.2.7"));
    X509Certificate authority = certificate(keys.authority());
    X509Certificate worker = certificate(keys.workerCertificate());
    X509Certificate client = certificate(folder.resolve("keys/client.pem"));
    authority.verify(authority.getPublicKey());
    assertEquals(0, authority.getBasicConstraints());
    assertTrue(authority.getKeyUsage()[5]);
    assertEquals(-1, worker.getBasicConstraints());
    assertEquals(List.of("1.3.6.1.5.5.7.3.1"), worker.getExtendedKeyUsage());
    assertEquals(List.of("1.3.6.1.5.5.7.3.2"), client.getExtendedKeyUsage());
    assertNull(client.getSubjectAlternativeNames());
    List<Object> names = new ArrayList<>();
    worker.getSubjectAlternativeNames().forEach(name -> names.add(name.get(1)));
    assertEquals(List.of("localhost", "127.0.0.1", "0:0:0:0:0:0:0:1", "worker.example", "192.0.2.7"), names);
    for (X509Certificate leaf : List.of(worker, client)) {
      PKIXParameters trust = new PKIXParameters(Set.of(new TrustAnchor(authority, null)));
      trust.setRevocationEnabled(false);
      CertPathValidator.getInstance("PKIX").validate(
          CertificateFactory.getInstance("X.509").generateCertPath(List.of(leaf)), trust);
    }
  }

  @Test
  void secretsAreForTheirOwnerAlone() throws IOException {
    KeyFolder keys = KeyFolder.create(folder, List.of());
    for (String name : List.of("ca.key", "worker.key", "client.key", "worker-hpke.key")) {
      assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(folder.resolve(name))), name);
    }
    String shown = keys.keyPair().toString();
    String secret = Files.readString(folder.resolve("worker-hpke.key")).strip();
    assertFalse(shown.contains(secret));
  }

  @Test
  void aPinIsOfTheKeyOfTheWorkersCertificate() throws IOException, GeneralSecurityException {
    KeyFolder keys = KeyFolder.create(folder.resolve("keys"), List.of());
    byte[] digest = MessageDigest.getInstance("SHA-256")
        .digest(certificate(keys.workerCertificate()).getPublicKey().getEncoded());
    CertificatePin pin = CertificatePin.parse("sha256/" + Base64.getEncoder().encodeToString(digest));
    assertEquals(Optional.of(pin), keys.pin());
    assertEquals(pin.toString(), Files.readString(folder.resolve("keys/worker.pin")).strip());
    assertEquals(Optional.of(pin), keys.addClient(folder.resolve("anna")).pin());
    Files.delete(folder.resolve("keys/worker.pin"));
    assertEquals(Optional.empty(), keys.pin());
    assertEquals(Optional.empty(), keys.addClient(folder.resolve("berta")).pin());
    for (String bad : List.of("", "sha256/", "sha256/AAAA", "sha1/" + pin.toString().substring(7), "sha256/*")) {
      assertEquals(ErrorCode.INVALID_ARGUMENT,
          assertThrows(LlmException.class, () -> CertificatePin.parse(bad)).code(), bad);
    }
  }

  @Test
  void keysBelongTogether() throws GeneralSecurityException {
    KeyFolder keys = KeyFolder.create(folder, List.of());
    byte[] info = "session".getBytes(StandardCharsets.US_ASCII);
    byte[] sealed = KeyWrap.seal(keys.publicKey(), new byte[64], info);
    assertEquals(64 + 48, sealed.length);
    assertArrayEquals(new byte[64], KeyWrap.open(keys.keyPair(), sealed, info));
    assertThrows(GeneralSecurityException.class, () -> KeyWrap.open(keys.keyPair(), sealed, new byte[1]));
    assertThrows(GeneralSecurityException.class, () -> KeyWrap.open(KeyWrap.generate(), sealed, info));
  }

  @Test
  void nothingIsOverwritten() throws IOException {
    KeyFolder.create(folder, List.of());
    byte[] before = Files.readAllBytes(folder.resolve("ca.key"));
    LlmException e = assertThrows(LlmException.class, () -> KeyFolder.create(folder, List.of()));
    assertEquals(ErrorCode.IO, e.code());
    assertArrayEquals(before, Files.readAllBytes(folder.resolve("ca.key")));
  }

  @Test
  void missingAndBrokenFilesAreNamed() throws IOException {
    LlmException missing = assertThrows(LlmException.class, () -> KeyFolder.open(folder).authority());
    assertEquals(ErrorCode.IO, missing.code());
    assertTrue(missing.getMessage().contains("ca.pem"));
    Files.writeString(folder.resolve("worker-hpke.pub"), "AAAA\n");
    LlmException broken = assertThrows(LlmException.class, () -> KeyFolder.open(folder).publicKey());
    assertTrue(broken.getMessage().contains("worker-hpke.pub"));
  }

  @Test
  void hostsThatAreNoneAreRefused() {
    LlmException e = assertThrows(LlmException.class, () -> KeyFolder.create(folder, List.of("a b")));
    assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
    assertThrows(LlmException.class, () -> KeyFolder.create(folder, List.of("1.2.3.4.5")));
  }
}
