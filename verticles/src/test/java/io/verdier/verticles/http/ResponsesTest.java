package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Submit;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.assertj.core.api.AbstractStringAssert;
import org.junit.jupiter.api.Test;

/** The Responses API: a chat request in other words, and its answer in others too. */
class ResponsesTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String SCHEMA =
      "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}";
  private static final String FUNCTION =
      "\"name\":\"get_weather\",\"description\":\"d\",\"parameters\":" + SCHEMA + "}";
  private static final String TOOLS = ",\"tools\":[{\"type\":\"function\"," + FUNCTION + "]";
  private static final String CHAT_TOOLS =
      ",\"tools\":[{\"type\":\"function\",\"function\":{" + FUNCTION + "}]";
  private static final String PARIS =
      "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}";
  private static final String HI = "\"input\":\"Hi\"";

  private static HttpFixture start() throws Exception {
    return HttpFixture.start(
        options -> {
          options.parsing =
              new Parsing(true, Optional.of("llama3_json"), Optional.of("qwen3"), "", false);
          options.storeResponses = true;
        });
  }

  private static HttpResponse<String> post(HttpFixture server, String more) throws Exception {
    server.engine.submitted.clear();
    return server.post("/v1/responses", "{" + more + "}");
  }

  private static JsonNode whole(HttpFixture server, String more) throws Exception {
    return ok(post(server, more));
  }

  private static JsonNode ok(HttpResponse<String> response) throws Exception {
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    return JSON.readTree(response.body());
  }

  private static List<JsonNode> events(HttpFixture server, String more) throws Exception {
    List<JsonNode> events = new ArrayList<>();
    for (String event : post(server, more + ",\"stream\":true").body().split("\n\n")) {
      String[] lines = event.split("\n");
      JsonNode data = JSON.readTree(lines[1].substring("data: ".length()));
      assertThat(lines[0]).isEqualTo("event: " + data.get("type").asText());
      assertThat(data.get("sequence_number").asInt()).isEqualTo(events.size());
      events.add(data);
    }
    return events;
  }

  private static List<String> types(List<JsonNode> events) {
    return events.stream()
        .map(event -> event.get("type").asText().substring("response.".length()))
        .toList();
  }

  private static void say(HttpFixture server, String... pieces) {
    server.engine.behave(submit -> server.engine.say(submit, pieces));
  }

  /** Without what differs from one answer to the next. */
  private static JsonNode timeless(JsonNode response) throws Exception {
    String id = response.get("id").asText().substring("resp_".length());
    String text = response.toString().replace(id, "ID");
    ObjectNode object = (ObjectNode) JSON.readTree(text.replaceAll("call_[0-9a-f]{32}", "CALL"));
    return object.put("created_at", 0);
  }

  @Test
  void whole_text_isAResponse() throws Exception {
    try (HttpFixture server = start()) {
      say(server, "Hello", " world");
      JsonNode response =
          whole(server, HI + ",\"temperature\":0.7,\"metadata\":{\"a\":\"b\"},\"store\":false");
      assertThat(response.get("id").asText()).matches("resp_[0-9a-f]{32}");
      assertThat(response.get("object").asText()).isEqualTo("response");
      assertThat(response.get("status").asText()).isEqualTo("completed");
      assertThat(response.get("error").isNull()).isTrue();
      assertThat(response.get("incomplete_details").isNull()).isTrue();
      JsonNode item = response.at("/output/0");
      assertThat(item.get("type").asText()).isEqualTo("message");
      assertThat(item.get("id").asText()).startsWith("msg_");
      assertThat(item.get("content").toString())
          .isEqualTo(
              "[{\"type\":\"output_text\",\"text\":\"Hello world\",\"annotations\":[],"
                  + "\"logprobs\":[]}]");
      assertThat(response.get("usage").toString())
          .isEqualTo(
              "{\"input_tokens\":3,\"input_tokens_details\":{\"cached_tokens\":0,"
                  + "\"cache_write_tokens\":0},"
                  + "\"output_tokens\":2,\"output_tokens_details\":{\"reasoning_tokens\":0},"
                  + "\"total_tokens\":5}");
      assertThat(response.get("temperature").asDouble()).isEqualTo(0.7);
      assertThat(response.at("/metadata/a").asText()).isEqualTo("b");
      assertThat(response.at("/text/format/type").asText()).isEqualTo("text");
      assertThat(response.get("store").asBoolean()).isFalse();
    }
  }

  @Test
  void stream_text_eventsInTheirOrder() throws Exception {
    try (HttpFixture server = start()) {
      say(server, "Hello", " world");
      List<JsonNode> events = events(server, HI);
      assertThat(types(events))
          .containsExactly(
              "created",
              "in_progress",
              "output_item.added",
              "content_part.added",
              "output_text.delta",
              "output_text.delta",
              "output_text.done",
              "content_part.done",
              "output_item.done",
              "completed");
      assertThat(events.getFirst().at("/response/status").asText()).isEqualTo("in_progress");
      assertThat(events.get(6).get("text").asText()).isEqualTo("Hello world");
      assertThat(events.get(8).get("item")).isEqualTo(events.get(9).at("/response/output/0"));
    }
  }

  @Test
  void stream_call_argumentsInTheirOrder() throws Exception {
    try (HttpFixture server = start()) {
      say(server, PARIS.substring(0, 50), PARIS.substring(50));
      List<JsonNode> events = events(server, HI + TOOLS);
      assertThat(types(events))
          .containsExactly(
              "created",
              "in_progress",
              "output_item.added",
              "function_call_arguments.delta",
              "function_call_arguments.delta",
              "function_call_arguments.done",
              "output_item.done",
              "completed");
      assertThat(events.get(5).get("arguments").asText()).isEqualTo("{\"city\": \"Paris\"}");
      assertThat(events.get(6).at("/item/name").asText()).isEqualTo("get_weather");
      assertThat(events.get(6).at("/item/call_id").asText()).matches("call_[0-9a-f]{32}");
    }
  }

  @Test
  void anySplit_streamAndWhole_endAsTheSameResponse() throws Exception {
    try (HttpFixture server = start()) {
      String text = "<think>\nHm.</think>\n\nI look.\n" + PARIS + "; " + PARIS;
      for (int size : new int[] {1, 3, 20, text.length()}) {
        String[] pieces = text.split("(?<=\\G(?s:.{" + size + "}))");
        say(server, pieces);
        JsonNode response = whole(server, HI + TOOLS);
        List<JsonNode> events = events(server, HI + TOOLS);
        assertThat(timeless(events.getLast().get("response")))
            .as(Arrays.toString(pieces))
            .isEqualTo(timeless(response));
        List<String> kinds = new ArrayList<>();
        response.get("output").forEach(item -> kinds.add(item.get("type").asText()));
        assertThat(kinds).containsExactly("reasoning", "message", "function_call", "function_call");
        StringBuilder deltas = new StringBuilder();
        for (JsonNode event : events) {
          deltas.append(event.path("delta").asText(""));
        }
        assertThat(deltas.toString())
            .contains("Hm.", "I look.")
            .endsWith("{\"city\": \"Paris\"}{\"city\": \"Paris\"}");
      }
    }
  }

  @Test
  void length_isIncomplete() throws Exception {
    try (HttpFixture server = start()) {
      server.engine.behave(
          submit ->
              server.engine.send(
                  FakeEngine.delta(
                      submit,
                      submit.keys()[0],
                      0,
                      "Hel",
                      new Delta.End(FinishReason.LENGTH, null, -1, 0, 1, null))));
      JsonNode response = whole(server, HI + ",\"max_output_tokens\":1");
      assertThat(server.engine.awaitSubmit().sampling().maxTokens()).isEqualTo(1);
      assertThat(response.get("status").asText()).isEqualTo("incomplete");
      assertThat(response.at("/incomplete_details/reason").asText()).isEqualTo("max_output_tokens");
      assertThat(response.at("/output/0/status").asText()).isEqualTo("incomplete");
      assertThat(types(events(server, HI))).endsWith("output_item.done", "incomplete");
    }
  }

  @Test
  void stream_failure_isAFailedResponse() throws Exception {
    try (HttpFixture server = start()) {
      server.engine.behave(
          submit -> {
            long key = submit.keys()[0];
            server.engine.send(FakeEngine.delta(submit, key, 0, "Hello", null));
            server.engine.send(Delta.refused(key, ErrorCode.INTERNAL, "It broke.", null));
          });
      List<JsonNode> events = events(server, HI);
      assertThat(types(events).getLast()).isEqualTo("failed");
      assertThat(events.getLast().at("/response/error/message").asText()).isEqualTo("It broke.");
    }
  }

  /** What reaches the engine is what the chat route would have sent. */
  @Test
  void input_ofAllItems_isTheEqualChatRequest() throws Exception {
    try (HttpFixture server = start()) {
      String rest = ",\"seed\":5,\"temperature\":0.5,\"top_p\":0.9,\"top_k\":7}";
      server.post(
          "/v1/responses",
          """
          {"instructions":"Be kind.","max_output_tokens":9,"reasoning":{"effort":"low"},
           "text":{"format":{"type":"text"}},"tool_choice":"auto","truncation":"disabled","input":[
           {"role":"user","content":[{"type":"input_text","text":"Weather?"}]},
           {"type":"reasoning","id":"rs_1","summary":[],
            "content":[{"type":"reasoning_text","text":"Hm."}]},
           {"type":"message","role":"assistant","id":"msg_1","status":"completed",
            "content":[{"type":"output_text","text":"I look.","annotations":[]}]},
           {"type":"function_call","call_id":"c1","name":"get_weather",
            "arguments":"{\\"city\\":\\"Paris\\"}"},
           {"type":"function_call","call_id":"c2","name":"get_weather","arguments":"{}"},
           {"type":"function_call_output","call_id":"c1","output":"21"},
           {"type":"function_call_output","call_id":"c2","output":"?"},
           {"role":"user","content":"So?"}]\
          """
              + TOOLS
              + rest);
      Submit ours = server.engine.awaitSubmit();
      server.post(
          "/v1/chat/completions",
          """
          {"max_tokens":9,"reasoning_effort":"low","messages":[
           {"role":"system","content":"Be kind."},
           {"role":"user","content":"Weather?"},
           {"role":"assistant","reasoning_content":"Hm.","content":"I look.","tool_calls":[
             {"id":"c1","type":"function",
              "function":{"name":"get_weather","arguments":"{\\"city\\":\\"Paris\\"}"}},
             {"id":"c2","type":"function","function":{"name":"get_weather","arguments":"{}"}}]},
           {"role":"tool","tool_call_id":"c1","content":"21"},
           {"role":"tool","tool_call_id":"c2","content":"?"},
           {"role":"user","content":"So?"}]\
          """
              + CHAT_TOOLS
              + rest);
      assertSame(ours, server.engine.awaitSubmit());
    }
  }

  @Test
  void format_schema_isTheEqualChatRequest() throws Exception {
    try (HttpFixture server = start()) {
      String schema = "\"name\":\"c\",\"strict\":true,\"schema\":" + SCHEMA + "}";
      whole(
          server,
          HI + ",\"seed\":1,\"text\":{\"format\":{\"type\":\"json_schema\"," + schema + "}");
      Submit ours = server.engine.awaitSubmit();
      assertThat(ours.demand()).isNotNull();
      server.post(
          "/v1/chat/completions",
          "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"seed\":1,"
              + "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"
              + schema
              + "}}");
      assertSame(ours, server.engine.awaitSubmit());
    }
  }

  private static void assertSame(Submit ours, Submit chats) {
    assertThat(ours.prompt()).isEqualTo(chats.prompt());
    assertThat(ours.sampling()).usingRecursiveComparison().isEqualTo(chats.sampling());
    assertThat(ours.text()).isEqualTo(chats.text());
    assertThat(ours.demand()).isEqualTo(chats.demand());
  }

  @Test
  void previousResponse_stored_isGoneOnFrom() throws Exception {
    try (HttpFixture server = start()) {
      say(server, "Hello", " world");
      JsonNode first = whole(server, HI + ",\"instructions\":\"Be kind.\"");
      String id = first.get("id").asText();
      assertThat(ok(server.get("/v1/responses/" + id))).isEqualTo(first);
      whole(server, "\"input\":\"More\",\"previous_response_id\":\"" + id + "\"");
      Submit ours = server.engine.awaitSubmit();
      server.post(
          "/v1/chat/completions",
          "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},"
              + "{\"role\":\"assistant\",\"content\":\"Hello world\"},"
              + "{\"role\":\"user\",\"content\":\"More\"}]}");
      assertThat(ours.prompt()).isEqualTo(server.engine.awaitSubmit().prompt());

      List<JsonNode> streamed = events(server, HI);
      JsonNode last = streamed.getLast().get("response");
      assertThat(ok(server.get("/v1/responses/" + last.get("id").asText()))).isEqualTo(last);
      assertError(server.post("/v1/responses/" + id + "/cancel", "{}"), 400).contains("complete");
      assertError(server.get("/v1/responses/" + id + "?stream=true"), 400).contains("background");
    }
  }

  @Test
  void unknownOrUnstored_isNotFound() throws Exception {
    try (HttpFixture server = start()) {
      String unstored = whole(server, HI + ",\"store\":false").get("id").asText();
      for (String id : List.of("resp_x", unstored)) {
        assertError(server.get("/v1/responses/" + id), 404);
        assertError(server.post("/v1/responses/" + id + "/cancel", "{}"), 404);
        HttpResponse<String> next = post(server, HI + ",\"previous_response_id\":\"" + id + "\"");
        assertError(next, 404);
        assertThat(JSON.readTree(next.body()).at("/error/param").asText())
            .isEqualTo("previous_response_id");
      }
      assertError(server.post("/v1/responses/x", "{}"), 404);
    }
    try (HttpFixture server = HttpFixture.start()) {
      JsonNode response = whole(server, HI);
      assertThat(response.get("store").asBoolean()).isFalse();
      String path = "/v1/responses/" + response.get("id").asText();
      for (HttpResponse<String> asked :
          List.of(
              server.get(path),
              server.get(path + "?stream=true"),
              server.post(path + "/cancel", "{}"))) {
        assertError(asked, 404).contains("--enable-responses-api-store");
      }
      assertError(post(server, HI + ",\"background\":true"), 400)
          .contains("--enable-responses-api-store");
    }
  }

  @Test
  void whatCannotBe_isRefused() throws Exception {
    try (HttpFixture server = start()) {
      assertError(post(server, "\"input\":[]"), 400).contains("input");
      assertError(post(server, HI + ",\"background\":true,\"store\":false"), 400).contains("store");
      assertError(post(server, HI + ",\"model\":\"gone\""), 404).contains("gone");
      assertError(post(server, HI + ",\"tools\":[{\"type\":\"web_search\"}]"), 400)
          .contains("tools.0.type");
      assertError(post(server, HI + ",\"top_logprobs\":21"), 400).contains("top_logprobs");
      assertError(post(server, "\"input\":[{\"type\":\"item_reference\",\"id\":\"x\"}]"), 400)
          .contains("input.0.type");
      String image = "\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}]";
      assertError(post(server, image), 400).contains("input.0.content.0.type");
    }
  }

  private static AbstractStringAssert<?> assertError(HttpResponse<String> response, int status)
      throws Exception {
    assertThat(response.statusCode()).as(response.body()).isEqualTo(status);
    return assertThat(JSON.readTree(response.body()).at("/error/message").asText());
  }

  @Test
  void include_ofWhatIsNeverThere_isNamedAndOfAnythingElseRefused() throws Exception {
    try (HttpFixture server = start()) {
      say(server, "Hello");
      for (String without : List.of("null", "[]", "[\"message.output_text.logprobs\"]")) {
        HttpResponse<String> answer = post(server, HI + ",\"include\":" + without);
        ok(answer);
        assertThat(answer.headers().firstValue("X-Verdier-Ignored-Fields")).as(without).isEmpty();
      }
      for (String with :
          List.of(
              "[\"reasoning.encrypted_content\"]",
              "[\"message.output_text.logprobs\",\"file_search_call.results\"]",
              "[\"code_interpreter_call.outputs\",\"message.input_image.image_url\"]")) {
        HttpResponse<String> answer = post(server, HI + ",\"include\":" + with);
        ok(answer);
        assertThat(answer.headers().firstValue("X-Verdier-Ignored-Fields"))
            .as(with)
            .hasValue("include");
      }
      for (String bad : List.of("[\"logprobs\"]", "[1]", "[null]", "[\"\"]")) {
        HttpResponse<String> answer = post(server, HI + ",\"include\":" + bad);
        assertThat(answer.statusCode()).as(bad).isEqualTo(400);
        JsonNode error = JSON.readTree(answer.body()).get("error");
        assertThat(error.get("param").asText()).isEqualTo("include");
        assertThat(error.get("message").asText()).contains("message.output_text.logprobs");
      }
    }
  }
}
