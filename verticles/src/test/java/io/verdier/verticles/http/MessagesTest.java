package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Demand;
import io.verdier.verticles.bus.Submit;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.assertj.core.api.AbstractStringAssert;
import org.junit.jupiter.api.Test;

/** The Messages API: a chat request in other words, and its answer in others too. */
class MessagesTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String SCHEMA =
      "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}";
  private static final String TOOLS =
      ",\"tools\":[{\"name\":\"get_weather\",\"description\":\"d\",\"input_schema\":"
          + SCHEMA
          + "}]";
  private static final String CHAT_TOOLS =
      ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\","
          + "\"description\":\"d\",\"parameters\":"
          + SCHEMA
          + "}}]";
  private static final String PARIS =
      "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}";
  private static final String HI = "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]";

  private static HttpFixture start() throws Exception {
    return HttpFixture.start(
        options ->
            options.parsing =
                new Parsing(true, Optional.of("llama3_json"), Optional.of("qwen3"), "", false));
  }

  private static HttpResponse<String> post(HttpFixture server, String more) throws Exception {
    server.engine.submitted.clear();
    return server.post("/v1/messages", "{\"max_tokens\":9," + more + "}");
  }

  private static JsonNode whole(HttpFixture server, String more) throws Exception {
    HttpResponse<String> response = post(server, more);
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    return JSON.readTree(response.body());
  }

  private static List<JsonNode> events(HttpFixture server, String more) throws Exception {
    List<JsonNode> events = new ArrayList<>();
    for (String event : post(server, more + ",\"stream\":true").body().split("\n\n")) {
      String[] lines = event.split("\n");
      JsonNode data = JSON.readTree(lines[1].substring("data: ".length()));
      assertThat(lines[0]).isEqualTo("event: " + data.get("type").asText());
      events.add(data);
    }
    return events;
  }

  private static List<String> types(List<JsonNode> events) {
    return events.stream().map(event -> event.get("type").asText()).toList();
  }

  /** Kind and text of each block of an answer. */
  private static String summed(JsonNode content) {
    List<String> blocks = new ArrayList<>();
    for (JsonNode block : content) {
      blocks.add(
          switch (block.get("type").asText()) {
            case "thinking" -> "thinking:" + block.get("thinking").asText();
            case "text" -> "text:" + block.get("text").asText();
            default -> block.get("name").asText() + ":" + block.get("input");
          });
    }
    return blocks.toString();
  }

  /** The same of a stream, put together as clients do. */
  private static String summed(List<JsonNode> events) throws Exception {
    List<String> blocks = new ArrayList<>();
    StringBuilder text = new StringBuilder();
    String head = "";
    for (JsonNode event : events) {
      switch (event.get("type").asText()) {
        case "content_block_start" -> {
          assertThat(event.get("index").asInt()).isEqualTo(blocks.size());
          JsonNode block = event.get("content_block");
          head = block.path("name").asText(block.get("type").asText()) + ":";
          text.setLength(0);
        }
        case "content_block_delta" -> {
          JsonNode delta = event.get("delta");
          text.append(delta.path("thinking").asText(delta.path("text").asText("")));
          text.append(delta.path("partial_json").asText(""));
        }
        case "content_block_stop" -> {
          boolean call = !head.equals("text:") && !head.equals("thinking:");
          blocks.add(head + (call ? JSON.readTree(text.toString()) : text));
        }
        default -> {}
      }
    }
    return blocks.toString();
  }

  private static void say(HttpFixture server, String... pieces) {
    server.engine.behave(submit -> server.engine.say(submit, pieces));
  }

  private static void endWith(HttpFixture server, Delta.End end) {
    server.engine.behave(
        submit -> server.engine.send(FakeEngine.delta(submit, submit.keys()[0], 0, "Hello", end)));
  }

  @Test
  void whole_text_isAMessage() throws Exception {
    try (HttpFixture server = start()) {
      say(server, "Hello", " world");
      JsonNode message = whole(server, HI);
      assertThat(message.get("id").asText()).startsWith("msg_");
      assertThat(message.get("type").asText()).isEqualTo("message");
      assertThat(message.get("role").asText()).isEqualTo("assistant");
      assertThat(message.get("model").asText()).isEqualTo("demo");
      assertThat(message.get("content").toString())
          .isEqualTo("[{\"type\":\"text\",\"text\":\"Hello world\"}]");
      assertThat(message.get("stop_reason").asText()).isEqualTo("end_turn");
      assertThat(message.get("stop_sequence").isNull()).isTrue();
      assertThat(message.at("/usage/input_tokens").asInt()).isEqualTo(3);
      assertThat(message.at("/usage/output_tokens").asInt()).isEqualTo(2);
    }
  }

  @Test
  void stream_text_eventsInTheirOrder() throws Exception {
    try (HttpFixture server = start()) {
      say(server, "Hello", " world");
      List<JsonNode> events = events(server, HI);
      assertThat(types(events))
          .containsExactly(
              "message_start",
              "ping",
              "content_block_start",
              "content_block_delta",
              "content_block_delta",
              "content_block_stop",
              "message_delta",
              "message_stop");
      assertThat(events.getFirst().at("/message/usage/input_tokens").asInt()).isEqualTo(3);
      assertThat(events.getFirst().at("/message/content").size()).isZero();
      assertThat(events.get(6).at("/delta/stop_reason").asText()).isEqualTo("end_turn");
      assertThat(events.get(6).at("/usage/output_tokens").asInt()).isEqualTo(2);
    }
  }

  @Test
  void anySplit_streamAndWhole_addUpToTheSame() throws Exception {
    try (HttpFixture server = start()) {
      String rome = PARIS.replace("Paris", "Rome 🐦");
      String text = "<think>\nHm.</think>\n\nI look.\n" + PARIS + "; " + rome;
      for (int size : new int[] {1, 2, 3, 7, 20, text.length()}) {
        String[] pieces = text.split("(?<=\\G.{" + size + "})", -1);
        if (size == 1) {
          pieces = text.codePoints().mapToObj(Character::toString).toArray(String[]::new);
        }
        say(server, pieces);
        JsonNode message = whole(server, HI + TOOLS);
        List<JsonNode> events = events(server, HI + TOOLS);
        assertThat(summed(message.get("content")))
            .startsWith("[thinking:\nHm., text:")
            .contains("I look.")
            .contains("get_weather:{\"city\":\"Paris\"}")
            .endsWith("get_weather:{\"city\":\"Rome 🐦\"}]");
        assertThat(summed(events))
            .as(Arrays.toString(pieces))
            .isEqualTo(summed(message.get("content")));
        assertThat(message.get("stop_reason").asText()).isEqualTo("tool_use");
        assertThat(events.get(events.size() - 2).at("/delta/stop_reason").asText())
            .isEqualTo("tool_use");
        assertThat(message.at("/content/2/id").asText()).matches("toolu_[0-9a-f]{32}");
      }
    }
  }

  @Test
  void stopReason_ofEachEnd() throws Exception {
    try (HttpFixture server = start()) {
      endWith(server, new Delta.End(FinishReason.LENGTH, null, -1, 0, 9, null));
      assertThat(whole(server, HI).get("stop_reason").asText()).isEqualTo("max_tokens");
      endWith(server, new Delta.End(FinishReason.STOP, "###", -1, 0, 9, null));
      JsonNode stopped = whole(server, HI + ",\"stop_sequences\":[\"###\"]");
      assertThat(server.engine.awaitSubmit().text().stopStrings()).containsExactly("###");
      assertThat(stopped.get("stop_reason").asText()).isEqualTo("stop_sequence");
      assertThat(stopped.get("stop_sequence").asText()).isEqualTo("###");
    }
  }

  @Test
  void call_brokenOff_isNotMalformed() throws Exception {
    try (HttpFixture server = start()) {
      String half = PARIS.substring(0, PARIS.length() - 6);
      server.engine.behave(
          submit ->
              server.engine.send(
                  FakeEngine.delta(
                      submit,
                      submit.keys()[0],
                      0,
                      half,
                      new Delta.End(FinishReason.LENGTH, null, -1, 0, 9, null))));
      JsonNode message = whole(server, HI + TOOLS);
      assertThat(message.at("/content/0/input").toString()).isEqualTo("{}");
      assertThat(message.get("stop_reason").asText()).isEqualTo("max_tokens");
    }
  }

  /** What reaches the engine is what the chat route would have sent. */
  @Test
  void conversation_ofAllBlocks_isTheEqualChatRequest() throws Exception {
    try (HttpFixture server = start()) {
      String messages =
          ",\"seed\":5,\"temperature\":0.5,\"top_p\":0.9,\"top_k\":7,\"max_tokens\":9}";
      server.post(
          "/v1/messages",
          """
          {"system":[{"type":"text","text":"Be"},{"type":"text","text":"kind."}],
           "metadata":{"user_id":"u"},"stop_sequences":["x"],"thinking":{"type":"disabled"},
           "tool_choice":{"type":"auto"},"messages":[
           {"role":"user","content":[{"type":"text","text":"Weather?",
             "cache_control":{"type":"ephemeral"}}]},
           {"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":""},
             {"type":"text","text":"I look."},
             {"type":"tool_use","id":"t1","name":"get_weather","input":{"city":"Paris"}}]},
           {"role":"user","content":[
             {"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"21"}]},
             {"type":"text","text":"So?"}]}]\
          """
              + TOOLS
              + messages);
      Submit ours = server.engine.awaitSubmit();
      server.post(
          "/v1/chat/completions",
          """
          {"stop":["x"],"chat_template_kwargs":{"enable_thinking":false,"thinking":false},
           "messages":[
           {"role":"system","content":["Be","kind."]},
           {"role":"user","content":"Weather?"},
           {"role":"assistant","content":"I look.","reasoning_content":"Hm.","tool_calls":[
             {"id":"t1","type":"function",
              "function":{"name":"get_weather","arguments":"{\\"city\\":\\"Paris\\"}"}}]},
           {"role":"tool","tool_call_id":"t1","content":"21"},
           {"role":"user","content":"So?"}]\
          """
              + CHAT_TOOLS
              + messages);
      assertSame(ours, server.engine.awaitSubmit());
    }
  }

  @Test
  void messages_ofTheSystem_standWhereTheyAre() throws Exception {
    try (HttpFixture server = start()) {
      String messages =
          "\"seed\":5,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},"
              + "{\"role\":\"system\",\"content\":%s},{\"role\":\"user\",\"content\":\"So?\"}]";
      post(server, messages.formatted("[{\"type\":\"text\",\"text\":\"Be kind.\"}]"));
      Submit ours = server.engine.awaitSubmit();
      server.post(
          "/v1/chat/completions", "{\"max_tokens\":9," + messages.formatted("\"Be kind.\"") + "}");
      assertSame(ours, server.engine.awaitSubmit());
      String reference =
          "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"tool_reference\","
              + "\"tool_name\":\"f\"}]}]";
      assertError(post(server, reference), 400, "invalid_request_error")
          .contains("messages.0.content.0.tool_name: all tools are shown");
    }
  }

  private static void assertSame(Submit ours, Submit chats) {
    assertThat(ours.prompt()).isEqualTo(chats.prompt());
    assertThat(ours.sampling()).usingRecursiveComparison().isEqualTo(chats.sampling());
    assertThat(ours.text()).isEqualTo(chats.text());
    assertThat(ours.demand()).isEqualTo(chats.demand());
  }

  @Test
  void lastMessage_ofTheAssistant_isContinued() throws Exception {
    try (HttpFixture server = start()) {
      String start = "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},";
      whole(server, start + "{\"role\":\"assistant\",\"content\":\"Well,\"}]");
      Submit ours = server.engine.awaitSubmit();
      server.post(
          "/v1/chat/completions",
          "{\"continue_final_message\":true,\"add_generation_prompt\":false,"
              + start
              + "{\"role\":\"assistant\",\"content\":\"Well,\"}]}");
      assertThat(ours.prompt()).isEqualTo(server.engine.awaitSubmit().prompt());
    }
  }

  @Test
  void toolChoice_andFormat_areHeldTo() throws Exception {
    try (HttpFixture server = start()) {
      say(server, "[" + PARIS + "]");
      JsonNode any = whole(server, HI + TOOLS + ",\"tool_choice\":{\"type\":\"any\"}");
      assertThat(summed(any.get("content"))).isEqualTo("[get_weather:{\"city\":\"Paris\"}]");
      assertThat(any.get("stop_reason").asText()).isEqualTo("tool_use");
      say(server, "{\"city\": \"Paris\"}");
      JsonNode named =
          whole(
              server, HI + TOOLS + ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"get_weather\"}");
      assertThat(summed(named.get("content"))).isEqualTo("[get_weather:{\"city\":\"Paris\"}]");
      assertThat(named.get("stop_reason").asText()).isEqualTo("tool_use");
      say(server, PARIS);
      JsonNode none = whole(server, HI + TOOLS + ",\"tool_choice\":{\"type\":\"none\"}");
      assertThat(none.at("/content/0/text").asText()).isEqualTo(PARIS);
      String format =
          ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":" + SCHEMA + "}}";
      whole(server, HI + format);
      Demand demand = server.engine.awaitSubmit().demand();
      assertThat(demand).isNotNull();
      assertThat(demand.constraint())
          .isInstanceOfSatisfying(
              Constraint.JsonSchema.class, schema -> assertThat(schema.schema()).isEqualTo(SCHEMA));
    }
  }

  @Test
  void errors_areInAnthropicsShape() throws Exception {
    try (HttpFixture server = start()) {
      assertError(server.post("/v1/messages", "{" + HI + "}"), 400, "invalid_request_error")
          .contains("max_tokens");
      assertError(server.post("/v1/messages", "{"), 400, "invalid_request_error")
          .contains("malformed");
      assertError(server.get("/v1/messages"), 405, "invalid_request_error");
      assertError(post(server, HI + ",\"model\":\"gone\""), 404, "not_found_error")
          .contains("gone");
      String image = "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\"}]}]";
      assertError(post(server, image), 400, "invalid_request_error")
          .contains("messages.0.content.0.type", "images");
      String search = ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]";
      assertError(post(server, HI + search), 400, "invalid_request_error").contains("tools.0.type");
      assertError(post(server, HI + ",\"temperature\":-1"), 400, "invalid_request_error")
          .contains("temperature");
    }
  }

  private static AbstractStringAssert<?> assertError(
      HttpResponse<String> response, int status, String type) throws Exception {
    assertThat(response.statusCode()).as(response.body()).isEqualTo(status);
    JsonNode body = JSON.readTree(response.body());
    assertThat(body.get("type").asText()).isEqualTo("error");
    assertThat(body.at("/error/type").asText()).isEqualTo(type);
    return assertThat(body.at("/error/message").asText());
  }

  @Test
  void stream_failure_isAnErrorEvent() throws Exception {
    try (HttpFixture server = start()) {
      server.engine.behave(
          submit -> {
            long key = submit.keys()[0];
            server.engine.send(FakeEngine.delta(submit, key, 0, "Hello", null));
            server.engine.send(Delta.refused(key, ErrorCode.INTERNAL, "It broke.", null));
          });
      List<JsonNode> events = events(server, HI);
      assertThat(types(events).getLast()).isEqualTo("error");
      assertThat(events.getLast().get("error").toString())
          .isEqualTo("{\"type\":\"api_error\",\"message\":\"It broke.\"}");
    }
  }

  @Test
  void key_inAnthropicsHeader_opens() throws Exception {
    try (HttpFixture server = HttpFixture.start(options -> options.apiKeys = List.of("k1"))) {
      String body = "{\"max_tokens\":9," + HI + "}";
      assertError(server.post("/v1/messages", body), 401, "authentication_error");
      assertError(
          server.post("/v1/messages", body, "x-api-key", "k2"), 401, "authentication_error");
      String[] right = {"x-api-key", "k1", "anthropic-version", "2023-06-01"};
      assertThat(server.post("/v1/messages", body, right).statusCode()).isEqualTo(200);
      assertThat(server.post("/v1/messages", body, "Authorization", "Bearer k1").statusCode())
          .isEqualTo(200);
    }
  }

  @Test
  void countTokens_countsThePrompt() throws Exception {
    try (HttpFixture server = start()) {
      HttpResponse<String> response =
          server.post("/v1/messages/count_tokens", "{\"system\":\"S\"," + HI + TOOLS + "}");
      assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
      assertThat(JSON.readTree(response.body()).get("input_tokens").asInt()).isPositive();
      assertError(
          server.post("/v1/messages/count_tokens", "{\"messages\":[]}"),
          400,
          "invalid_request_error");
    }
  }
}
