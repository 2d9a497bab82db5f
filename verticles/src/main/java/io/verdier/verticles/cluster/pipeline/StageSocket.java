package io.verdier.verticles.cluster.pipeline;

import io.verdier.verticles.cluster.WireException;
import io.verdier.verticles.cluster.pipeline.StageSeal.End;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.net.NetSocket;
import io.vertx.core.parsetools.RecordParser;
import java.security.SecureRandom;
import org.jspecify.annotations.Nullable;

/**
 * A connection between two nodes that share a model. Owned by the pipeline's event loop.
 *
 * <pre>
 *   first, both ends     'V' 'D' 'P' 'L' | version, 4 | nonce, 32
 *   then, each frame     length, 4 | frame | signature, 32
 * </pre>
 *
 * <p>Nobody is believed before the first signed frame, and until then no frame may be longer than
 * {@value #SHORT_BYTES_MAX} bytes. What does not fit ends the connection: there is no going on
 * behind bytes that are not understood.
 */
final class StageSocket {
  private static final int MAGIC = 'V' << 24 | 'D' << 16 | 'P' << 8 | 'L';
  private static final int OPENING_BYTES = 8 + StageSeal.NONCE_BYTES;

  /** Of the first frame: names and numbers. */
  private static final int SHORT_BYTES_MAX = 64 << 10;

  /** 8192 rows of 16384 floats are half of it; {@link StageRoom} sees to it that all steps fit. */
  static final int BYTES_MAX = 1 << 30;

  private final NetSocket socket;
  private final byte[] key;
  private final End self;
  private final byte[] nonce = new byte[StageSeal.NONCE_BYTES];
  private final RecordParser parser;
  private final Listener listener;
  private State state = State.OPENING;
  private @Nullable StageSeal seal;
  private int bytesMax = SHORT_BYTES_MAX;
  private String problem = "";

  private enum State {
    OPENING,
    LENGTH,
    FRAME,
    CLOSED
  }

  /** What comes; on the event loop. */
  interface Listener {
    /** Frames may be sent. */
    void onOpen(StageSocket socket);

    void onFrame(StageSocket socket, StageFrame frame);

    /**
     * Nothing more comes.
     *
     * @param problem why this end closed it; empty: the other end did
     */
    void onClosed(StageSocket socket, String problem);
  }

  /**
   * Sends the opening.
   *
   * @param key of the cluster
   */
  StageSocket(NetSocket socket, byte[] key, End self, Listener listener) {
    this.socket = socket;
    this.key = key.clone();
    this.self = self;
    this.listener = listener;
    new SecureRandom().nextBytes(nonce);
    parser = RecordParser.newFixed(OPENING_BYTES, this::onRecord);
    socket.handler(parser);
    socket.closeHandler(ignored -> onClosed());
    socket.exceptionHandler(ignored -> {}); // it closes, too
    socket.write(Buffer.buffer().appendInt(MAGIC).appendInt(StageCodec.VERSION).appendBytes(nonce));
  }

  /** Address of the other end. */
  String remoteHost() {
    return socket.remoteAddress().hostAddress();
  }

  /** Address of this end, as the other end sees it. */
  String localHost() {
    return socket.localAddress().hostAddress();
  }

  private void onRecord(Buffer record) {
    try {
      switch (state) {
        case OPENING -> open(record);
        case LENGTH -> {
          int length = record.getInt(0);
          if (length < 1 || length > bytesMax) {
            throw new WireException("a frame of " + length + " bytes; at most " + bytesMax);
          }
          state = State.FRAME;
          parser.fixedSizeMode(length + StageSeal.MAC_BYTES);
        }
        case FRAME -> {
          StageFrame frame = StageCodec.read(seal().open(record));
          bytesMax = BYTES_MAX;
          awaitLength();
          listener.onFrame(this, frame);
        }
        case CLOSED -> {}
      }
    } catch (RuntimeException bad) { // no frame, one that was not signed, or one with nowhere to go
      close(String.valueOf(bad.getMessage()));
    }
  }

  private void open(Buffer opening) {
    if (opening.getInt(0) != MAGIC) {
      throw new WireException("it is no node of a pipeline");
    }
    int version = opening.getInt(4);
    if (version != StageCodec.VERSION) {
      throw new WireException(
          "it speaks version %d of the protocol between stages, and this node %d"
              .formatted(version, StageCodec.VERSION));
    }
    byte[] other = opening.getBytes(8, OPENING_BYTES);
    seal =
        self == End.ASKS
            ? new StageSeal(key, nonce, other, self)
            : new StageSeal(key, other, nonce, self);
    awaitLength();
    listener.onOpen(this);
  }

  private void awaitLength() {
    if (state != State.CLOSED) {
      state = State.LENGTH;
      parser.fixedSizeMode(Integer.BYTES);
    }
  }

  private StageSeal seal() {
    StageSeal present = seal;
    if (present == null) {
      throw new IllegalStateException("nothing can be said before the opening");
    }
    return present;
  }

  /**
   * Signs and sends a frame.
   *
   * @param frame from {@link StageCodec#write}
   */
  void send(Buffer frame) {
    if (state == State.CLOSED) {
      return; // its end was told
    }
    byte[] bytes = frame.getBytes();
    byte[] signature = seal().sign(bytes);
    socket.write(
        Buffer.buffer(Integer.BYTES + bytes.length + signature.length)
            .appendInt(bytes.length)
            .appendBytes(bytes)
            .appendBytes(signature));
  }

  void send(StageFrame frame) {
    send(StageCodec.write(frame));
  }

  /** Closes it behind what was sent. */
  void close(String why) {
    if (state != State.CLOSED) {
      state = State.CLOSED;
      problem = why;
      socket.close();
    }
  }

  /** Says a last word and closes it. */
  void close(StageFrame last, String why) {
    send(last);
    close(why);
  }

  private void onClosed() {
    state = State.CLOSED;
    listener.onClosed(this, problem);
  }
}
