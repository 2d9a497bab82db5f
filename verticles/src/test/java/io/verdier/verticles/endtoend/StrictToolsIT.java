package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.launch.InProcessServer;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Calls that the demo model decides to make have the arguments that a strict tool allows. Its
 * template shows it one tool, whatever requests declare: it calls no others.
 */
class StrictToolsIT {
  private static final String CHATS = "/v1/chat/completions";
  private static final List<String> CITIES = List.of("Rome", "Oslo");

  private static final String TOOL =
      "{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"Get the"
          + " weather of a city.\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\":"
          + " {\"type\": \"string\"}}, \"required\": [\"city\"]}}}";
  private static final String TEMPLATE =
      "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\n"
          + "You may call these tools. To call one, answer only with"
          + " {\"name\": <tool name>, \"parameters\": <arguments as JSON>}.\n\n"
          + TOOL
          + "\n\n<|eot_id|>{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
          + "{{ m.content }}<|eot_id|>{% endfor %}<|start_header_id|>assistant<|end_header_id|>\n\n";

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    server = InProcessServer.start("--chat-template=" + TEMPLATE);
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static Map<String, Object> chat(
      String question, boolean strict, Map<String, ?> city, Map<String, ?> more) {
    Map<String, Object> function =
        Map.of(
            "name",
            "get_weather",
            "description",
            "Get the weather of a city.",
            "strict",
            strict,
            "parameters",
            Map.of(
                "type",
                "object",
                "properties",
                Map.of("city", city),
                "required",
                List.of("city"),
                "additionalProperties",
                false));
    Map<String, Object> body = new HashMap<>();
    body.put("messages", List.of(Map.of("role", "user", "content", question)));
    body.put("tools", List.of(Map.of("type", "function", "function", function)));
    body.put("max_tokens", 60);
    body.put("temperature", 0);
    body.putAll(more);
    return body;
  }

  private static String called(boolean strict) throws Exception {
    Answer answer =
        client.post(
            CHATS, chat("What is the weather in Paris?", strict, Map.of("enum", CITIES), Map.of()));
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    JsonNode choice = answer.json().at("/choices/0");
    assertThat(choice.get("finish_reason").asText()).as(answer.body()).isEqualTo("tool_calls");
    JsonNode function = choice.at("/message/tool_calls/0/function");
    assertThat(function.get("name").asText()).isEqualTo("get_weather");
    return Client.JSON.readTree(function.get("arguments").asText()).get("city").asText();
  }

  @Test
  void calls_ofAStrictTool_haveWhatItsSchemaAllows() throws Exception {
    assertThat(called(false)).isEqualTo("Paris");
    assertThat(called(true)).isIn(CITIES);
  }

  @Test
  void streams_ofAStrictTool_sayTheSame() throws Exception {
    Map<String, Object> body =
        chat("What is the weather in Paris?", true, Map.of("enum", CITIES), Map.of("stream", true));
    StringBuilder arguments = new StringBuilder();
    for (JsonNode event : Client.events(client.post(CHATS, body))) {
      arguments.append(event.at("/choices/0/delta/tool_calls/0/function/arguments").asText(""));
    }
    assertThat(Client.JSON.readTree(arguments.toString()).get("city").asText())
        .isEqualTo(called(true));
  }

  /** Whatever is drawn, it is text or a call that fits. */
  @Test
  void answers_drawnAtRandom_areTextOrFit() throws Exception {
    Map<String, Object> drawn = Map.of("n", 96, "temperature", 1.5, "seed", 3);
    Answer answer =
        client.post(
            CHATS, chat("What is the weather in Paris?", true, Map.of("enum", CITIES), drawn));
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    Set<String> cities = new HashSet<>();
    for (JsonNode choice : answer.json().get("choices")) {
      for (JsonNode call : choice.at("/message/tool_calls")) {
        if (!choice.get("finish_reason").asText().equals("length")) {
          String arguments = call.at("/function/arguments").asText();
          cities.add(Client.JSON.readTree(arguments).get("city").asText());
        }
      }
    }
    assertThat(cities).isNotEmpty().isSubsetOf(CITIES);
  }

  @Test
  void text_besideAStrictTool_isWhatItWouldBe() {
    String free = content(false);
    assertThat(free).isNotBlank();
    assertThat(content(true)).isEqualTo(free);
  }

  private static String content(boolean strict) {
    Answer answer =
        client.post(CHATS, chat("What is a car?", strict, Map.of("type", "string"), Map.of()));
    return answer.json().at("/choices/0/message/content").asText();
  }

  @Test
  void schema_thatCannotBeHeld_isRefused() {
    Map<String, Object> city = Map.of("type", "array", "contains", Map.of("type", "string"));
    Answer answer = client.post(CHATS, chat("Hi", true, city, Map.of()));
    assertThat(answer.status()).as(answer.body()).isEqualTo(400);
    assertThat(answer.json().at("/error/param").asText()).isEqualTo("tools");
    assertThat(answer.json().at("/error/message").asText()).contains("contains");
    assertThat(client.post(CHATS, chat("Hi", false, city, Map.of())).status()).isEqualTo(200);
  }
}
