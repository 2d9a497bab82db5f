package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.AdapterCard;
import io.verdier.verticles.bus.LoadAdapter;
import io.verdier.verticles.bus.UnloadAdapter;
import io.verdier.verticles.http.ErrorMapper;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Serving;
import io.verdier.verticles.http.api.Body;
import io.vertx.core.buffer.Buffer;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * {@code POST /v1/load_lora_adapter} and {@code /v1/unload_lora_adapter}, which are there where the
 * operator allows it. Answers are vLLM's texts. Stateless.
 *
 * <p>An adapter is loaded when the answer says so: it was fetched, fits the model, and every event
 * loop knows its name. Sequences that have one keep it when its name goes.
 */
final class LoraAdapters {
  private static final int NAME_CHARS_MAX = 256;

  private LoraAdapters() {}

  static void load(Exchange exchange, Map<String, @Nullable Object> body) {
    exchange.ingress().checkReady();
    Fields fields = Fields.of(body, Body.LOAD_ADAPTER);
    FieldGate.check(exchange, fields);
    exchange.ingress().serving().checkName(fields.string("model"));
    String name = fields.string("lora_name");
    String place = fields.string("lora_path");
    boolean isReplacing = fields.bool("load_inplace");
    if (name == null || name.isBlank() || place == null || place.isBlank()) {
      exchange.reply(
          ErrorMapper.userInput(
              "Both 'lora_name' and 'lora_path' must be provided.",
              name == null || name.isBlank() ? "lora_name" : "lora_path"));
      return;
    }
    boolean isName =
        name.length() <= NAME_CHARS_MAX && name.chars().noneMatch(Character::isISOControl);
    if (!isName) {
      exchange.reply(
          ErrorMapper.userInput(
              "lora_name must have 1 to " + NAME_CHARS_MAX + " printable characters.",
              "lora_name"));
      return;
    }
    if (!isReplacing && exchange.ingress().serving().named(name).isPresent()) {
      exchange.reply(
          ErrorMapper.userInput(
              "The lora adapter '"
                  + name
                  + "' has already been loaded. Unload it first, or send \"load_inplace\": true.",
              "lora_name"));
      return;
    }
    String target = exchange.ingress().serving().card().name();
    for (Serving other : exchange.ingress().servings()) {
      if (!other.card().name().equals(target) && other.names().contains(name)) {
        exchange.reply(
            ErrorMapper.userInput(
                "The name '" + name + "' belongs to another model that is served.", "lora_name"));
        return;
      }
    }
    exchange
        .ingress()
        .bus()
        .request(
            exchange.ingress().addresses().adapters(),
            new LoadAdapter(name, place, Optional.empty(), isReplacing),
            AdapterCard.class)
        .onComplete(card -> tell(exchange, name, "added"), exchange::fail);
  }

  static void unload(Exchange exchange, Map<String, @Nullable Object> body) {
    exchange.ingress().checkReady();
    Fields fields = Fields.of(body, Body.UNLOAD_ADAPTER);
    FieldGate.check(exchange, fields);
    String name = fields.string("lora_name");
    if (name == null || name.isBlank()) {
      exchange.reply(ErrorMapper.userInput("'lora_name' must be provided.", "lora_name"));
      return;
    }
    exchange
        .ingress()
        .bus()
        .request(
            exchange.ingress().of(name).addresses().adapters(), // a name is one model's
            new UnloadAdapter(name),
            UnloadAdapter.Reply.class)
        .onComplete(gone -> tell(exchange, name, "removed"), exchange::fail);
  }

  private static void tell(Exchange exchange, String name, String done) {
    exchange.reply(
        200,
        "text/plain; charset=utf-8",
        Buffer.buffer("Success: LoRA adapter '" + name + "' " + done + " successfully."));
  }
}
