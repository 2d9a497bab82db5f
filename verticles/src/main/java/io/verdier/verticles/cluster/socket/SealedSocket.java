package io.verdier.verticles.cluster.socket;

import io.verdier.verticles.cluster.WireException;
import io.verdier.verticles.cluster.socket.SocketSeal.End;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.net.NetSocket;
import io.vertx.core.parsetools.RecordParser;
import java.security.SecureRandom;
import org.jspecify.annotations.Nullable;

/**
 * A direct connection between two nodes. Owned by the actor, or the event loop, that it was made
 * on.
 *
 * <pre>
 *   first, both ends     magic, 4 | version, 4 | nonce, 32
 *   then, each frame     length, 4 | frame | signature, 32
 * </pre>
 *
 * <p>Nobody is believed before the first signed frame, and until then no frame may be longer than
 * {@value #SHORT_BYTES_MAX} bytes. What does not fit ends the connection: there is no going on
 * behind bytes that are not understood.
 */
public final class SealedSocket<F> {
  private static final int OPENING_BYTES = 8 + SocketSeal.NONCE_BYTES;

  /** Of the first frame: names and numbers. */
  private static final int SHORT_BYTES_MAX = 64 << 10;

  private final NetSocket socket;
  private final Protocol<F> protocol;
  private final byte[] key;
  private final End self;
  private final byte[] nonce = new byte[SocketSeal.NONCE_BYTES];
  private final RecordParser parser;
  private final Listener<F> listener;
  private State state = State.OPENING;
  private @Nullable SocketSeal seal;
  private int bytesMax = SHORT_BYTES_MAX;
  private String problem = "";

  private enum State {
    OPENING,
    LENGTH,
    FRAME,
    CLOSED
  }

  /** What comes, on the thread that owns the socket. */
  public interface Listener<F> {
    /** Frames may be sent. */
    void onOpen(SealedSocket<F> socket);

    void onFrame(SealedSocket<F> socket, F frame);

    /**
     * Nothing more comes.
     *
     * @param problem why this end closed it; empty: the other end did
     */
    void onClosed(SealedSocket<F> socket, String problem);
  }

  /**
   * Sends the opening.
   *
   * @param key of the cluster
   */
  public SealedSocket(
      NetSocket socket, Protocol<F> protocol, byte[] key, End self, Listener<F> listener) {
    this.socket = socket;
    this.protocol = protocol;
    this.key = key.clone();
    this.self = self;
    this.listener = listener;
    new SecureRandom().nextBytes(nonce);
    parser = RecordParser.newFixed(OPENING_BYTES, this::onRecord);
    socket.handler(parser);
    socket.closeHandler(ignored -> onClosed());
    socket.exceptionHandler(ignored -> {}); // it closes, too
    socket.write(
        Buffer.buffer()
            .appendInt(protocol.magic())
            .appendInt(protocol.version())
            .appendBytes(nonce));
  }

  /** Address of the other end. */
  public String remoteHost() {
    return socket.remoteAddress().hostAddress();
  }

  /** Address of this end, as the other end sees it. */
  public String localHost() {
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
          parser.fixedSizeMode(length + SocketSeal.MAC_BYTES);
        }
        case FRAME -> {
          F frame = protocol.read().apply(seal().open(record));
          bytesMax = protocol.bytesMax();
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
    if (opening.getInt(0) != protocol.magic()) {
      throw new WireException("it does not speak the protocol between " + protocol.parties());
    }
    int version = opening.getInt(4);
    if (version != protocol.version()) {
      throw new WireException(
          "it speaks version %d of the protocol between %s, and this node %d"
              .formatted(version, protocol.parties(), protocol.version()));
    }
    byte[] other = opening.getBytes(8, OPENING_BYTES);
    seal =
        self == End.ASKS
            ? new SocketSeal(protocol.name(), key, nonce, other, self)
            : new SocketSeal(protocol.name(), key, other, nonce, self);
    awaitLength();
    listener.onOpen(this);
  }

  private void awaitLength() {
    if (state != State.CLOSED) {
      state = State.LENGTH;
      parser.fixedSizeMode(Integer.BYTES);
    }
  }

  private SocketSeal seal() {
    SocketSeal present = seal;
    if (present == null) {
      throw new IllegalStateException("nothing can be said before the opening");
    }
    return present;
  }

  /**
   * Signs and sends a frame.
   *
   * @param frame as {@link Protocol#write} gives it
   */
  public void send(Buffer frame) {
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

  public void send(F frame) {
    send(protocol.write().apply(frame));
  }

  /** Whether the other end has yet to take so much that more should not be sent now. */
  public boolean isFull() {
    return socket.writeQueueFull();
  }

  /** Calls back once it is no longer full. */
  public void onRoom(Runnable work) {
    socket.drainHandler(ignored -> work.run());
  }

  /** Closes it behind what was sent. */
  public void close(String why) {
    if (state != State.CLOSED) {
      state = State.CLOSED;
      problem = why;
      socket.close();
    }
  }

  /** Says a last word and closes it. */
  public void close(F last, String why) {
    send(last);
    close(why);
  }

  private void onClosed() {
    state = State.CLOSED;
    listener.onClosed(this, problem);
  }
}
