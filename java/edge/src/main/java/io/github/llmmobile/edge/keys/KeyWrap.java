package io.github.llmmobile.edge.keys;

import com.google.crypto.tink.HybridDecrypt;
import com.google.crypto.tink.HybridEncrypt;
import com.google.crypto.tink.InsecureSecretKeyAccess;
import com.google.crypto.tink.KeysetHandle;
import com.google.crypto.tink.RegistryConfiguration;
import com.google.crypto.tink.hybrid.HpkeParameters;
import com.google.crypto.tink.hybrid.HpkePrivateKey;
import com.google.crypto.tink.hybrid.HpkePublicKey;
import com.google.crypto.tink.hybrid.HybridConfig;
import com.google.crypto.tink.util.Bytes;
import com.google.crypto.tink.util.SecretBytes;
import io.github.llmmobile.edge.wire.Sha256;
import java.nio.ByteBuffer;
import java.security.GeneralSecurityException;

/**
 * Wraps session keys for a worker: HPKE (RFC 9180) with X25519, HKDF-SHA256 and AES-256-GCM. Keys are plain 32 bytes.
 * Threads: any.
 */
public final class KeyWrap {
  /** Length of a key, private or public. */
  public static final int KEY_BYTES = 32;

  private KeyWrap() {}

  /** A worker's key pair. */
  public static final class KeyPair {
    private final byte[] privateKey;
    private final byte[] publicKey;

    /**
     * Keys that belong together.
     *
     * @param privateKey 32 bytes
     * @param publicKey 32 bytes
     */
    public KeyPair(byte[] privateKey, byte[] publicKey) {
      this.privateKey = privateKey.clone();
      this.publicKey = publicKey.clone();
    }

    /**
     * The private key.
     *
     * @return a fresh array
     */
    public byte[] privateKey() {
      return privateKey.clone();
    }

    /**
     * The public key.
     *
     * @return a fresh array
     */
    public byte[] publicKey() {
      return publicKey.clone();
    }

    /** Nothing of the keys. */
    @Override
    public String toString() {
      return "KeyPair[id=" + keyId(publicKey) + "]";
    }
  }

  /**
   * A fresh key pair.
   *
   * @return the keys
   */
  public static KeyPair generate() {
    try {
      HybridConfig.register();
      HpkePrivateKey key = (HpkePrivateKey) KeysetHandle.newBuilder()
          .addEntry(KeysetHandle.generateEntryFromParameters(parameters()).withRandomId().makePrimary()).build()
          .getPrimary().getKey();
      return new KeyPair(key.getPrivateKeyBytes().toByteArray(InsecureSecretKeyAccess.get()),
          key.getPublicKey().getPublicKeyBytes().toByteArray());
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("no key could be made", e);
    }
  }

  /**
   * What names a public key on the wire.
   *
   * @param publicKey 32 bytes
   * @return the first 32 bits of its digest
   */
  public static int keyId(byte[] publicKey) {
    return ByteBuffer.wrap(Sha256.of(publicKey)).getInt();
  }

  /**
   * Seals bytes for the owner of a key.
   *
   * @param publicKey the owner's public key
   * @param plain the bytes
   * @param info what they are bound to
   * @return 48 bytes more
   * @throws GeneralSecurityException if the key is none
   */
  public static byte[] seal(byte[] publicKey, byte[] plain, byte[] info) throws GeneralSecurityException {
    HybridConfig.register();
    return handle(publicKey(publicKey)).getPrimitive(RegistryConfiguration.get(), HybridEncrypt.class)
        .encrypt(plain, info);
  }

  /**
   * Opens what was sealed for a key.
   *
   * @param keys the key pair
   * @param sealed the sealed bytes
   * @param info what they are bound to
   * @return the bytes
   * @throws GeneralSecurityException if they were sealed for another key, for something else, or changed
   */
  public static byte[] open(KeyPair keys, byte[] sealed, byte[] info) throws GeneralSecurityException {
    HybridConfig.register();
    HpkePrivateKey key = HpkePrivateKey.create(
        publicKey(keys.publicKey), SecretBytes.copyFrom(keys.privateKey, InsecureSecretKeyAccess.get()));
    return handle(key).getPrimitive(RegistryConfiguration.get(), HybridDecrypt.class).decrypt(sealed, info);
  }

  private static HpkePublicKey publicKey(byte[] bytes) throws GeneralSecurityException {
    return HpkePublicKey.create(parameters(), Bytes.copyFrom(bytes), null);
  }

  private static KeysetHandle handle(com.google.crypto.tink.Key key) throws GeneralSecurityException {
    return KeysetHandle.newBuilder()
        .addEntry(KeysetHandle.importKey(key).withRandomId().makePrimary()).build();
  }

  private static HpkeParameters parameters() throws GeneralSecurityException {
    return HpkeParameters.builder()
        .setVariant(HpkeParameters.Variant.NO_PREFIX)
        .setKemId(HpkeParameters.KemId.DHKEM_X25519_HKDF_SHA256)
        .setKdfId(HpkeParameters.KdfId.HKDF_SHA256)
        .setAeadId(HpkeParameters.AeadId.AES_256_GCM)
        .build();
  }
}
