package io.verdier.verticles.http.routes;

import io.verdier.engine.RejectedException;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Flight;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Route.Action;
import io.verdier.verticles.http.SseStream;
import io.verdier.verticles.http.Usage;
import io.verdier.verticles.http.api.Body;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * {@code POST /generate} and {@code $AIP_PREDICT_ROUTE}, in the four shapes that reach a Model
 * Garden container. Stateless.
 *
 * <pre>
 *   A  {"instances":[{"prompt":…},…],"parameters":{…}}                 predictions: a list of texts
 *   B  {"prompt":…,…}                                                  the same
 *   C  {"@requestFormat":"chatCompletions","messages":[…],…}           a chat completion, or events
 *   D  {"instances":[{"@requestFormat":"chatCompletions",…}]}          predictions: the completion
 * </pre>
 *
 * C also takes the bodies of {@code /v1/completions}, {@code /v1/embeddings} and {@code
 * /v1/responses} by the formats {@code completions}, {@code embeddings} and {@code responses}.
 *
 * <p>All instances of a request run at once. {@code parameters} are defaults under each instance.
 */
final class Predict {
  private static final String FORMAT = "@requestFormat";
  private static final String CHAT = "chatCompletions";

  /**
   * Shape C for the routes that Google's gateway does not know: rawPredict reaches only this one.
   */
  private static final Map<String, Action> OTHERS =
      Map.of(
          "completions",
          Completions::run,
          "embeddings",
          Embeddings::embeddings,
          "responses",
          Responses::run);

  private Predict() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    Fields fields = Fields.of(body, Body.PREDICTIONS);
    Action other = OTHERS.get(Objects.requireNonNullElse(fields.string(FORMAT), CHAT));
    if (fields.has("instances")) {
      instances(exchange, fields);
    } else if (other != null) {
      other.run(exchange, without(FORMAT, fields).map());
    } else if (isChat(fields)) {
      ChatCompletions.launch(exchange, chat(exchange, fields));
    } else if (fields.has("prompt")) {
      texts(exchange, List.of(fields));
    } else {
      throw RejectedException.invalid(
          "instances",
          "The body must have instances, or a prompt, or messages with \"@requestFormat\":"
              + " \"chatCompletions\".");
    }
  }

  private static boolean isChat(Fields fields) {
    String format = fields.string(FORMAT);
    if (format != null && !format.equals(CHAT)) {
      throw fields.unsupported(
          FORMAT,
          "the formats known are \"chatCompletions\" and, outside of instances, \"completions\","
              + " \"embeddings\" and \"responses\".");
    }
    return format != null || (fields.has("messages") && !fields.has("prompt"));
  }

  private static void instances(Exchange exchange, Fields fields) {
    FieldGate.check(exchange, fields);
    int max = exchange.ingress().limits().promptsMax();
    List<?> given = fields.list("instances");
    if (given == null || given.isEmpty() || given.size() > max) {
      throw fields.wrong("instances", "a list of 1 to " + max + " instances");
    }
    Fields parameters = fields.object("parameters");
    if (parameters != null) {
      Repeats.checkShared(exchange.ingress(), "parameters", parameters.map(), given.size());
    }
    List<Fields> instances = new ArrayList<>(given.size());
    int chats = 0;
    for (int i = 0; i < given.size(); i++) {
      Fields instance = withDefaults(fields.element("instances", i, given.get(i)), parameters);
      instances.add(instance);
      chats += isChat(instance) ? 1 : 0;
    }
    if (chats == 0) {
      texts(exchange, instances);
    } else if (chats == instances.size()) {
      chats(exchange, instances);
    } else {
      throw RejectedException.invalid(
          "instances", "The instances mix prompts and chats; send them in separate requests.");
    }
  }

  private static Fields withDefaults(Fields instance, @Nullable Fields parameters) {
    if (parameters == null) {
      return instance;
    }
    Map<String, @Nullable Object> merged = new LinkedHashMap<>(parameters.map());
    merged.putAll(instance.map());
    return instance.with(merged);
  }

  private static ChatRequest chat(Exchange exchange, Fields fields) {
    Fields chat = without(FORMAT, fields).as(Body.CHAT);
    FieldGate.check(exchange, chat);
    return ChatRequest.read(exchange, chat);
  }

  private static Fields without(String name, Fields fields) {
    Map<String, @Nullable Object> left = new LinkedHashMap<>(fields.map());
    left.remove(name);
    return fields.with(left);
  }

  private static void texts(Exchange exchange, List<Fields> instances) {
    Ingress ingress = exchange.ingress();
    List<TextInstance> texts = new ArrayList<>(instances.size());
    for (Fields given : instances) {
      Fields instance = without(FORMAT, given).as(Body.PREDICT);
      FieldGate.check(exchange, instance);
      ingress.serving().checkName(instance.string("model"));
      texts.add(TextInstance.read(ingress, instance));
    }
    List<Generation> generations = texts.stream().map(TextInstance::generation).toList();
    List<TextInstance.Look> byChoice = TextInstance.byChoice(texts);
    long repeated = byChoice.stream().mapToLong(look -> look.promptText().length()).sum();
    Repeats.checkEchoes(ingress, "raw_response", repeated);
    if (texts.stream().anyMatch(TextInstance::streamed)) {
      if (!texts.stream().allMatch(TextInstance::streamed)) {
        throw RejectedException.invalid("stream", "Either all instances are streamed or none.");
      }
      int interval = exchange.ingress().config().http().answers().streamInterval();
      SseStream stream = new SseStream(exchange, new TextFormat(byChoice));
      Flight.launch(exchange, generations, PacedAnswer.of(stream, interval, byChoice.size()));
    } else {
      WholeAnswer.Layout layout =
          (out, choices, usage) -> TextInstance.Look.write(out, byChoice, choices);
      Flight.launch(exchange, generations, new WholeAnswer(exchange, byChoice.size(), layout));
    }
  }

  private static void chats(Exchange exchange, List<Fields> instances) {
    List<ChatRequest> requests = new ArrayList<>(instances.size());
    for (Fields instance : instances) {
      requests.add(chat(exchange, instance));
    }
    if (requests.getFirst().shape().streamed() && requests.size() == 1) {
      ChatCompletions.launch(exchange, requests.getFirst());
      return;
    }
    if (requests.stream().anyMatch(request -> request.shape().streamed())) {
      throw RejectedException.invalid("stream", "Only a single chat instance can be streamed.");
    }
    long repeated = requests.stream().mapToLong(ChatRequest::repeatedChars).sum();
    Repeats.checkEchoes(exchange.ingress(), "echo", repeated);
    List<Generation> generations = requests.stream().map(ChatRequest::generation).toList();
    int choices = generations.stream().mapToInt(Generation::choices).sum();
    List<ChatCompletions.Look> looks =
        requests.stream().map(request -> ChatCompletions.look(request, null)).toList();
    WholeAnswer.Layout layout = (out, done, usage) -> writeChats(out, looks, done, usage);
    Flight.launch(exchange, generations, new WholeAnswer(exchange, choices, layout));
  }

  /** One completion is the value of {@code predictions} itself; several are a list. */
  private static void writeChats(
      JsonWriter out, List<ChatCompletions.Look> looks, List<Choice> choices, Usage usage) {
    out.object().name("predictions");
    if (looks.size() == 1) {
      ChatCompletions.write(out, looks.getFirst(), choices, usage);
    } else {
      out.array();
      int from = 0;
      for (ChatCompletions.Look look : looks) {
        int to = from + look.choices();
        List<Choice> own = choices.subList(from, to);
        ChatCompletions.write(out, look, own, Choice.usage(own));
        from = to;
      }
      out.end();
    }
    out.end();
  }
}
