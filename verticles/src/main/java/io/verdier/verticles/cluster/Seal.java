package io.verdier.verticles.cluster;

import io.vertx.core.buffer.Buffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Signs what this node says and checks what others say. Owned by the cluster's event loop.
 *
 * <pre>
 *   'V' 'D' version | sender | boot | number | time || frame || HMAC-SHA256 over all before and the receiver
 * </pre>
 *
 * <p>Every frame is signed, not only announcements: whoever reaches the bus can send to any
 * address. It names sender and receiver, so none can be sent on to a third node or back; a number
 * that grows by one from frame to frame of a sender to a receiver, so none can be repeated and a
 * lost one is noticed; and the time, so that those of a sender that is heard for the first time are
 * not old ones. Clocks of nodes may differ by {@link #FRESH_MILLIS}.
 *
 * <p>Without a secret the key is the cluster's name: that keeps accidents out, not attackers.
 */
final class Seal {
  static final long FRESH_MILLIS = 60_000;

  static final int FRAME_BYTES_MAX = 64 << 20;
  private static final int MAC_BYTES = 32;
  private static final int SENDERS_MAX = 1024;
  private static final String ALGORITHM = "HmacSHA256";

  private final Mac mac;
  private final String self;
  private final long boot;
  private final Map<String, Long> sent = new HashMap<>(); // last number, by receiver

  /** By sender. Whoever is forgotten here must be fresh to be heard again. */
  private final Map<String, Heard> heard =
      new LinkedHashMap<>(64, 0.75f, true) {
        private static final long serialVersionUID = 1;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Heard> eldest) {
          return size() > SENDERS_MAX;
        }
      };

  /** The last frame of a sender's life. */
  private record Heard(long boot, long number) {}

  /** How a frame fits to those before. */
  enum Order {
    NEXT,
    /** Some between are lost. */
    GAP
  }

  /** A frame that may be believed. */
  record Opened(String sender, Order order, Frame frame) {}

  /**
   * @param self name of this node in the cluster
   * @param boot a number that no earlier node of that name had
   */
  Seal(byte[] key, String self, long boot) {
    this.self = self;
    this.boot = boot;
    try {
      mac = Mac.getInstance(ALGORITHM);
      mac.init(new SecretKeySpec(key, ALGORITHM));
    } catch (GeneralSecurityException impossible) { // every Java platform has it
      throw new IllegalStateException(impossible);
    }
  }

  /**
   * Bytes for the receiver.
   *
   * @throws WireException if they are so many that it would refuse them; no number is taken then,
   *     so that it misses nothing
   */
  Buffer close(String receiver, Frame frame, long nowMillis) {
    long number = sent.getOrDefault(receiver, 0L) + 1;
    WireWriter out = new WireWriter();
    out.octet('V').octet('D').octet(FrameCodec.VERSION);
    out.text(self).fixed(boot).fixed(number).fixed(nowMillis);
    FrameCodec.write(out, frame);
    Buffer buffer = out.buffer();
    if (buffer.length() + MAC_BYTES > FRAME_BYTES_MAX) {
      throw new WireException("no frame may have " + buffer.length() + " bytes");
    }
    sent.put(receiver, number);
    return buffer.appendBytes(sign(buffer.getBytes(), receiver));
  }

  /**
   * The frame in these bytes.
   *
   * @throws WireException if they are not from a node that knows the key, not for this one, not
   *     new, or no frame
   */
  Opened open(Buffer buffer, long nowMillis) {
    int end = buffer.length() - MAC_BYTES;
    if (end < 3 || buffer.length() > FRAME_BYTES_MAX) {
      throw new WireException("no frame has " + buffer.length() + " bytes");
    }
    WireReader in = new WireReader(buffer, 0, end);
    if (in.octet() != 'V' || in.octet() != 'D') {
      throw new WireException("no frame");
    }
    int version = in.octet();
    if (version != FrameCodec.VERSION) {
      throw new WireException("version " + version);
    }
    byte[] signed = buffer.getBytes(0, end);
    byte[] given = buffer.getBytes(end, buffer.length());
    if (!MessageDigest.isEqual(sign(signed, self), given)) {
      throw new WireException("not signed by one of us");
    }
    String sender = in.text();
    Order order = enter(sender, in.fixed(), in.fixed(), in.fixed(), nowMillis);
    return new Opened(sender, order, FrameCodec.read(in));
  }

  private Order enter(String sender, long senderBoot, long number, long time, long nowMillis) {
    Heard last = heard.get(sender);
    Order order = Order.NEXT;
    if (last == null) {
      if (Math.abs(nowMillis - time) > FRESH_MILLIS) {
        throw new WireException("old, or from a node with another clock");
      }
    } else if (last.boot != senderBoot) {
      throw new WireException("a second node of that name");
    } else if (number <= last.number) {
      throw new WireException("repeated");
    } else if (number > last.number + 1) {
      order = Order.GAP;
    }
    heard.put(sender, new Heard(senderBoot, number));
    return order;
  }

  private byte[] sign(byte[] bytes, String receiver) {
    mac.update(bytes);
    return mac.doFinal(receiver.getBytes(StandardCharsets.UTF_8));
  }

  /** The key that a secret, or a name where there is none, stands for. */
  static byte[] key(String secret) {
    try {
      byte[] text = ("verdier-cluster-1\n" + secret).getBytes(StandardCharsets.UTF_8);
      return Arrays.copyOf(MessageDigest.getInstance("SHA-256").digest(text), MAC_BYTES);
    } catch (GeneralSecurityException impossible) { // every Java platform has it
      throw new IllegalStateException(impossible);
    }
  }
}
