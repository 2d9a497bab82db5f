package io.verdier.verticles.http;

import io.vertx.core.buffer.Buffer;
import java.util.function.Consumer;

/**
 * Owned by the event loop of its connection: collects one request body, bounded in size and in the
 * silence between its parts. The deadline of the request bounds the whole.
 */
final class BodyReader {
  private final Exchange exchange;
  private final Consumer<Buffer> whole;
  private Buffer body = Buffer.buffer();
  private final long bytesMax;
  private long timer = -1;
  private boolean heard;

  private BodyReader(Exchange exchange, Consumer<Buffer> whole) {
    this.exchange = exchange;
    this.whole = whole;
    this.bytesMax = exchange.ingress().limits().bodyBytesMax();
  }

  /** Reads, then calls {@code whole}, unless the exchange ended before. */
  static void read(Exchange exchange, Consumer<Buffer> whole) {
    BodyReader reader = new BodyReader(exchange, whole);
    if (exchange.declaredLength() > reader.bytesMax) {
      exchange.reply(ErrorMapper.bodyTooLarge(reader.bytesMax));
      return;
    }
    if ("100-continue".equalsIgnoreCase(exchange.request().getHeader("Expect"))) {
      exchange.request().response().writeContinue();
    }
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
      stop();
    } else if ((long) body.length() + part.length() > bytesMax) {
      stop();
      exchange.reply(ErrorMapper.bodyTooLarge(bytesMax));
    } else {
      body.appendBuffer(part);
    }
  }

  /** The request, which lives as long as its answer, must not keep the body. */
  private void onEnd() {
    stop();
    exchange.request().handler(null);
    exchange.request().endHandler(null);
    Buffer all = body;
    body = Buffer.buffer();
    if (!exchange.isDone()) {
      whole.accept(all);
    }
  }

  /** One timer for a whole period of silence: re-arming it at each part would cost more. */
  private void watch() {
    heard = false;
    long millis = exchange.ingress().limits().bodyIdleTimeout().toMillis();
    timer = exchange.ingress().vertx().setTimer(Math.max(1, millis), ignored -> onTimer());
  }

  private void onTimer() {
    timer = -1;
    if (exchange.isDone() || exchange.request().isEnded()) {
      return;
    }
    if (heard) {
      watch();
    } else {
      exchange.closeAfterwards();
      exchange.reply(ErrorMapper.bodyTooSlow());
    }
  }

  private void stop() {
    if (timer >= 0) {
      exchange.ingress().vertx().cancelTimer(timer);
      timer = -1;
    }
  }
}
