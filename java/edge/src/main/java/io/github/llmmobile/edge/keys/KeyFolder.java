package io.github.llmmobile.edge.keys;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.PublicKey;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import javax.net.ssl.SSLSocketFactory;
import org.jspecify.annotations.Nullable;

/**
 * A folder with the keys of a worker and its clients. Each side reads only its own files, so that copies for one side need
 * not have those of the other:
 *
 * <table>
 * <caption>Files</caption>
 * <tr><th>file</th><th>what</th><th>who needs it</th></tr>
 * <tr><td>ca.pem</td><td>certificate of the authority</td><td>worker, client</td></tr>
 * <tr><td>ca.key</td><td>its private key</td><td>nobody, until more certificates are wanted</td></tr>
 * <tr><td>worker.pem, worker.key</td><td>certificate and private key for TLS</td><td>worker</td></tr>
 * <tr><td>worker-hpke.key</td><td>private key that session keys are wrapped for</td><td>worker</td></tr>
 * <tr><td>worker-hpke.pub</td><td>its public key</td><td>worker, client</td></tr>
 * <tr><td>worker.pin</td><td>which key the worker's certificate must have; may be missing</td><td>client</td></tr>
 * <tr><td>client.pem, client.key</td><td>certificate and private key for TLS</td><td>client</td></tr>
 * </table>
 *
 * <p>Threads: any.
 */
public final class KeyFolder {
  private static final String AUTHORITY = "LLM Mobile authority";
  private static final String CA = "ca";
  private static final String WORKER = "worker";
  private static final String CLIENT = "client";
  private static final String HPKE = "worker-hpke";
  private static final String CERTIFICATE = ".pem";
  private static final String PRIVATE = ".key";
  private static final String PUBLIC = ".pub";
  private static final String PIN = ".pin";

  private final Path folder;

  private KeyFolder(Path folder) {
    this.folder = folder;
  }

  /**
   * Makes new keys.
   *
   * @param folder where; made if it is missing (required)
   * @param hosts names and addresses that clients will reach the worker under, besides this machine's own loopback ones
   *     (required)
   * @return the folder (never null)
   * @throws LlmException IO if a file cannot be written, or is there already: nothing is ever overwritten
   */
  public static KeyFolder create(Path folder, List<String> hosts) {
    List<String> names = new ArrayList<>(Arrays.asList("localhost", "127.0.0.1", "::1"));
    for (String host : hosts) {
      if (!host.matches("[A-Za-z0-9.:-]{1,253}")) {
        throw new LlmException(ErrorCode.INVALID_ARGUMENT, "\"" + host + "\" is no host name and no address");
      }
      names.add(host);
    }
    CertificateIssuer issuer = new CertificateIssuer(AUTHORITY, CertificateIssuer.newKeys(), Instant.now());
    KeyPair worker = CertificateIssuer.newKeys();
    KeyWrap.KeyPair hpke = KeyWrap.generate();
    try {
      Files.createDirectories(folder);
      secret(folder.resolve(CA + PRIVATE), pem("PRIVATE KEY", issuer.keys().getPrivate().getEncoded()));
      open(folder.resolve(CA + CERTIFICATE), pem("CERTIFICATE", issuer.authority()));
      secret(folder.resolve(WORKER + PRIVATE), pem("PRIVATE KEY", worker.getPrivate().getEncoded()));
      open(folder.resolve(WORKER + CERTIFICATE),
          pem("CERTIFICATE", issuer.server("llm-mobile worker", worker, names)));
      open(folder.resolve(WORKER + PIN),
          line(CertificatePin.of(TlsFiles.certificate(folder.resolve(WORKER + CERTIFICATE))).toString()));
      client(folder, issuer);
      secret(folder.resolve(HPKE + PRIVATE), line(hpke.privateKey()));
      open(folder.resolve(HPKE + PUBLIC), line(hpke.publicKey()));
    } catch (FileAlreadyExistsException e) {
      throw new LlmException(ErrorCode.IO, e.getFile() + " is there already; new keys go to another folder", e);
    } catch (IOException | GeneralSecurityException e) {
      throw new LlmException(ErrorCode.IO, "keys cannot be written to " + folder + ": " + e.getMessage(), e);
    }
    return new KeyFolder(folder);
  }

  /**
   * Makes what another client needs, in a folder of its own: a certificate from the same authority, which must still be here
   * with its private key. Workers tell clients apart by their certificates.
   *
   * @param other where to put it; made if it is missing (required)
   * @return the folder, which has no keys of a worker (never null)
   * @throws LlmException IO if the authority's files cannot be read, or a file cannot be written or is there already
   */
  public KeyFolder addClient(Path other) {
    try {
      PublicKey known = TlsFiles.certificate(authority()).getPublicKey();
      KeyPair authority = new KeyPair(known, TlsFiles.privateKey(file(CA + PRIVATE)));
      Files.createDirectories(other);
      client(other, new CertificateIssuer(AUTHORITY, authority, Instant.now()));
      open(other.resolve(CA + CERTIFICATE), Files.readAllBytes(authority()));
      open(other.resolve(HPKE + PUBLIC), Files.readAllBytes(file(HPKE + PUBLIC)));
      if (pin().isPresent()) {
        open(other.resolve(WORKER + PIN), line(pin().get().toString()));
      }
      return new KeyFolder(other);
    } catch (FileAlreadyExistsException e) {
      throw new LlmException(ErrorCode.IO, e.getFile() + " is there already; new keys go to another folder", e);
    } catch (IOException | GeneralSecurityException | IllegalArgumentException e) {
      throw new LlmException(ErrorCode.IO, "no client's keys can be made in " + other + ": " + e.getMessage(), e);
    }
  }

  private static void client(Path folder, CertificateIssuer issuer) throws IOException {
    KeyPair client = CertificateIssuer.newKeys();
    secret(folder.resolve(CLIENT + PRIVATE), pem("PRIVATE KEY", client.getPrivate().getEncoded()));
    open(folder.resolve(CLIENT + CERTIFICATE), pem("CERTIFICATE", issuer.client("llm-mobile client", client)));
  }

  /**
   * A folder that has keys. Files are read when they are needed.
   *
   * @param folder the folder (required)
   * @return the folder (never null)
   */
  public static KeyFolder open(Path folder) {
    return new KeyFolder(folder);
  }

  /**
   * Certificate of the authority.
   *
   * @return the file (never null)
   */
  public Path authority() {
    return file(CA + CERTIFICATE);
  }

  /**
   * The worker's certificate.
   *
   * @return the file (never null)
   */
  public Path workerCertificate() {
    return file(WORKER + CERTIFICATE);
  }

  /**
   * The worker's private key for TLS.
   *
   * @return the file (never null)
   */
  public Path workerKey() {
    return file(WORKER + PRIVATE);
  }

  /**
   * What a client opens TLS connections with: it shows its certificate, and trusts the folder's authority alone, of whose
   * certificates only those with the pinned key, if there is a pin.
   *
   * @param pin which key the worker's certificate must have; null for that of {@link #pin()}, if there is one
   * @return the factory (never null)
   * @throws LlmException IO if a file cannot be read; INVALID_ARGUMENT if the folder's pin is none
   */
  public SSLSocketFactory clientSockets(@Nullable CertificatePin pin) {
    return TlsFiles.sockets(file(CA + CERTIFICATE), file(CLIENT + CERTIFICATE), file(CLIENT + PRIVATE),
        pin == null ? pin().orElse(null) : pin);
  }

  /**
   * Which key the worker's certificate must have.
   *
   * @return the pin; empty if the folder has none, and any certificate of the authority will do (never null)
   * @throws LlmException IO if it cannot be read; INVALID_ARGUMENT if it is none
   */
  public Optional<CertificatePin> pin() {
    Path file = folder.resolve(WORKER + PIN);
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    try {
      return Optional.of(CertificatePin.parse(new String(Files.readAllBytes(file), StandardCharsets.US_ASCII).trim()));
    } catch (IOException e) {
      throw new LlmException(ErrorCode.IO, "no pin can be read from " + file + ": " + e.getMessage(), e);
    }
  }

  /**
   * The key that clients wrap session keys for.
   *
   * @return 32 bytes (never null)
   * @throws LlmException IO if it cannot be read
   */
  public byte[] publicKey() {
    return key(HPKE + PUBLIC);
  }

  /**
   * The pair that the worker unwraps session keys with.
   *
   * @return the keys (never null)
   * @throws LlmException IO if they cannot be read
   */
  public KeyWrap.KeyPair keyPair() {
    return new KeyWrap.KeyPair(key(HPKE + PRIVATE), key(HPKE + PUBLIC));
  }

  private Path file(String name) {
    Path file = folder.resolve(name);
    if (!Files.isReadable(file)) {
      throw new LlmException(ErrorCode.IO, "no key file " + file + "; llm-mobile keys makes them");
    }
    return file;
  }

  private byte[] key(String name) {
    Path file = file(name);
    try {
      byte[] key = Base64.getDecoder()
          .decode(new String(Files.readAllBytes(file), StandardCharsets.US_ASCII).trim());
      if (key.length == KeyWrap.KEY_BYTES) {
        return key;
      }
    } catch (IOException | IllegalArgumentException e) {
      throw new LlmException(ErrorCode.IO, "no key can be read from " + file + ": " + e.getMessage(), e);
    }
    throw new LlmException(ErrorCode.IO, "no key can be read from " + file + ": it has not 32 bytes");
  }

  private static byte[] pem(String what, byte[] der) {
    String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der);
    return ("-----BEGIN " + what + "-----\n" + body + "\n-----END " + what + "-----\n")
        .getBytes(StandardCharsets.US_ASCII);
  }

  private static byte[] line(byte[] key) {
    return line(Base64.getEncoder().encodeToString(key));
  }

  private static byte[] line(String text) {
    return (text + "\n").getBytes(StandardCharsets.US_ASCII);
  }

  private static void open(Path file, byte[] content) throws IOException {
    Files.write(file, content, StandardOpenOption.CREATE_NEW);
  }

  /** For its owner's eyes from the first byte on, where the file system knows owners. */
  private static void secret(Path file, byte[] content) throws IOException {
    FileAttribute<?>[] attributes = file.getFileSystem().supportedFileAttributeViews().contains("posix")
        ? new FileAttribute<?>[] {PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"))}
        : new FileAttribute<?>[0];
    Files.createFile(file, attributes);
    Files.write(file, content);
  }
}
