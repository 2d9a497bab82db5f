package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The Messages API through a whole server: what it answers is what the chat route answers. */
class MessagesIT {
  /** As text: the order of its keys is part of the prompt. */
  private static final JsonNode TOOLS =
      new Client.Answer(
              200,
              "[{\"name\":\"get_weather\",\"description\":\"Get the weather of a city.\","
                  + "\"input_schema\":{\"type\":\"object\",\"properties\":{\"city\":"
                  + "{\"type\":\"string\"}},\"required\":[\"city\"]}}]")
          .json();

  private static final Map<String, Object> QUESTION =
      Map.of("role", "user", "content", "What is the weather in Paris?");

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    server = InProcessServer.start();
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static Map<String, Object> body(Map<String, ?> more) {
    Map<String, Object> body = new HashMap<>();
    body.put("messages", List.of(Map.of("role", "user", "content", "What is a car?")));
    body.put("max_tokens", 48);
    body.put("temperature", 1.3);
    body.put("seed", 11);
    body.putAll(more);
    return body;
  }

  private static JsonNode post(String path, Map<String, ?> body) {
    Client.Answer answer = client.post(path, body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json();
  }

  @Test
  void sampled_wholeAndStreamed_areTheChatsTokens() {
    for (int seed = 0; seed < 5; seed++) {
      JsonNode chat = post("/v1/chat/completions", body(Map.of("seed", seed)));
      JsonNode message = post("/v1/messages", body(Map.of("seed", seed)));
      String text = message.at("/content/0/text").asText();
      assertThat(text).isEqualTo(chat.at("/choices/0/message/content").asText());
      assertThat(message.at("/usage/input_tokens")).isEqualTo(chat.at("/usage/prompt_tokens"));
      assertThat(message.at("/usage/output_tokens")).isEqualTo(chat.at("/usage/completion_tokens"));
      StringBuilder streamed = new StringBuilder();
      for (JsonNode event :
          Client.events(client.post("/v1/messages", body(Map.of("seed", seed, "stream", true))))) {
        streamed.append(event.at("/delta/text").asText(""));
      }
      assertThat(streamed.toString()).isEqualTo(text);
    }
  }

  @Test
  void countTokens_isWhatTheAnswerReports() {
    Map<String, Object> asked = body(Map.of("tools", TOOLS, "system", "Be brief."));
    JsonNode count = post("/v1/messages/count_tokens", asked);
    assertThat(count.get("input_tokens"))
        .isEqualTo(post("/v1/messages", asked).at("/usage/input_tokens"));
  }

  @Test
  void tool_calledAndAnswered_isUsed() {
    Map<String, Object> ask =
        body(Map.of("tools", TOOLS, "temperature", 0, "messages", List.of(QUESTION)));
    JsonNode call = post("/v1/messages", ask);
    assertThat(call.get("stop_reason").asText()).as(call.toString()).isEqualTo("tool_use");
    JsonNode use = call.at("/content/0");
    assertThat(use.get("name").asText()).isEqualTo("get_weather");
    assertThat(use.at("/input/city").asText()).isEqualTo("Paris");

    List<Object> told = new ArrayList<>();
    told.add(QUESTION);
    told.add(Map.of("role", "assistant", "content", call.get("content")));
    told.add(
        Map.of(
            "role",
            "user",
            "content",
            List.of(
                Map.of(
                    "type",
                    "tool_result",
                    "tool_use_id",
                    use.get("id").asText(),
                    "content",
                    "{\"temperature\": 21, \"condition\": \"sunny\"}"))));
    ask.put("messages", told);
    JsonNode answer = post("/v1/messages", ask);
    assertThat(answer.get("stop_reason").asText()).isEqualTo("end_turn");
    assertThat(answer.at("/content/0/text").asText()).contains("Paris", "21");
  }

  @Test
  void toolChoice_any_alwaysCalls() {
    JsonNode answer =
        post("/v1/messages", body(Map.of("tools", TOOLS, "tool_choice", Map.of("type", "any"))));
    assertThat(answer.at("/content/0/type").asText()).isEqualTo("tool_use");
  }

  @Test
  void stopSequence_cutsBeforeItAndIsNamed() {
    JsonNode answer =
        post("/v1/messages", body(Map.of("temperature", 0, "stop_sequences", List.of("human"))));
    assertThat(answer.get("stop_reason").asText()).isEqualTo("stop_sequence");
    assertThat(answer.get("stop_sequence").asText()).isEqualTo("human");
    assertThat(answer.at("/content/0/text").asText()).endsWith("road-connected ");
  }
}
