package io.github.llmmobile.edge.keys;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.edge.wire.Sha256;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A certificate authority of one's own: X.509 version 3 (RFC 5280) with ECDSA on P-256 and SHA-256, and nothing in the
 * certificates that TLS between two known sides does not need.
 */
final class CertificateIssuer {
  private static final Duration AUTHORITY_LIFE = Duration.ofDays(3650);
  private static final Duration LIFE = Duration.ofDays(730);
  /** Clocks of two machines differ. */
  private static final Duration BACKDATED = Duration.ofHours(1);

  private static final String EC_P256 = "secp256r1";
  private static final byte[] ECDSA_SHA256 = Der.sequence(Der.oid("1.2.840.10045.4.3.2"));
  private static final String COMMON_NAME = "2.5.4.3";
  private static final String SUBJECT_KEY = "2.5.29.14";
  private static final String KEY_USAGE = "2.5.29.15";
  private static final String ALTERNATIVE_NAMES = "2.5.29.17";
  private static final String BASIC_CONSTRAINTS = "2.5.29.19";
  private static final String AUTHORITY_KEY = "2.5.29.35";
  private static final String EXTENDED_USAGE = "2.5.29.37";
  private static final String SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
  private static final String CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

  private final SecureRandom random = new SecureRandom();
  private final String name;
  private final KeyPair keys;
  private final Instant now;

  CertificateIssuer(String name, KeyPair keys, Instant now) {
    this.name = name;
    this.now = now;
    this.keys = keys;
  }

  static KeyPair newKeys() {
    try {
      KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
      generator.initialize(new ECGenParameterSpec(EC_P256));
      return generator.generateKeyPair();
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("this Java has no P-256", e);
    }
  }

  KeyPair keys() {
    return keys;
  }

  /** The authority's own certificate. */
  byte[] authority() {
    return certificate(name, keys, AUTHORITY_LIFE,
        critical(BASIC_CONSTRAINTS, Der.sequence(Der.yes(), Der.integer(BigInteger.ZERO))),
        // keyCertSign and cRLSign: bits 5 and 6.
        critical(KEY_USAGE, Der.bits(1, new byte[] {0x06})));
  }

  /** A certificate of a server under these names and addresses. */
  byte[] server(String subject, KeyPair owner, List<String> hosts) {
    List<byte[]> names = new ArrayList<>();
    hosts.forEach(host -> names.add(alternativeName(host)));
    return certificate(subject, owner, LIFE, signatures(), usage(SERVER_AUTH),
        extension(ALTERNATIVE_NAMES, Der.sequence(names.toArray(new byte[0][]))));
  }

  /** A certificate of a client. */
  byte[] client(String subject, KeyPair owner) {
    return certificate(subject, owner, LIFE, signatures(), usage(CLIENT_AUTH));
  }

  private byte[] certificate(String subject, KeyPair owner, Duration life, byte[]... extensions) {
    List<byte[]> all = new ArrayList<>(Arrays.asList(extensions));
    all.add(extension(SUBJECT_KEY, Der.octets(keyDigest(owner))));
    all.add(extension(AUTHORITY_KEY, Der.sequence(Der.element(0x80, keyDigest(keys)))));
    byte[] body = Der.sequence(
        Der.element(0xA0, Der.integer(BigInteger.valueOf(2))),
        Der.integer(new BigInteger(127, random).setBit(0)),
        ECDSA_SHA256,
        commonName(name),
        Der.sequence(Der.time(now.minus(BACKDATED)), Der.time(now.plus(life))),
        commonName(subject),
        owner.getPublic().getEncoded(),
        Der.element(0xA3, Der.sequence(all.toArray(new byte[0][]))));
    try {
      Signature signature = Signature.getInstance("SHA256withECDSA");
      signature.initSign(keys.getPrivate());
      signature.update(body);
      return Der.sequence(body, ECDSA_SHA256, Der.bits(0, signature.sign()));
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("signing failed", e);
    }
  }

  private static byte[] keyDigest(KeyPair owner) {
    return Arrays.copyOf(Sha256.of(owner.getPublic().getEncoded()), 20);
  }

  private static byte[] commonName(String name) {
    return Der.sequence(Der.set(Der.sequence(Der.oid(COMMON_NAME), Der.text(name))));
  }

  /** An address of digits is not looked up: it becomes one in the certificate. */
  private static byte[] alternativeName(String host) {
    if (host.indexOf(':') >= 0 || host.matches("[0-9.]+")) {
      try {
        return Der.element(0x87, InetAddress.getByName(host).getAddress());
      } catch (UnknownHostException e) {
        throw new LlmException(ErrorCode.INVALID_ARGUMENT, "\"" + host + "\" is no address", e);
      }
    }
    return Der.element(0x82, host.getBytes(StandardCharsets.US_ASCII));
  }

  /** digitalSignature: bit 0. */
  private static byte[] signatures() {
    return critical(KEY_USAGE, Der.bits(7, new byte[] {(byte) 0x80}));
  }

  private static byte[] usage(String purpose) {
    return extension(EXTENDED_USAGE, Der.sequence(Der.oid(purpose)));
  }

  private static byte[] critical(String oid, byte[] value) {
    return Der.sequence(Der.oid(oid), Der.yes(), Der.octets(value));
  }

  private static byte[] extension(String oid, byte[] value) {
    return Der.sequence(Der.oid(oid), Der.octets(value));
  }
}
