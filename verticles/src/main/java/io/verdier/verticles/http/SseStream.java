package io.verdier.verticles.http;

import io.verdier.verticles.bus.Delta;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerResponse;

/**
 * Owned by the event loop of its connection: one streamed answer, written as it comes and bounded.
 *
 * <p><b>The hot path.</b> A delta is appended to the stream's pending bytes by its {@link
 * StreamFormat} and nothing else happens. All streams with pending bytes are written once, at the
 * end of the event loop's current turn ({@link StreamFlusher}): a burst of deltas for one stream is
 * one write, one system call.
 *
 * <p><b>The bound.</b> Neither the bus nor Vert.x holds an engine back, so a reader that is slower
 * than its stream would be buffered for without end. Counted are the pending bytes and those handed
 * to the connection but not yet taken by the socket; when they pass {@code streamBufferBytesMax}
 * the connection is cut and the sequences are cancelled. The largest event so far is not counted:
 * one event larger than the bound (a long echoed prompt) says nothing about the reader.
 *
 * <p>The status line waits for the first news: what is refused before any token has a real HTTP
 * status.
 */
public final class SseStream implements Answer {
  private final Exchange exchange;
  private final StreamFormat format;
  private final int bytesMax;

  private Buffer pending = Buffer.buffer();
  private int queuedBytes;
  private int largestBytes;
  private boolean open;
  private boolean dirty;

  public SseStream(Exchange exchange, StreamFormat format) {
    this.exchange = exchange;
    this.format = format;
    this.bytesMax = exchange.ingress().limits().streamBufferBytesMax();
  }

  @Override
  public void onDelta(Sequence sequence, int choice, Delta delta) {
    JsonWriter out = exchange.ingress().writer().clear();
    if (!open) {
      open();
      format.open(out, delta);
    }
    format.delta(out, sequence, choice, delta);
    append(out);
  }

  private void open() {
    open = true;
    HttpServerResponse response = exchange.request().response();
    response.setChunked(true);
    response.setWriteQueueMaxSize(bytesMax);
    response.putHeader("Content-Type", format.contentType());
    response.putHeader("Cache-Control", "no-cache");
  }

  private void append(JsonWriter out) {
    if (out.length() == 0) {
      return;
    }
    out.appendTo(pending);
    largestBytes = Math.max(largestBytes, out.length());
    if ((long) pending.length() + queuedBytes - largestBytes > bytesMax) {
      exchange.cut();
    } else if (!dirty) {
      dirty = true;
      exchange.ingress().flusher().add(this);
    }
  }

  /** The turn is over: writes what is pending. */
  void flush() {
    dirty = false;
    int bytes = pending.length();
    if (bytes == 0 || exchange.isDone()) {
      return;
    }
    queuedBytes += bytes;
    exchange.request().response().write(pending).onComplete(ignored -> queuedBytes -= bytes);
    pending = Buffer.buffer(bytes);
  }

  /** Nothing more can be written. */
  void cut() {
    exchange.cut();
  }

  @Override
  public void onEnd(Usage usage) {
    JsonWriter out = exchange.ingress().writer().clear();
    format.close(out, usage);
    finish(out);
  }

  @Override
  public void onFailure(Problem problem) {
    if (!open) {
      exchange.reply(problem);
      return;
    }
    JsonWriter out = exchange.ingress().writer().clear();
    format.fail(out, problem, exchange.dialect());
    finish(out);
  }

  private void finish(JsonWriter out) {
    out.appendTo(pending);
    exchange.endStream(pending);
    pending = Buffer.buffer();
  }
}
