package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.endtoend.FieldTrials.Trial;
import io.verdier.verticles.http.api.ApiField;
import io.verdier.verticles.http.api.ApiRoute;
import io.verdier.verticles.http.api.ApiTable;
import io.verdier.verticles.http.api.ApiType;
import io.verdier.verticles.http.api.Body;
import io.verdier.verticles.http.api.Status;
import io.verdier.verticles.launch.InProcessServer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Every row of the table of fields against a whole server: what the row takes is answered, what it
 * does not take is refused with name and value, and nothing is a fault.
 */
class FieldMatrixIT {
  /** All but those whose routes need flags or keys of their own, which another test has. */
  private static final List<Body> BODIES =
      Arrays.stream(Body.values()).filter(body -> !OperatorMatrixIT.BODIES.contains(body)).toList();

  private static final Set<Body> GENERATING = EnumSet.of(Body.CHAT, Body.TEXT, Body.PREDICT);
  private static final Set<Body> POOLED =
      EnumSet.of(Body.EMBED, Body.POOLING, Body.SCORE, Body.RERANK);

  /** Whose errors have no place for the field's name but their text. */
  private static final Set<Body> ANTHROPIC = EnumSet.of(Body.MESSAGES, Body.COUNT);

  /** Where a field that is missing may be replaced by one of another name. */
  private static final Set<Body> ASKING_FOR_ANOTHER = EnumSet.of(Body.TOKENIZE, Body.SCORE);

  private static final String MESSAGES = "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]";

  /** What makes a good body. */
  private static final Map<Body, String> BASES =
      new EnumMap<>(
          Map.ofEntries(
              Map.entry(Body.CHAT, "{" + MESSAGES + "}"),
              Map.entry(Body.TEXT, "{\"prompt\":\"Hi\"}"),
              Map.entry(Body.PREDICTIONS, "{\"instances\":[{\"prompt\":\"Hi\"}]}"),
              Map.entry(Body.PREDICT, "{\"prompt\":\"Hi\"}"),
              Map.entry(Body.TOKENIZE, "{" + MESSAGES + "}"),
              Map.entry(Body.DETOKENIZE, "{\"tokens\":[5]}"),
              Map.entry(Body.CLASSIFY, "{\"input\":\"Hi\"}"),
              Map.entry(Body.EMBED, "{\"input\":\"Hi\"}"),
              Map.entry(Body.POOLING, "{\"input\":\"Hi\"}"),
              Map.entry(Body.SCORE, "{\"text_1\":\"Hi\",\"text_2\":\"Ho\"}"),
              Map.entry(Body.RERANK, "{\"query\":\"Hi\",\"documents\":[\"Ho\"]}"),
              Map.entry(Body.MESSAGES, "{\"max_tokens\":2," + MESSAGES + "}"),
              Map.entry(Body.COUNT, "{" + MESSAGES + "}"),
              Map.entry(Body.RESPONSES, "{\"input\":\"Hi\"}")));

  private static InProcessServer server;
  private static InProcessServer embedder;
  private static InProcessServer classifier;
  private static Client client;
  private static Client embedderClient;
  private static Client classifierClient;

  /** Objects whose numbers are fields too, with a value that is good for each of the others. */
  private static final Map<String, String> OBJECTS =
      Map.of(
          "repetition_detection",
          "{\"max_pattern_size\":5,\"min_count\":9}",
          "thinking",
          "{\"type\":\"enabled\"}");

  @TempDir static Path directory;

  @BeforeAll
  static void start() {
    // Priorities other than 0 are refused elsewhere; the limits are small so that nothing is slow.
    server =
        InProcessServer.start(
            "--backend=null",
            "--scheduling-policy=priority",
            "--max-model-len=64",
            "--max-logprobs=-1",
            "--reasoning-parser=qwen3",
            "--admin-api-key=key");
    client = new Client(server.baseUrl());
    embedder =
        InProcessServer.start(
            "--runner=pooling", "--scheduling-policy=priority", "--max-model-len=64");
    embedderClient = new Client(embedder.baseUrl());
    DemoVariant.in(directory, Map.of("\"LlamaForCausalLM\"", "\"LlamaForSequenceClassification\""));
    DemoVariant.addHead(directory, new float[2 * 256], 2);
    classifier =
        InProcessServer.start(
            "--model=" + directory, "--scheduling-policy=priority", "--max-model-len=64");
    classifierClient = new Client(classifier.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.awaitIdle();
    server.close();
    embedder.awaitIdle();
    embedder.close();
    classifier.awaitIdle();
    classifier.close();
  }

  @Test
  void numbers_onAndBeyondTheirBounds_takenOrRefusedByName() {
    List<String> faults = new ArrayList<>();
    int trials = 0;
    for (ApiField field : ApiTable.fields()) {
      ApiType.Shape shape = field.type().shapes().getFirst();
      boolean integer = shape.kind() == ApiType.Kind.INT;
      if (integer || shape.kind() == ApiType.Kind.NUMBER) {
        for (Body body : BODIES) {
          for (Trial trial :
              field.bodies().contains(body) ? FieldTrials.of(field, shape) : noTrials()) {
            fault(field, body, trial).ifPresent(faults::add);
            trials++;
          }
          if (field.bodies().contains(body)) {
            fault(field, body, new Trial("null", !isNeeded(field, body))).ifPresent(faults::add);
            for (String value : List.of("NaN", "-Infinity")) {
              assertThat(send(body, field.name(), value).status()).as(field.name()).isEqualTo(400);
            }
          }
        }
      }
    }
    assertThat(faults).isEmpty();
    assertThat(trials).isGreaterThan(500);
  }

  private static List<Trial> noTrials() {
    return List.of();
  }

  @Test
  void numbers_thatJsonCannotSay_refused() {
    for (String value : List.of("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "0x1", "01")) {
      for (Body body : GENERATING) {
        assertThat(send(body, "temperature", value).status()).as(value).isEqualTo(400);
      }
    }
  }

  @Test
  void values_ofOtherTypes_refusedByName() {
    List<String> faults = new ArrayList<>();
    for (ApiField field : ApiTable.fields()) {
      for (Body body : BODIES) {
        if (field.isTopLevel() && field.bodies().contains(body)) {
          FieldTrials.VALUES.forEach(json -> typed(field, body, json).ifPresent(faults::add));
          boolean needed = isNeeded(field, body);
          if (!needed || !ASKING_FOR_ANOTHER.contains(body)) {
            fault(field, body, new Trial("null", !needed)).ifPresent(faults::add);
          }
        }
      }
    }
    assertThat(faults).isEmpty();
  }

  /** What has another type is refused by name, wherever it stands; nothing else is a fault. */
  @Test
  void values_ofOtherTypesInObjects_refusedByName() {
    List<String> faults = new ArrayList<>();
    for (ApiField field : ApiTable.fields()) {
      for (Body body : BODIES) {
        if (!field.isTopLevel() && field.bodies().contains(body)) {
          for (String json : FieldTrials.VALUES) {
            String name = field.name().substring(0, field.name().indexOf('.'));
            Answer answer = send(body, name, within(body, field.name(), json));
            boolean typed = field.type().isOfKind(FieldTrials.decoded(json));
            String last = field.name().substring(field.name().lastIndexOf('.') + 1);
            String message = answer.json().at("/error/message").asText();
            boolean right =
                typed
                    ? Set.of(200, 400, 404).contains(answer.status())
                    : answer.status() == 400 && message.contains(last);
            if (!right) {
              faults.add(shown(field, body, json, answer));
            }
          }
        }
      }
    }
    assertThat(faults).isEmpty();
  }

  /** The value of the outermost object, of which only the field is there. */
  private static String within(Body body, String name, String json) {
    int dot = name.lastIndexOf('.');
    if (dot < 0) {
      return json;
    }
    String object = "{\"" + name.substring(dot + 1) + "\":" + json + "}";
    String around = name.substring(0, dot);
    boolean isList = ApiTable.of(body).get(around).type().fits(List.of());
    return within(body, around, isList ? "[" + object + "]" : object);
  }

  /** What has a type of the field may still be refused for what it says, but is no fault. */
  private static Optional<String> typed(ApiField field, Body body, String json) {
    if (!field.type().fits(FieldTrials.decoded(json))) {
      return fault(field, body, new Trial(json, false));
    }
    Answer answer = send(body, field.name(), json);
    return Set.of(200, 400, 404).contains(answer.status())
        ? Optional.empty()
        : Optional.of(shown(field, body, json, answer));
  }

  private static boolean isNeeded(ApiField field, Body body) {
    return field.name().equals("repetition_detection.min_count")
        || BASES.getOrDefault(body, "{}").contains('"' + field.name() + "\":");
  }

  /** What is wrong with the answer; empty: nothing. */
  private static Optional<String> fault(ApiField field, Body body, Trial trial) {
    Answer answer = send(body, field.name(), trial.json());
    boolean refused = field.status().kind() == Status.Kind.REFUSED && !trial.json().equals("null");
    boolean taken = refused ? field.status().harmless().contains(trial.json()) : trial.fits();
    String message = answer.json().at("/error/message").asText();
    // What no value could make right is told without one.
    boolean tells =
        refused
            || trial.json().equals("null")
            || message.contains("may be shortened")
            || FieldTrials.tells(message, trial.json());
    ApiType.Shape shape = field.type().shapes().getFirst();
    boolean numeric = shape.kind() == ApiType.Kind.INT || shape.kind() == ApiType.Kind.NUMBER;
    boolean tellsRange =
        refused
            || !numeric
            || trial.json().equals("null")
            || FieldTrials.tellsRange(message, shape);
    boolean right =
        taken
            ? answer.status() == 200
            : answer.status() == 400
                && tells
                && tellsRange
                && message.contains(field.name())
                && (ANTHROPIC.contains(body)
                    || answer.json().at("/error/param").asText().contains(field.name()));
    return right ? Optional.empty() : Optional.of(shown(field, body, trial.json(), answer));
  }

  private static String shown(ApiField field, Body body, String json, Answer answer) {
    return "%s of %s is %s: %s".formatted(field.name(), body, json, answer.body());
  }

  /** One field in an otherwise good body. */
  private static Answer send(Body body, String name, String json) {
    Map<String, String> fields = new LinkedHashMap<>();
    JsonNode base = new Answer(200, BASES.getOrDefault(body, "{}")).json();
    base.properties().forEach(field -> fields.put(field.getKey(), field.getValue().toString()));
    if (GENERATING.contains(body)) {
      fields.put("max_tokens", "2");
      fields.put("temperature", "1");
    }
    int dot = name.indexOf('.');
    if (dot < 0) {
      fields.put(name, json);
    } else {
      fields.put(
          name.substring(0, dot), nested(name.substring(0, dot), name.substring(dot + 1), json));
    }
    List<String> pairs = new ArrayList<>();
    fields.forEach((key, value) -> pairs.add('"' + key + "\":" + value));
    String object = "{" + String.join(",", pairs) + "}";
    return client(body)
        .post(body.path(), body == Body.PREDICT ? "{\"instances\":[" + object + "]}" : object);
  }

  private static Client client(Body body) {
    return body == Body.CLASSIFY
        ? classifierClient
        : POOLED.contains(body) ? embedderClient : client;
  }

  private static String nested(String object, String name, String json) {
    String others = OBJECTS.getOrDefault(object, "{}");
    String without = others.replaceAll("\"" + name + "\":[^,}]*,?", "").replace(",}", "}");
    String comma = without.equals("{}") ? "" : ",";
    return without.substring(0, without.length() - 1) + comma + "\"" + name + "\":" + json + "}";
  }

  @Test
  void fieldsWithoutEffect_sent_namedAndCounted() {
    Answer answer = send(Body.CHAT, "temprature", "1");
    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.header("X-Verdier-Ignored-Fields")).hasValue("temprature");
    assertThat(send(Body.TEXT, "user", "\"me\"").header("x-verdier-ignored-fields"))
        .hasValue("user");
    assertThat(send(Body.TEXT, "a\\r\\nb", "1").header("x-verdier-ignored-fields")).isEmpty();
    assertThat(send(Body.TEXT, "n", "1").header("x-verdier-ignored-fields")).isEmpty();
    assertThat(server.server().metricsText())
        .contains("verdier:request_fields_ignored_total{", "field=\"other\"", "field=\"user\"")
        .doesNotContain("temprature");
  }

  @Test
  void routes_ofTheTable_thereOrNot() {
    for (ApiRoute route : ApiTable.routes()) {
      String path = route.path().replace("*", "nothing").replace("{id}", "resp_1");
      boolean get = route.method().equals("GET");
      Answer answer = get ? client.get(path) : client.post(path, "{}");
      if (route.path().endsWith("_lora_adapter")) {
        assertThat(answer.status()).as("without --enable-lora").isEqualTo(404);
      } else if (route.path().startsWith("/cluster")) {
        assertThat(answer.status()).as("without --cluster").isEqualTo(404);
      } else if (route.exists() && !route.path().endsWith("*")) {
        assertThat(answer.status()).as(route.toString()).isIn(200, 307, 400, 401, 403);
      } else {
        assertThat(answer.status()).as(route.toString()).isEqualTo(404);
      }
    }
  }
}
