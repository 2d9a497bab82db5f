package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.BackgroundResponse.Begin;
import io.verdier.verticles.bus.BackgroundResponse.Begun;
import io.verdier.verticles.bus.BackgroundResponse.Drop;
import io.verdier.verticles.bus.BackgroundResponse.News;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.StoredResponse;
import io.verdier.verticles.http.Answer;
import io.verdier.verticles.http.Background;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Flight;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Problem;
import io.verdier.verticles.http.Sequence;
import io.verdier.verticles.http.Usage;
import io.verdier.verticles.http.routes.ResponsesJson.Status;
import io.vertx.core.buffer.Buffer;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Owned by the event loop: a response that is made while nobody waits for it. All that would be
 * told to a client goes to the store, where others ask for it: the response as it stands, and its
 * events if the client wants to follow them.
 */
final class BackgroundAnswer implements Answer {
  private static final byte[] NOTHING = {};

  private final Background work;
  private final ResponsesTurn.Look look;
  private final ResponsesFormat format;
  private @Nullable StoredResponse whole;
  private boolean open;

  private BackgroundAnswer(Background work, ResponsesTurn.Look look) {
    this.work = work;
    this.look = look;
    this.format =
        new ResponsesFormat(
            look.json(),
            look.parsing(),
            (status, blocks, json) -> whole = look.stored(status, blocks, json));
  }

  /** Begins, and answers at once: with the response that is to come, or with its events. */
  static void begin(Exchange exchange, ResponsesTurn turn) {
    ResponsesTurn.Look look = turn.look();
    byte[] queued = json(look, Status.QUEUED);
    exchange
        .ingress()
        .bus()
        .request(
            Addresses.RESPONSES, new Begin(look.id(), queued, look.shape().streamed()), Begun.class)
        .onComplete(begun -> launch(exchange, turn, queued), exchange::fail);
  }

  private static byte[] json(ResponsesTurn.Look look, Status status) {
    JsonWriter out = new JsonWriter();
    look.json().response(out, status, List.of(), null, null);
    return out.toBytes();
  }

  private static void launch(Exchange exchange, ResponsesTurn turn, byte[] queued) {
    Ingress ingress = exchange.ingress();
    ResponsesTurn.Look look = turn.look();
    if (exchange.isDone()) { // nobody knows the id
      ingress.bus().send(Addresses.RESPONSES, new Drop(look.id()));
      return;
    }
    Background work = Background.of(exchange, look.id());
    try {
      Answer answer = new BackgroundAnswer(work, look);
      Flight.launch(
          work,
          List.of(turn.request().generation()),
          PacedAnswer.of(answer, look.shape().interval(), 1));
    } catch (RuntimeException refused) {
      work.fail(refused);
      ingress.bus().send(Addresses.RESPONSES, new Drop(look.id()));
      exchange.fail(refused);
      return;
    }
    if (look.shape().streamed()) {
      new FollowedResponse(exchange, look.id(), FollowedResponse.FROM_THE_FIRST).begin();
    } else {
      exchange.reply(200, "application/json", Buffer.buffer(queued));
    }
  }

  @Override
  public void onDelta(Sequence sequence, int choice, Delta delta) {
    JsonWriter out = work.ingress().writer().clear();
    byte[] json = null;
    if (!open) {
      open = true;
      format.open(out, delta);
      json = json(look, Status.IN_PROGRESS);
    }
    format.delta(out, sequence, choice, delta);
    tell(json, out);
  }

  private void tell(byte @Nullable [] json, JsonWriter out) {
    byte[] events = look.shape().streamed() ? out.toBytes() : NOTHING;
    if (json != null || events.length > 0) {
      send(new News(look.id(), json, events));
    }
  }

  private void send(Object message) {
    work.ingress().bus().send(Addresses.RESPONSES, message);
  }

  @Override
  public void onEnd(Usage usage) {
    JsonWriter out = work.ingress().writer().clear();
    format.close(out, usage);
    finish(out);
  }

  @Override
  public void onFailure(Problem problem) {
    JsonWriter out = work.ingress().writer().clear();
    format.fail(out, problem, Problem.Dialect.OPENAI);
    finish(out);
  }

  private void finish(JsonWriter out) {
    tell(null, out);
    if (whole == null) {
      throw new IllegalStateException(look.id() + " has ended without a response");
    }
    send(whole);
    work.end();
  }
}
