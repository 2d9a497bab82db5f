package io.verdier.verticles.http.routes;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.BackgroundResponse;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.StoredResponse;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Flight;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.SseStream;
import io.verdier.verticles.http.Usage;
import io.verdier.verticles.http.api.Body;
import io.verdier.verticles.http.routes.ResponsesJson.Status;
import io.vertx.core.Future;
import io.vertx.core.buffer.Buffer;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * {@code POST /v1/responses}, {@code GET /v1/responses/…} and {@code POST /v1/responses/…/cancel}.
 * Stateless: what is to last is {@code respond}'s.
 */
final class Responses {
  static final String ID_PREFIX = "resp_";
  static final String CALL_ID_PREFIX = "call_";

  private static final String PATH = "/v1/responses/";
  private static final String CANCEL = "/cancel";

  private Responses() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    Fields fields = HeaderFields.over(exchange, Fields.of(body, Body.RESPONSES));
    FieldGate.check(exchange, fields);
    ResponsesFields.checkIncluded(exchange, fields);
    String previous = fields.string("previous_response_id");
    if (previous == null) {
      launch(exchange, fields, List.of());
      return;
    }
    stored(exchange.ingress(), previous, "previous_response_id")
        .onSuccess(
            response -> {
              try {
                if (!exchange.isDone()) {
                  checkGoesOn(response);
                  launch(exchange, fields, response.messages());
                }
              } catch (RuntimeException refused) {
                exchange.fail(refused);
              }
            })
        .onFailure(exchange::fail);
  }

  private static void checkGoesOn(StoredResponse previous) {
    String why =
        switch (previous.stage()) {
          case ENDED -> "";
          case UNDER_WAY -> "is still being made; wait for it, or cancel it.";
          case FAILED -> "has failed; nothing goes on from it.";
        };
    if (!why.isEmpty()) {
      throw RejectedException.invalid(
          "previous_response_id", "The response of previous_response_id " + why);
    }
  }

  private static void launch(
      Exchange exchange, Fields fields, List<Map<String, @Nullable Object>> history) {
    ResponsesTurn turn = ResponsesTurn.read(exchange, fields, history);
    if (turn.background()) {
      BackgroundAnswer.begin(exchange, turn);
      return;
    }
    Ingress ingress = exchange.ingress();
    ResponsesTurn.Look look = turn.look();
    ResponsesFormat.Keeper keeper =
        (status, blocks, json) -> {
          if (look.kept() && status != Status.FAILED) {
            ingress.bus().send(Addresses.RESPONSES, look.stored(status, blocks, json));
          }
        };
    List<Generation> works = List.of(turn.request().generation());
    if (look.shape().streamed()) {
      ResponsesFormat format = new ResponsesFormat(look.json(), look.parsing(), keeper);
      SseStream stream = new SseStream(exchange, format);
      Flight.launch(exchange, works, PacedAnswer.of(stream, look.shape().interval(), 1));
    } else {
      WholeAnswer.Layout layout =
          (out, choices, usage) -> write(out, look, choices.getFirst(), usage, keeper);
      Flight.launch(exchange, works, new WholeAnswer(exchange, 1, layout));
    }
  }

  private static void write(
      JsonWriter out,
      ResponsesTurn.Look look,
      Choice choice,
      Usage usage,
      ResponsesFormat.Keeper keeper) {
    AnswerBlocks blocks = AnswerBlocks.of(choice, look.parsing(), CALL_ID_PREFIX);
    Status status = Status.of(choice.end());
    look.json().response(out, status, blocks.blocks(), usage, null);
    keeper.keep(status, blocks.blocks(), out.toBytes());
  }

  private static Future<StoredResponse> stored(
      Ingress ingress, String id, @Nullable String parameter) {
    checkStore(ingress, parameter);
    return ingress
        .bus()
        .request(
            Addresses.RESPONSES, new StoredResponse.Query(id, parameter), StoredResponse.class);
  }

  private static void checkStore(Ingress ingress, @Nullable String parameter) {
    if (!ingress.config().http().storeResponses()) {
      throw new RejectedException(
          ErrorCode.NOT_FOUND,
          "No response is stored: the server was not started with --enable-responses-api-store.",
          parameter);
    }
    ingress.checkReady();
  }

  static void get(Exchange exchange, Map<String, @Nullable Object> none) {
    Query query = Query.read(exchange, Body.RETRIEVE);
    String id = exchange.request().path().substring(PATH.length());
    if (query.bool("stream")) {
      checkStore(exchange.ingress(), null);
      int after = query.integer("starting_after", FollowedResponse.FROM_THE_FIRST);
      new FollowedResponse(exchange, id, after).begin();
      return;
    }
    stored(exchange.ingress(), id, null)
        .onComplete(response -> tell(exchange, response), exchange::fail);
  }

  private static void tell(Exchange exchange, StoredResponse response) {
    exchange.reply(200, "application/json", Buffer.buffer(response.json()));
  }

  static void cancel(Exchange exchange, Map<String, @Nullable Object> none) {
    String path = exchange.request().path();
    if (!path.endsWith(CANCEL) || path.length() <= PATH.length() + CANCEL.length()) {
      throw new RejectedException(ErrorCode.NOT_FOUND, "There is no such route.");
    }
    checkStore(exchange.ingress(), null);
    String id = path.substring(PATH.length(), path.length() - CANCEL.length());
    String waiter = UUID.randomUUID().toString();
    Bus bus = exchange.ingress().bus();
    exchange.whenDone(
        () -> bus.send(Addresses.RESPONSES, new BackgroundResponse.Leave(id, waiter)));
    bus.request(
            Addresses.RESPONSES, new BackgroundResponse.Cancel(id, waiter), StoredResponse.class)
        .onComplete(response -> tell(exchange, response), exchange::fail);
  }
}
