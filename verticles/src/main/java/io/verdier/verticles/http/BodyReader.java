package io.verdier.verticles.http;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.vertx.core.buffer.Buffer;

/**
 * Owned by the event loop of its connection: collects one request body, bounded in size, in the
 * silence between its parts and in time: beyond one such silence it must bring so many bytes a
 * second on the average, or a byte now and then would hold a place in {@link Admission} for hours.
 * What all bodies hold together is bounded by {@link BodyBudget}.
 */
final class BodyReader {
  /** A body of 32 MB may take 35 minutes so, as over the slowest mobile networks. */
  private static final long BYTES_PER_SECOND_MIN = 16 * 1024;

  private static final long SECOND_NANOS = 1_000_000_000L;

  private final Exchange exchange;
  private final Whole whole;
  private final BodyBudget.Share share;
  private final long bytesMax;
  private final long idleNanos;
  private final long startNanos = System.nanoTime();
  private Buffer body = Buffer.buffer();
  private long timer = -1;
  private boolean heard;

  /** Takes a body that is complete. */
  interface Whole {
    /**
     * @param held by the body; to be closed once it is decoded
     */
    void onBody(Buffer body, BodyBudget.Share held);
  }

  private BodyReader(Exchange exchange, Whole whole) {
    this.exchange = exchange;
    this.whole = whole;
    this.share = exchange.ingress().admission().bodies().share();
    this.bytesMax = exchange.ingress().limits().bodyBytesMax();
    this.idleNanos = exchange.ingress().limits().bodyIdleTimeout().toNanos();
  }

  /** Reads, then calls {@code whole}, unless the exchange ended before. */
  static void read(Exchange exchange, Whole whole) {
    BodyReader reader = new BodyReader(exchange, whole);
    if (exchange.declaredLength() > reader.bytesMax) {
      exchange.reply(ErrorMapper.bodyTooLarge(reader.bytesMax));
      return;
    }
    if ("100-continue".equalsIgnoreCase(exchange.request().getHeader("Expect"))) {
      exchange.request().response().writeContinue();
    }
    exchange.readBy(reader);
    reader.listen();
    reader.watch();
  }

  private void listen() {
    exchange.request().handler(this::onPart);
    exchange.request().endHandler(ignored -> onEnd());
  }

  private void onPart(Buffer part) {
    heard = true;
    if (exchange.isDone()) {
      return;
    }
    if ((long) body.length() + part.length() > bytesMax) {
      exchange.reply(ErrorMapper.bodyTooLarge(bytesMax));
    } else if (isLate()) {
      refuseSlow();
    } else if (!share.take(part.length())) {
      exchange.fail(overloaded());
    } else {
      body.appendBuffer(part);
    }
  }

  private RejectedException overloaded() {
    return new RejectedException(
        ErrorCode.OVERLOADED,
        "The server is receiving "
            + exchange.ingress().admission().bodies().bytesMax()
            + " bytes of request bodies and takes no more now. Try again later.");
  }

  private boolean isLate() {
    long grantedNanos = idleNanos + body.length() * SECOND_NANOS / BYTES_PER_SECOND_MIN;
    return System.nanoTime() - startNanos > grantedNanos;
  }

  /** The request, which lives as long as its answer, must not keep the body. */
  private void onEnd() {
    exchange.request().handler(null);
    exchange.request().endHandler(null);
    if (exchange.isDone()) {
      return;
    }
    Buffer all = body;
    stopClock();
    body = Buffer.buffer();
    exchange.readBy(null);
    whole.onBody(all, share);
  }

  /** One timer for a whole period of silence: re-arming it at each part would cost more. */
  private void watch() {
    heard = false;
    long millis = exchange.ingress().limits().bodyIdleTimeout().toMillis();
    timer = exchange.ingress().vertx().setTimer(Math.max(1, millis), ignored -> onTimer());
  }

  private void onTimer() {
    timer = -1;
    if (heard && !isLate()) {
      watch();
    } else {
      refuseSlow();
    }
  }

  private void refuseSlow() {
    exchange.closeAfterwards();
    exchange.reply(ErrorMapper.bodyTooSlow());
  }

  /** It is decided what becomes of the request: nothing is kept of a body that is not complete. */
  void stop() {
    stopClock();
    body = Buffer.buffer();
    share.close();
  }

  private void stopClock() {
    if (timer >= 0) {
      exchange.ingress().vertx().cancelTimer(timer);
      timer = -1;
    }
  }
}
