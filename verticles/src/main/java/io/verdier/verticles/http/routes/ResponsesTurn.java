package io.verdier.verticles.http.routes;

import io.verdier.engine.RejectedException;
import io.verdier.verticles.bus.StoredResponse;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.routes.ResponsesJson.Status;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A request for a response, checked. Immutable.
 *
 * @param look what the answer needs of the request; the prompt is not kept until then
 * @param background whether the client does not wait for it
 */
record ResponsesTurn(ChatRequest request, Look look, boolean background) {

  /**
   * @param history what the request goes on from
   */
  static ResponsesTurn read(
      Exchange exchange, Fields fields, List<Map<String, @Nullable Object>> history) {
    boolean stores = exchange.ingress().config().http().storeResponses();
    boolean kept = fields.bool("store") && stores;
    boolean background = fields.bool("background");
    if (background && !kept) {
      throw RejectedException.invalid(
          "background",
          stores
              ? "A response that nobody waits for must be stored; leave \"store\": false out."
              : "A response that nobody waits for must be stored: the server was not started with"
                  + " --enable-responses-api-store.");
    }
    List<Map<String, @Nullable Object>> said = ResponsesInput.read(fields);
    Fields chat = new ResponsesFields(fields).chat(history, said);
    ChatRequest request =
        ChatRequest.read(exchange, chat, Responses.ID_PREFIX).bounded(ResponsesFields.LENGTH);
    // Who knows the id may read the response, so it is neither guessable nor the client's choice.
    AnswerShape shape = request.shape().withId(Responses.ID_PREFIX + CallIds.random());
    exchange.answersAs(shape.id());
    byte[] echo = ResponsesEcho.of(fields, request.generation().sampling(), kept);
    List<Map<String, @Nullable Object>> conversation = new ArrayList<>();
    if (kept) { // else nobody needs them beside the tokens
      conversation.addAll(history);
      conversation.addAll(said);
    }
    Look look = new Look(new ResponsesJson(shape, echo), request.parsing(), conversation, kept);
    return new ResponsesTurn(request, look, background);
  }

  /**
   * How the response is told, and what is kept of it. Immutable.
   *
   * @param conversation so far, as messages of a chat; empty where the response is not kept
   */
  record Look(
      ResponsesJson json,
      ChatParsing parsing,
      List<Map<String, @Nullable Object>> conversation,
      boolean kept) {

    AnswerShape shape() {
      return json.shape();
    }

    String id() {
      return shape().id();
    }

    /** The response as it is kept; nothing goes on from one that failed. */
    StoredResponse stored(Status status, List<AnswerBlocks.Block> blocks, byte[] whole) {
      if (status == Status.FAILED) {
        return new StoredResponse(id(), StoredResponse.Stage.FAILED, whole, List.of());
      }
      List<Map<String, @Nullable Object>> messages = new ArrayList<>(conversation);
      messages.add(said(blocks));
      return new StoredResponse(id(), StoredResponse.Stage.ENDED, whole, messages);
    }
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
}
