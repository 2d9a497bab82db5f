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

/** The Responses API through a whole server: what it answers is what the chat route answers. */
class ResponsesIT {
  /** As text: the order of its keys is part of the prompt. */
  private static final String SCHEMA =
      "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}},\"required\":[\"city\"]";

  private static final JsonNode TOOLS =
      json(
          "[{\"type\":\"function\",\"name\":\"get_weather\","
              + "\"description\":\"Get the weather of a city.\",\"parameters\":"
              + SCHEMA
              + "}}]");
  private static final Map<String, Object> QUESTION =
      Map.of("role", "user", "content", "What is the weather in Paris?");

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    server = InProcessServer.start("--enable-responses-api-store");
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static JsonNode json(String text) {
    return new Client.Answer(200, text).json();
  }

  private static Map<String, Object> body(Map<String, ?> more) {
    Map<String, Object> body = new HashMap<>();
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

  private static JsonNode respond(Map<String, ?> more) {
    return post("/v1/responses", body(more));
  }

  private static String text(JsonNode response) {
    return response.at("/output/0/content/0/text").asText();
  }

  @Test
  void sampled_wholeAndStreamed_areTheChatsTokens() {
    for (int seed = 0; seed < 5; seed++) {
      JsonNode chat =
          post(
              "/v1/chat/completions",
              body(
                  Map.of(
                      "seed",
                      seed,
                      "max_tokens",
                      48,
                      "messages",
                      List.of(Map.of("role", "user", "content", "What is a car?")))));
      Map<String, Object> asked =
          Map.of("seed", seed, "max_output_tokens", 48, "input", "What is a car?");
      JsonNode response = respond(asked);
      assertThat(text(response)).isEqualTo(chat.at("/choices/0/message/content").asText());
      assertThat(response.at("/usage/input_tokens")).isEqualTo(chat.at("/usage/prompt_tokens"));
      assertThat(response.at("/usage/output_tokens"))
          .isEqualTo(chat.at("/usage/completion_tokens"));
      Map<String, Object> streaming = body(asked);
      streaming.put("stream", true);
      StringBuilder streamed = new StringBuilder();
      for (JsonNode event : Client.events(client.post("/v1/responses", streaming))) {
        streamed.append(event.path("delta").asText(""));
      }
      assertThat(streamed.toString()).isEqualTo(text(response));
    }
  }

  @Test
  void logprobs_included_areTheChatsOfTheMessagesTokens() {
    JsonNode chat =
        post(
            "/v1/chat/completions",
            body(
                Map.of(
                    "logprobs",
                    true,
                    "top_logprobs",
                    2,
                    "max_tokens",
                    40,
                    "messages",
                    List.of(Map.of("role", "user", "content", "What is a car? 🚗é")))));
    List<JsonNode> ofChat = new ArrayList<>();
    chat.at("/choices/0/logprobs/content").forEach(ofChat::add);
    if (chat.at("/choices/0/finish_reason").asText().equals("stop")) {
      ofChat.removeLast(); // the end token is none of the message's
    }
    Map<String, Object> asked = new HashMap<>();
    asked.put("max_output_tokens", 40);
    asked.put("input", "What is a car? 🚗é");
    asked.put("include", List.of("message.output_text.logprobs"));
    asked.put("top_logprobs", 2);
    JsonNode response = respond(asked);
    List<JsonNode> whole = new ArrayList<>();
    response.at("/output/0/content/0/logprobs").forEach(whole::add);
    assertThat(whole).isEqualTo(ofChat).hasSizeGreaterThan(10);
    assertThat(response.get("top_logprobs").asInt()).isEqualTo(2);
    for (String stop : List.of("", "qqqqqqqqqq")) { // which holds text back
      Map<String, Object> streaming = body(asked);
      streaming.put("stream", true);
      if (!stop.isEmpty()) {
        streaming.put("stop", stop);
      }
      List<JsonNode> streamed = new ArrayList<>();
      for (JsonNode event : Client.events(client.post("/v1/responses", streaming))) {
        if (event.path("type").asText().equals("response.output_text.delta")) {
          event.get("logprobs").forEach(streamed::add);
        } else if (event.path("type").asText().equals("response.output_text.done")) {
          assertThat(event.get("logprobs")).containsExactlyElementsOf(whole);
        }
      }
      assertThat(streamed).isEqualTo(whole);
    }
    asked.remove("include");
    assertThat(respond(asked).at("/output/0/content/0/logprobs")).isEmpty();
  }

  @Test
  void previousResponse_goneOn_isTheChatOfBoth() {
    JsonNode first = respond(Map.of("input", "What is a car?", "temperature", 0));
    String id = first.get("id").asText();
    assertThat(client.get("/v1/responses/" + id).json()).isEqualTo(first);
    JsonNode second =
        respond(Map.of("input", "And a boat?", "previous_response_id", id, "temperature", 0));
    JsonNode chat =
        post(
            "/v1/chat/completions",
            body(
                Map.of(
                    "temperature",
                    0,
                    "messages",
                    List.of(
                        Map.of("role", "user", "content", "What is a car?"),
                        Map.of("role", "assistant", "content", text(first)),
                        Map.of("role", "user", "content", "And a boat?")))));
    assertThat(text(second)).isEqualTo(chat.at("/choices/0/message/content").asText());
    assertThat(second.get("previous_response_id").asText()).isEqualTo(id);
  }

  @Test
  void tool_calledAndAnswered_isUsed() {
    JsonNode called = respond(Map.of("input", List.of(QUESTION), "tools", TOOLS, "temperature", 0));
    JsonNode call = called.at("/output/0");
    assertThat(call.get("type").asText()).as(called.toString()).isEqualTo("function_call");
    assertThat(call.get("arguments").asText()).isEqualTo("{\"city\": \"Paris\"}");
    Map<String, Object> output =
        Map.of(
            "type",
            "function_call_output",
            "call_id",
            call.get("call_id").asText(),
            "output",
            "{\"temperature\": 21, \"condition\": \"sunny\"}");

    List<Object> input = new ArrayList<>(List.of(QUESTION, call, output));
    JsonNode answer = respond(Map.of("input", input, "tools", TOOLS, "temperature", 0));
    assertThat(text(answer)).contains("Paris", "21");
    JsonNode goneOn =
        respond(
            Map.of(
                "input",
                List.of(output),
                "previous_response_id",
                called.get("id").asText(),
                "tools",
                TOOLS,
                "temperature",
                0));
    assertThat(text(goneOn)).isEqualTo(text(answer));
  }

  @Test
  void format_schema_isHeldTo() throws Exception {
    String shortCity = SCHEMA.replace("\"string\"", "\"string\",\"maxLength\":12");
    Map<String, Object> format =
        Map.of(
            "type",
            "json_schema",
            "name",
            "city",
            "strict",
            true,
            "schema",
            json(shortCity + ",\"additionalProperties\":false}"));
    for (int seed = 0; seed < 5; seed++) {
      JsonNode response =
          respond(Map.of("input", "Name a city.", "seed", seed, "text", Map.of("format", format)));
      assertThat(Client.JSON.readTree(text(response)).get("city").isTextual()).isTrue();
    }
  }
}
