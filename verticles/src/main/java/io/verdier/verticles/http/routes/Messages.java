package io.verdier.verticles.http.routes;

import io.verdier.engine.RejectedException;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Flight;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonBody;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.SseStream;
import io.verdier.verticles.http.Usage;
import io.verdier.verticles.http.api.Body;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code POST /v1/messages} and {@code /v1/messages/count_tokens}. Stateless. */
final class Messages {
  static final String CALL_ID_PREFIX = "toolu_";

  private Messages() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    Fields fields = Fields.of(body, Body.MESSAGES);
    FieldGate.check(exchange, fields);
    boolean tellsReasoning =
        exchange.ingress().serving().card().parsing().reasoningParser().isPresent();
    Fields chat = new MessagesFields(fields).chat(tellsReasoning);
    ChatRequest request = ChatRequest.read(exchange, chat, "msg_");
    AnswerShape shape = request.shape();
    ChatParsing parsing = request.parsing();
    if (shape.streamed()) {
      MessagesFormat format = new MessagesFormat(shape, parsing);
      Flight.launch(
          exchange,
          List.of(request.generation()),
          PacedAnswer.of(new SseStream(exchange, format), shape.interval(), 1));
    } else {
      JsonBody json = exchange.ingress().json();
      WholeAnswer.Layout layout =
          (out, choices, usage) -> write(out, new Look(shape, parsing, json), choices, usage);
      Flight.launch(exchange, List.of(request.generation()), new WholeAnswer(exchange, 1, layout));
    }
  }

  /** What a whole answer needs of its request and of the server. */
  private record Look(AnswerShape shape, ChatParsing parsing, JsonBody json) {}

  static void countTokens(Exchange exchange, Map<String, @Nullable Object> body) {
    Ingress ingress = exchange.ingress();
    Fields fields = Fields.of(body, Body.COUNT);
    FieldGate.check(exchange, fields);
    Fields chat = new MessagesFields(fields).prompt();
    ingress.serving().checkName(chat.string("model"));
    ingress
        .tokenized(ChatRequest.prompt(ingress, chat, ToolFields.read(ingress, chat)), false)
        .onComplete(reply -> writeCount(exchange, reply.ids().length), exchange::fail);
  }

  private static void writeCount(Exchange exchange, int count) {
    JsonWriter out = exchange.ingress().writer().clear();
    out.object().field("input_tokens", count);
    out.name("context_management").object().field("original_input_tokens", count).end();
    exchange.replyJson(out.end());
  }

  private static void write(JsonWriter out, Look look, List<Choice> choices, Usage usage) {
    Choice choice = choices.getFirst();
    AnswerBlocks blocks = AnswerBlocks.of(choice, look.parsing(), CALL_ID_PREFIX);
    out.object();
    head(out, look.shape());
    out.name("content").array();
    for (AnswerBlocks.Block block : blocks.blocks()) {
      block(out, block, block.text.toString(), input(look.json(), block));
    }
    out.end();
    stop(out, choice.end(), blocks.called());
    usage(out, usage.prompt(), usage.completion());
    out.end();
  }

  /** What the whole answer and its first event begin with. */
  static void head(JsonWriter out, AnswerShape shape) {
    out.field("id", shape.id()).field("type", "message").field("role", "assistant");
    out.field("model", shape.model());
  }

  /**
   * @param text of reasoning and text
   * @param input of a call, a JSON object
   */
  static void block(JsonWriter out, AnswerBlocks.Block block, String text, String input) {
    out.object();
    switch (block.kind) {
      case REASONING -> {
        // Nobody has signed it: this server takes reasoning back as it is given.
        out.field("type", "thinking").field("thinking", text).field("signature", "");
      }
      case TEXT -> out.field("type", "text").field("text", text);
      case CALL -> {
        out.field("type", "tool_use").field("id", block.callId).field("name", block.name);
        out.name("input").raw(input.getBytes(StandardCharsets.UTF_8));
      }
    }
    out.end();
  }

  /** A call that broke off has no input that an object could hold. */
  private static String input(JsonBody json, AnswerBlocks.Block block) {
    if (block.kind != AnswerBlocks.Kind.CALL) {
      return "";
    }
    try {
      return JsonSource.of(Fields.map(json.parseAny(block.text.toString()), "input"));
    } catch (RejectedException brokenOff) {
      return "{}";
    }
  }

  /** Why the answer ends; a call that broke off does not count as one. */
  static void stop(JsonWriter out, Delta.End end, boolean called) {
    boolean finished = end.reason() == FinishReason.STOP;
    String reason;
    if (!finished) {
      reason = "max_tokens"; // whatever cut it: no other word says that it is not whole
    } else if (end.stopString() != null) {
      reason = "stop_sequence";
    } else {
      reason = called ? "tool_use" : "end_turn";
    }
    out.field("stop_reason", reason).field("stop_sequence", finished ? end.stopString() : null);
  }

  /** All prompt tokens count as input, found in the cache or not. */
  static void usage(JsonWriter out, int prompt, int completion) {
    out.name("usage").object().field("input_tokens", prompt);
    out.name("cache_creation_input_tokens").nothing().name("cache_read_input_tokens").nothing();
    out.field("output_tokens", completion).end();
  }
}
