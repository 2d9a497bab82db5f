package io.verdier.verticles.cluster.socket;

import io.verdier.verticles.cluster.WireException;
import io.vertx.core.buffer.Buffer;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Signs what one end of a connection sends and checks what the other end does. Owned by the {@link
 * SealedSocket}'s thread.
 *
 * <p>Both ends have sent a number that was never used before. From these and the cluster's key come
 * two keys, one for each direction, so nothing of another connection can be used in this one, and
 * nothing can be sent back. Under them each frame is signed with its number, so none can be left
 * out, repeated or moved. Whoever does not know the cluster's key gets no frame through.
 */
public final class SocketSeal {
  public static final int NONCE_BYTES = 32;
  public static final int MAC_BYTES = 32;

  private static final String ALGORITHM = "HmacSHA256";

  private final Mac out;
  private final Mac in;
  private long sent;
  private long received;

  /** Which end of a connection. */
  public enum End {
    /** Has asked for it. */
    ASKS,
    /** Was listening. */
    LISTENS;

    private End other() {
      return this == ASKS ? LISTENS : ASKS;
    }
  }

  /**
   * @param protocol what is spoken: keys of one are of no use in another
   * @param key of the cluster
   * @param asking nonce of the end that has asked for the connection
   * @param listening nonce of the other end
   */
  public SocketSeal(String protocol, byte[] key, byte[] asking, byte[] listening, End self) {
    out = mac(derived(protocol, key, asking, listening, self));
    in = mac(derived(protocol, key, asking, listening, self.other()));
  }

  private static byte[] derived(
      String protocol, byte[] key, byte[] asking, byte[] listening, End sender) {
    Mac mac = mac(key);
    mac.update(("verdier-" + protocol + "-" + sender).getBytes(StandardCharsets.UTF_8));
    mac.update(asking);
    return mac.doFinal(listening);
  }

  private static Mac mac(byte[] key) {
    try {
      Mac mac = Mac.getInstance(ALGORITHM);
      mac.init(new SecretKeySpec(key, ALGORITHM));
      return mac;
    } catch (GeneralSecurityException impossible) { // every Java platform has it
      throw new IllegalStateException(impossible);
    }
  }

  /** The frame's signature. */
  public byte[] sign(byte[] frame) {
    return sign(out, sent++, frame);
  }

  /**
   * The frame in front of its signature.
   *
   * @throws WireException if the other end has not signed it, or not as its next one
   */
  public Buffer open(Buffer signed) {
    int end = signed.length() - MAC_BYTES;
    byte[] frame = signed.getBytes(0, end);
    byte[] given = signed.getBytes(end, signed.length());
    if (!MessageDigest.isEqual(sign(in, received++, frame), given)) {
      throw new WireException("it is not signed with this --cluster-secret");
    }
    return Buffer.buffer(frame);
  }

  private static byte[] sign(Mac mac, long number, byte[] frame) {
    mac.update(ByteBuffer.allocate(Long.BYTES).putLong(number).array());
    return mac.doFinal(frame);
  }
}
