package io.verdier.verticles.http.routes;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.StoredResponse;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Flight;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.SseStream;
import io.verdier.verticles.http.Usage;
import io.verdier.verticles.http.api.Body;
import io.verdier.verticles.http.routes.ResponsesJson.Status;
import io.vertx.core.Future;
import io.vertx.core.buffer.Buffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
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
    Fields fields = Fields.of(body);
    FieldGate.check(exchange, fields, Body.RESPONSES);
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
                  launch(exchange, fields, response.messages());
                }
              } catch (RuntimeException refused) {
                exchange.fail(refused);
              }
            })
        .onFailure(exchange::fail);
  }

  private static void launch(
      Exchange exchange, Fields fields, List<Map<String, @Nullable Object>> history) {
    Ingress ingress = exchange.ingress();
    List<Map<String, @Nullable Object>> turn = ResponsesInput.read(fields);
    Fields chat = new ResponsesFields(fields).chat(history, turn);
    ChatRequest request = ChatRequest.read(exchange, chat, ID_PREFIX);
    boolean kept = fields.bool("store", true) && ingress.config().http().storeResponses();
    // Who knows the id may read the response, so it is neither guessable nor the client's choice.
    AnswerShape shape = request.shape().withId(ID_PREFIX + CallIds.random());
    exchange.answersAs(shape.id());
    ResponsesJson json =
        new ResponsesJson(shape, ResponsesEcho.of(fields, request.generation().sampling(), kept));
    List<Map<String, @Nullable Object>> messages = new ArrayList<>();
    if (kept) { // else nobody needs them beside the tokens
      messages.addAll(history);
      messages.addAll(turn);
    }
    ResponsesFormat.Keeper keeper =
        (blocks, bytes) -> {
          if (kept) {
            keep(ingress, shape.id(), messages, blocks, bytes);
          }
        };
    ChatParsing parsing = request.parsing();
    if (shape.streamed()) {
      ResponsesFormat format = new ResponsesFormat(json, parsing, keeper);
      Flight.launch(
          exchange,
          List.of(request.generation()),
          PacedAnswer.of(new SseStream(exchange, format), shape.interval(), 1));
    } else {
      WholeAnswer.Layout layout =
          (out, choices, usage) -> write(out, json, parsing, choices.getFirst(), usage, keeper);
      Flight.launch(exchange, List.of(request.generation()), new WholeAnswer(exchange, 1, layout));
    }
  }

  private static void write(
      JsonWriter out,
      ResponsesJson json,
      ChatParsing parsing,
      Choice choice,
      Usage usage,
      ResponsesFormat.Keeper keeper) {
    AnswerBlocks blocks = AnswerBlocks.of(choice, parsing, CALL_ID_PREFIX);
    json.response(out, Status.of(choice.end()), blocks.blocks(), usage, null);
    keeper.keep(blocks.blocks(), out.toBytes());
  }

  private static void keep(
      Ingress ingress,
      String id,
      List<Map<String, @Nullable Object>> messages,
      List<AnswerBlocks.Block> blocks,
      byte[] json) {
    List<Map<String, @Nullable Object>> conversation = new ArrayList<>(messages);
    conversation.add(said(blocks));
    ingress.bus().send(Addresses.RESPONSES, new StoredResponse(id, json, conversation));
  }

  /** The answer as a message of a chat. A call that broke off could not be answered. */
  private static Map<String, @Nullable Object> said(List<AnswerBlocks.Block> blocks) {
    StringBuilder content = new StringBuilder();
    StringBuilder reasoning = new StringBuilder();
    List<Object> calls = new ArrayList<>();
    for (AnswerBlocks.Block block : blocks) {
      switch (block.kind) {
        case REASONING -> reasoning.append(block.text);
        case TEXT -> content.append(block.text);
        case CALL -> {
          if (block.complete) {
            calls.add(ResponsesInput.call(block.callId, block.name, block.text.toString()));
          }
        }
      }
    }
    Map<String, @Nullable Object> message = ResponsesInput.message("assistant", content.toString());
    if (!reasoning.isEmpty()) {
      message.put("reasoning_content", reasoning.toString());
    }
    if (!calls.isEmpty()) {
      message.put("tool_calls", calls);
    }
    return message;
  }

  private static Future<StoredResponse> stored(
      Ingress ingress, String id, @Nullable String parameter) {
    if (!ingress.config().http().storeResponses()) {
      throw new RejectedException(
          ErrorCode.NOT_FOUND,
          "No response is stored: the server was not started with --enable-responses-api-store.",
          parameter);
    }
    ingress.checkReady();
    return ingress
        .bus()
        .request(
            Addresses.RESPONSES, new StoredResponse.Query(id, parameter), StoredResponse.class);
  }

  static void get(Exchange exchange, Map<String, @Nullable Object> none) {
    if ("true".equalsIgnoreCase(exchange.request().getParam("stream"))) {
      throw new RejectedException(
          ErrorCode.UNSUPPORTED, "A stored response is complete; it cannot be streamed.", "stream");
    }
    stored(exchange.ingress(), exchange.request().path().substring(PATH.length()), null)
        .onComplete(
            response -> exchange.reply(200, "application/json", Buffer.buffer(response.json())),
            exchange::fail);
  }

  /** There is nothing to cancel: a response that has an id for others is complete. */
  static void cancel(Exchange exchange, Map<String, @Nullable Object> none) {
    String path = exchange.request().path();
    if (!path.endsWith(CANCEL) || path.length() <= PATH.length() + CANCEL.length()) {
      throw new RejectedException(ErrorCode.NOT_FOUND, "There is no such route.");
    }
    stored(exchange.ingress(), path.substring(PATH.length(), path.length() - CANCEL.length()), null)
        .onComplete(
            response ->
                exchange.fail(
                    RejectedException.invalid(
                        "response_id",
                        "The response is complete. Only background responses can be cancelled,"
                            + " and this server has none.")),
            exchange::fail);
  }
}
