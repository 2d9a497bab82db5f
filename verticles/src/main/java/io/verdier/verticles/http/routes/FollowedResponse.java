package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.BackgroundResponse.Follow;
import io.verdier.verticles.bus.BackgroundResponse.Leave;
import io.verdier.verticles.bus.BackgroundResponse.Page;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerResponse;
import java.util.Locale;
import java.util.UUID;

/**
 * Owned by the event loop of its connection: tells the events of a response that is, or was, made
 * in the background. It asks for the next ones when the last are written: a slow reader holds up
 * nobody, and nothing piles up for it.
 */
final class FollowedResponse {
  static final int FROM_THE_FIRST = -1;

  private final Exchange exchange;
  private final String id;
  private final String waiter = UUID.randomUUID().toString();
  private int after; // number of the last event that was told
  private boolean open;

  /**
   * @param after number of the last event that the client has
   */
  FollowedResponse(Exchange exchange, String id, int after) {
    this.exchange = exchange;
    this.id = id;
    this.after = after;
  }

  void begin() {
    exchange.limitTime();
    exchange.whenDone(
        () -> exchange.ingress().bus().send(Addresses.RESPONSES, new Leave(id, waiter)));
    next();
  }

  private void next() {
    if (exchange.isDone()) {
      return;
    }
    exchange
        .ingress()
        .bus()
        .request(Addresses.RESPONSES, new Follow(id, after, waiter), Page.class)
        .onComplete(this::onPage, this::onFailure);
  }

  private void onPage(Page page) {
    if (exchange.isDone()) {
      return;
    }
    HttpServerResponse response = exchange.request().response();
    if (!open) {
      open = true;
      response.setChunked(true);
      response.putHeader("Content-Type", EventHead.CONTENT_TYPE);
      response.putHeader("Cache-Control", "no-cache");
    }
    after = page.last();
    Buffer events = Buffer.buffer(page.events());
    if (page.isEnd()) {
      exchange.endStream(events);
    } else {
      response.write(events).onSuccess(written -> next()); // else the exchange hears of it
    }
  }

  private void onFailure(Throwable cause) {
    if (exchange.isDone()) {
      return;
    }
    if (!open) {
      exchange.fail(cause);
      return;
    }
    Problem problem = exchange.ingress().errors().of(cause);
    JsonWriter out = exchange.ingress().writer().clear();
    NamedEvents.begin(out, "error");
    out.field("code", problem.code().name().toLowerCase(Locale.ROOT));
    out.field("message", problem.message()).field("param", problem.parameter());
    out.field("sequence_number", after + 1);
    NamedEvents.end(out);
    exchange.endStream(out.toBuffer());
  }
}
