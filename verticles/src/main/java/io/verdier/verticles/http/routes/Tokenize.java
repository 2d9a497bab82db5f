package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.TokenizeQuery;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.api.Body;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code POST /tokenize}, for a text or a conversation. Stateless. */
final class Tokenize {
  private Tokenize() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    Ingress ingress = exchange.ingress();
    Fields fields = Fields.of(body, Body.TOKENIZE);
    FieldGate.check(exchange, fields);
    ingress.serving().checkName(fields.string("model"));
    boolean strings = fields.bool("return_token_strs");
    ingress
        .tokenized(prompt(ingress, fields), strings)
        .onComplete(reply -> write(exchange, reply, strings), exchange::fail);
  }

  private static Prompt prompt(Ingress ingress, Fields fields) {
    if (fields.has("messages")) {
      return ChatRequest.prompt(ingress, fields, ToolFields.read(ingress, fields));
    }
    String text = fields.string("prompt");
    if (text == null) {
      throw fields.wrong("prompt", "a text, unless there are messages");
    }
    return new Prompt.Text(text, PromptFields.textBeginsSpecially(fields));
  }

  private static void write(Exchange exchange, TokenizeQuery.Reply reply, boolean strings) {
    JsonWriter out = exchange.ingress().writer().clear();
    out.object().field("count", reply.ids().length);
    out.field("max_model_len", exchange.ingress().serving().card().maxModelLen());
    out.name("tokens").values(reply.ids()).name("token_strs");
    if (strings) {
      out.array();
      for (String token : reply.tokenStrings()) {
        out.value(token);
      }
      out.end();
    } else {
      out.nothing();
    }
    out.end();
    exchange.replyJson(out);
  }
}
