package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Flight;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.api.Body;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * {@code POST /v1/chat/completions/batch}: several conversations, one answer, with one choice for
 * each. Stateless.
 */
final class BatchChats {
  private BatchChats() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    Fields fields = Fields.of(body, Body.CHAT);
    FieldGate.check(exchange, fields);
    refuse(fields);
    int max = exchange.ingress().limits().promptsMax();
    List<?> conversations = fields.list("messages");
    if (conversations == null || conversations.isEmpty() || conversations.size() > max) {
      throw fields.wrong("messages", "a list of 1 to " + max + " conversations");
    }
    Map<String, @Nullable Object> shared = new LinkedHashMap<>(body);
    shared.remove("messages");
    Repeats.checkShared(exchange.ingress(), "body", shared, conversations.size());
    List<ChatRequest> requests = new ArrayList<>(conversations.size());
    for (Object conversation : conversations) {
      Map<String, @Nullable Object> one = new LinkedHashMap<>(body);
      one.put("messages", conversation);
      requests.add(ChatRequest.read(exchange, fields.with(one)));
    }
    List<Generation> generations = requests.stream().map(ChatRequest::generation).toList();
    ChatCompletions.Look look = ChatCompletions.look(requests.getFirst(), null);
    WholeAnswer.Layout layout =
        (out, choices, usage) -> ChatCompletions.write(out, look, choices, usage);
    Flight.launch(exchange, generations, new WholeAnswer(exchange, generations.size(), layout));
  }

  /** What one answer to several conversations has no place for; the same as in vLLM. */
  private static void refuse(Fields fields) {
    if (fields.bool("stream")) {
      throw fields.unsupported("stream", "batches are not streamed; leave stream out.");
    }
    if (fields.integer("n") > 1) {
      throw fields.unsupported("n", "each conversation of a batch has one answer; leave n out.");
    }
    for (String name : List.of("tools", "echo", "return_prompt_text", "prompt_logprobs")) {
      if (fields.has(name) && !Boolean.FALSE.equals(fields.value(name))) {
        throw fields.unsupported(name, "batches do not have it; send the conversation by itself.");
      }
    }
    if (fields.bool("use_beam_search")) {
      throw fields.unsupported("use_beam_search", "batches are not searched for.");
    }
  }
}
