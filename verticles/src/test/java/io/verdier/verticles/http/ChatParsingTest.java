package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.conf.Flags;
import io.verdier.conf.ServerConfig.ApiDialect;
import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.conf.ServerConfig.StructuredOutput;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import io.verdier.engine.text.toolcall.ToolCallFormat;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Demand;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** Tool calls and reasoning in chat answers; the engine says what the test wants. */
class ChatParsingTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String TOOLS =
      ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":"
          + "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}}}]";
  private static final String PARIS =
      "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris 🐦\"}}";
  private static final String ROME = PARIS.replace("Paris 🐦", "Rome");

  private static HttpFixture start(String tools, String reasoning) throws Exception {
    return HttpFixture.start(
        options ->
            options.parsing =
                new Parsing(
                    !tools.isEmpty(),
                    Optional.of(tools).filter(name -> !name.isEmpty()),
                    Optional.of(reasoning).filter(name -> !name.isEmpty()),
                    "",
                    true));
  }

  private static HttpResponse<String> post(HttpFixture server, String more) throws Exception {
    server.engine.submitted.clear();
    return server.post(
        "/v1/chat/completions",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]" + more + "}");
  }

  private static JsonNode whole(HttpFixture server, String more) throws Exception {
    HttpResponse<String> response = post(server, more);
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    return JSON.readTree(response.body()).get("choices").get(0);
  }

  /** The choices of all events but the first, which says the role. */
  private static List<JsonNode> events(HttpFixture server, String more) throws Exception {
    List<JsonNode> events = new ArrayList<>();
    for (String event : post(server, more + ",\"stream\":true").body().split("\n\n")) {
      if (!event.equals("data: [DONE]")) {
        events.add(JSON.readTree(event.substring("data: ".length())).get("choices").get(0));
      }
    }
    return events.subList(1, events.size());
  }

  /** What a stream's deltas add up to, as clients add them. */
  private static String summed(List<JsonNode> events) {
    StringBuilder content = new StringBuilder();
    StringBuilder reasoning = new StringBuilder();
    TreeMap<Integer, String> calls = new TreeMap<>();
    for (JsonNode event : events) {
      JsonNode delta = event.get("delta");
      content.append(delta.path("content").asText(""));
      reasoning.append(delta.path("reasoning").asText(""));
      for (JsonNode call : delta.path("tool_calls")) {
        String more =
            call.get("function").path("name").asText("")
                + call.get("function").get("arguments").asText();
        calls.merge(call.get("index").asInt(), more, String::concat);
      }
    }
    return reasoning + "|" + content + "|" + calls.values();
  }

  private static String summed(JsonNode choice) {
    JsonNode message = choice.get("message");
    List<String> calls = new ArrayList<>();
    for (JsonNode call : message.path("tool_calls")) {
      JsonNode function = call.get("function");
      calls.add(function.get("name").asText() + function.get("arguments").asText());
    }
    return message.path("reasoning").asText("").replace("null", "")
        + "|"
        + (message.get("content").isNull() ? "" : message.get("content").asText())
        + "|"
        + calls;
  }

  private static void say(HttpFixture server, String... pieces) {
    server.engine.behave(submit -> server.engine.say(submit, pieces));
  }

  @Test
  void whole_call_messageHasIt() throws Exception {
    try (HttpFixture server = start("llama3_json", "")) {
      say(server, PARIS);
      JsonNode choice = whole(server, TOOLS);
      JsonNode message = choice.get("message");
      assertThat(choice.get("finish_reason").asText()).isEqualTo("tool_calls");
      assertThat(message.get("content").isNull()).isTrue();
      JsonNode call = message.get("tool_calls").get(0);
      assertThat(call.get("id").asText()).matches("chatcmpl-tool-[0-9a-f]{32}");
      assertThat(call.get("type").asText()).isEqualTo("function");
      assertThat(call.get("function").get("name").asText()).isEqualTo("get_weather");
      assertThat(call.get("function").get("arguments").asText())
          .isEqualTo("{\"city\": \"Paris 🐦\"}");
      Submit submit = server.engine.awaitSubmit();
      assertThat(submit.text().visibleTokens()).contains("<|python_tag|>");
      assertThat(submit.text().skipSpecialTokens()).isTrue();
    }
  }

  @Test
  void stream_call_nameThenArguments() throws Exception {
    try (HttpFixture server = start("llama3_json", "")) {
      say(server, "{\"name\": \"get_", "weather\", \"parameters\": {\"city\": \"Par", "is\"", "}}");
      List<JsonNode> events = events(server, TOOLS);
      assertThat(events).hasSize(3);
      JsonNode first = events.get(0).get("delta").get("tool_calls").get(0);
      assertThat(first.get("index").asInt()).isZero();
      assertThat(first.get("id").asText()).matches("chatcmpl-tool-[0-9a-f]{32}");
      assertThat(first.get("type").asText()).isEqualTo("function");
      assertThat(first.get("function").toString())
          .isEqualTo("{\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\": \\\"Par\"}");
      assertThat(events.get(1).get("delta").toString())
          .isEqualTo("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"is\\\"\"}}]}");
      assertThat(events.get(1).get("finish_reason").isNull()).isTrue();
      assertThat(events.get(2).get("finish_reason").asText()).isEqualTo("tool_calls");
    }
  }

  @Test
  void anySplit_streamAndWhole_addUpToTheSame() throws Exception {
    try (HttpFixture server = start("llama3_json", "qwen3")) {
      String text = "<think>Hm.</think>\n\nI look. " + PARIS + "; " + ROME + " Done.";
      for (int size : new int[] {1, 2, 3, 7, 20, text.length()}) {
        List<String> pieces = pieces(text, size);
        say(server, pieces.toArray(String[]::new));
        String expected =
            "Hm.|\n\nI look.  Done.|[get_weather{\"city\": \"Paris 🐦\"},"
                + " get_weather{\"city\": \"Rome\"}]";
        assertThat(summed(events(server, TOOLS))).isEqualTo(expected);
        assertThat(summed(whole(server, TOOLS))).isEqualTo(expected);
      }
    }
  }

  /** Pieces of about so many characters, none of which cuts one of two halves in two. */
  private static List<String> pieces(String text, int size) {
    List<String> pieces = new ArrayList<>();
    int at = 0;
    while (at < text.length()) {
      int end = Math.min(text.length(), at + size);
      end += Character.isHighSurrogate(text.charAt(end - 1)) ? 1 : 0;
      pieces.add(text.substring(at, end));
      at = end;
    }
    return pieces;
  }

  @Test
  void parallelOff_twoCalls_firstOnly() throws Exception {
    try (HttpFixture server = start("llama3_json", "")) {
      say(server, PARIS + "; " + ROME);
      String off = TOOLS + ",\"parallel_tool_calls\":false";
      assertThat(summed(whole(server, off))).isEqualTo("||[get_weather{\"city\": \"Paris 🐦\"}]");
      assertThat(summed(events(server, off))).isEqualTo("||[get_weather{\"city\": \"Paris 🐦\"}]");
    }
  }

  @Test
  void noCall_plainContentAndStop() throws Exception {
    try (HttpFixture server = start("llama3_json", "")) {
      say(server, "{\"name\":", " \"Alice\"}");
      JsonNode choice = whole(server, TOOLS);
      assertThat(choice.get("finish_reason").asText()).isEqualTo("stop");
      assertThat(summed(choice)).isEqualTo("|{\"name\": \"Alice\"}|[]");
      assertThat(choice.get("message").has("tool_calls")).isFalse();
      assertThat(summed(events(server, TOOLS))).isEqualTo("|{\"name\": \"Alice\"}|[]");
    }
  }

  @Test
  void length_insideCall_reasonStays() throws Exception {
    try (HttpFixture server = start("llama3_json", "")) {
      server.engine.behave(
          submit -> {
            Delta.End end = FakeEngine.end(FinishReason.LENGTH, 1);
            String text = PARIS.substring(0, PARIS.length() - 8);
            server.engine.send(FakeEngine.delta(submit, submit.keys()[0], 0, text, end));
          });
      JsonNode choice = whole(server, TOOLS);
      assertThat(choice.get("finish_reason").asText()).isEqualTo("length");
      assertThat(choice.get("message").get("tool_calls")).hasSize(1);
    }
  }

  @Test
  void choiceNone_callText_isContentAndToolsHidden() throws Exception {
    try (HttpFixture server = start("llama3_json", "")) {
      say(server, PARIS);
      assertThat(summed(whole(server, TOOLS + ",\"tool_choice\":\"none\"")))
          .isEqualTo("|" + PARIS + "|[]");
      assertThat(((Prompt.Chat) server.engine.awaitSubmit().prompt()).tools()).isNull();
    }
  }

  @Test
  void auto_demoModelAndNoFlags_callsAreFound() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      say(server, ROME);
      assertThat(summed(whole(server, TOOLS))).isEqualTo("||[get_weather{\"city\": \"Rome\"}]");
    }
  }

  @Test
  void auto_notEnabled_refusedAsVllmDoes() throws Exception {
    Parsing off = new Parsing(false, Optional.of("hermes"), Optional.empty(), "", false);
    try (HttpFixture server = HttpFixture.start(options -> options.parsing = off)) {
      for (String more : List.of(TOOLS, TOOLS + ",\"tool_choice\":\"auto\"")) {
        HttpResponse<String> response = post(server, more);
        assertThat(response.statusCode()).isEqualTo(400);
        assertThat(response.body())
            .contains(
                "\\\"auto\\\" tool choice requires --enable-auto-tool-choice and"
                    + " --tool-call-parser to be set");
      }
      say(server, "Hi");
      assertThat(summed(whole(server, TOOLS + ",\"tool_choice\":\"none\""))).isEqualTo("|Hi|[]");
    }
  }

  @Test
  void choiceRequired_listOfCalls_isParsedAndDemanded() throws Exception {
    try (HttpFixture server = start("", "")) {
      say(server, "[{\"name\": \"get_weather\", \"para", "meters\": {\"city\": \"Rome\"}}]");
      String more = TOOLS + ",\"tool_choice\":\"required\",\"parallel_tool_calls\":false";
      JsonNode choice = whole(server, more);
      assertThat(summed(choice)).isEqualTo("||[get_weather{\"city\": \"Rome\"}]");
      assertThat(choice.get("finish_reason").asText()).isEqualTo("tool_calls");
      assertThat(schema(server))
          .isEqualTo(
              "{\"type\":\"array\",\"minItems\":1,\"maxItems\":1,\"items\":{\"anyOf\":[{\"type\":"
                  + "\"object\",\"properties\":{\"name\":{\"enum\":[\"get_weather\"]},\"parameters\":"
                  + "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}},"
                  + "\"required\":[\"name\",\"parameters\"],\"additionalProperties\":false}]}}");
      assertThat(summed(events(server, more))).isEqualTo("||[get_weather{\"city\": \"Rome\"}]");
    }
  }

  @Test
  void choiceNamed_arguments_areTheCallAndReasonIsStop() throws Exception {
    try (HttpFixture server = start("", "")) {
      say(server, "{\"city\":", " \"Rome\"}");
      String more =
          TOOLS
              + ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"get_weather\"}}";
      JsonNode choice = whole(server, more);
      assertThat(summed(choice)).isEqualTo("||[get_weather{\"city\": \"Rome\"}]");
      assertThat(choice.get("finish_reason").asText()).isEqualTo("stop");
      assertThat(schema(server))
          .isEqualTo("{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}");
      assertThat(summed(events(server, more))).isEqualTo("||[get_weather{\"city\": \"Rome\"}]");
    }
  }

  @Test
  void choice_wrong_isRefused() throws Exception {
    try (HttpFixture server = start("hermes", "")) {
      for (String more :
          List.of(
              ",\"tool_choice\":\"required\"",
              TOOLS + ",\"tool_choice\":\"must\"",
              TOOLS + ",\"tool_choice\":{\"function\":{\"name\":\"nobody\"}}",
              TOOLS + ",\"tool_choice\":{}",
              TOOLS
                  + ",\"tool_choice\":\"required\",\"response_format\":{\"type\":\"json_object\"}")) {
        assertThat(post(server, more).statusCode()).as(more).isEqualTo(400);
      }
    }
  }

  @Test
  void held_behindThoughts_bothAreTold() throws Exception {
    try (HttpFixture server = start("", "qwen3")) {
      String required = TOOLS + ",\"tool_choice\":\"required\"";
      say(server, "<think>Rome?</thi", "nk>[" + ROME + "]");
      assertThat(summed(whole(server, required)))
          .isEqualTo("Rome?||[get_weather{\"city\": \"Rome\"}]");
      assertThat(summed(events(server, required)))
          .isEqualTo("Rome?||[get_weather{\"city\": \"Rome\"}]");
      assertThat(thoughts(server)).contains(ReasoningFormat.QWEN3);
      String format = ",\"response_format\":{\"type\":\"json_object\"}";
      say(server, "<think>Hm", "</think>{}");
      assertThat(summed(whole(server, format))).isEqualTo("Hm|{}|[]");
      assertThat(thoughts(server)).contains(ReasoningFormat.QWEN3);
    }
  }

  @Test
  void held_thoughtsToo_nothingComesBefore() throws Exception {
    try (HttpFixture server =
        HttpFixture.start(
            options -> {
              options.parsing =
                  new Parsing(false, Optional.empty(), Optional.of("deepseek_r1"), "", true);
              options.structuredOutput = new StructuredOutput(false, false, true);
            })) {
      say(server, "[" + ROME + "]");
      assertThat(summed(whole(server, TOOLS + ",\"tool_choice\":\"required\"")))
          .isEqualTo("||[get_weather{\"city\": \"Rome\"}]");
      assertThat(thoughts(server)).isEmpty();
      say(server, "<think>a</think>b");
      assertThat(summed(whole(server, ",\"guided_regex\":\"<think>a</think>b\"")))
          .isEqualTo("a|b|[]");
      assertThat(thoughts(server)).isEmpty();
    }
  }

  @Test
  void budget_reachesTheEngineOrIsRefused() throws Exception {
    String budget = ",\"thinking_token_budget\":9";
    try (HttpFixture server = start("", "qwen3")) {
      say(server, "Hi");
      assertThat(post(server, budget).statusCode()).isEqualTo(200);
      assertThat(server.engine.awaitSubmit().text().thoughtTokensMax()).isEqualTo(9);
      assertThat(post(server, ",\"thinking_token_budget\":-1").statusCode()).isEqualTo(200);
      assertThat(server.engine.awaitSubmit().text().thoughtTokensMax()).isEqualTo(-1);
      assertThat(post(server, budget + ",\"use_beam_search\":true").body())
          .contains("it does not heed thinking_token_budget");
    }
    try (HttpFixture server = start("", "")) {
      say(server, "Hi");
      assertThat(post(server, budget).statusCode()).isEqualTo(400);
      assertThat(post(server, budget).body()).contains("--reasoning-parser");
      assertThat(post(server, ",\"thinking_token_budget\":-1").statusCode()).isEqualTo(200);
    }
    try (HttpFixture server =
        HttpFixture.start(
            options -> {
              options.parsing =
                  new Parsing(false, Optional.empty(), Optional.of("qwen3"), "", true);
              options.structuredOutput = new StructuredOutput(false, false, true);
            })) {
      assertThat(post(server, budget + ",\"guided_regex\":\"a\"").body())
          .contains("leave out the budget or guided_regex");
    }
  }

  private static Optional<ReasoningFormat> thoughts(HttpFixture server) throws Exception {
    return java.util.Objects.requireNonNull(server.engine.awaitSubmit().demand()).thoughts();
  }

  private static String schema(HttpFixture server) throws Exception {
    Demand demand = server.engine.awaitSubmit().demand();
    return ((Constraint.JsonSchema) java.util.Objects.requireNonNull(demand).constraint()).schema();
  }

  @Test
  void mistral_ids_areShort() throws Exception {
    try (HttpFixture server = start("mistral", "")) {
      say(server, "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Rome\"}");
      JsonNode call = whole(server, TOOLS).get("message").get("tool_calls").get(0);
      assertThat(call.get("id").asText()).matches("[a-zA-Z0-9]{9}");
    }
  }

  @Test
  void reasoning_wholeAndStream_bothNames() throws Exception {
    try (HttpFixture server = start("", "deepseek_r1")) {
      say(server, "I think", ".</thi", "nk>", "Yes.");
      JsonNode message = whole(server, "").get("message");
      assertThat(message.get("reasoning").asText()).isEqualTo("I think.");
      assertThat(message.get("reasoning_content").asText()).isEqualTo("I think.");
      assertThat(message.get("content").asText()).isEqualTo("Yes.");
      List<JsonNode> events = events(server, "");
      assertThat(events.get(0).get("delta").toString())
          .isEqualTo("{\"reasoning\":\"I think\",\"reasoning_content\":\"I think\"}");
      assertThat(summed(events)).isEqualTo("I think.|Yes.|[]");
    }
  }

  @Test
  void reasoning_ofV09_onlyTheOlderNameAndNullWithoutAny() throws Exception {
    try (HttpFixture server =
        HttpFixture.start(
            options -> {
              options.dialect = ApiDialect.V0_9;
              options.parsing =
                  new Parsing(false, Optional.empty(), Optional.of("deepseek_r1"), "", true);
            })) {
      say(server, "I think", ".</thi", "nk>", "Yes.");
      JsonNode thought = whole(server, "").get("message");
      assertThat(thought.get("reasoning_content").asText()).isEqualTo("I think.");
      assertThat(thought.has("reasoning")).isFalse();
      assertThat(events(server, "").get(0).get("delta").toString())
          .isEqualTo("{\"reasoning_content\":\"I think\"}");
      say(server, "</think>", "Yes.");
      JsonNode plain = whole(server, "").get("message");
      assertThat(plain.get("content").asText()).isEqualTo("Yes.");
      assertThat(plain.get("reasoning_content").isNull()).isTrue();
      assertThat(plain.has("reasoning")).isFalse();
      assertThat(plain.get("tool_calls").toString()).isEqualTo("[]");
    }
  }

  @Test
  void reasoning_ofV1WithoutAny_newerNameIsNull() throws Exception {
    try (HttpFixture server = start("", "")) {
      say(server, "Yes.");
      JsonNode message = whole(server, "").get("message");
      assertThat(message.get("reasoning").isNull()).isTrue();
      assertThat(message.has("reasoning_content")).isFalse();
      assertThat(message.has("tool_calls")).isFalse();
    }
  }

  @Test
  void reasoning_notWanted_leftOut() throws Exception {
    try (HttpFixture server = start("", "deepseek_r1")) {
      say(server, "I think.</think>Yes.");
      String off = ",\"include_reasoning\":false";
      assertThat(summed(whole(server, off))).isEqualTo("|Yes.|[]");
      assertThat(summed(events(server, off))).isEqualTo("|Yes.|[]");
      // Nor by its tokens.
      String tokens = ",\"return_token_ids\":true,\"logprobs\":true";
      assertThat(whole(server, tokens).get("token_ids")).isNotEmpty();
      assertThat(whole(server, tokens + off).get("token_ids").isNull()).isTrue();
      assertThat(whole(server, tokens + off).get("logprobs").isNull()).isTrue();
      assertThat(events(server, tokens + off)).noneMatch(it -> it.has("token_ids"));
    }
  }

  @Test
  void reasoning_neverEnds_contentNull() throws Exception {
    try (HttpFixture server = start("", "deepseek_r1")) {
      say(server, "I think");
      JsonNode message = whole(server, "").get("message");
      assertThat(message.get("content").isNull()).isTrue();
      assertThat(message.get("reasoning").asText()).isEqualTo("I think");
    }
  }

  @Test
  void reasoning_promptOpenedOrClosedIt_heeded() throws Exception {
    try (HttpFixture server = start("", "qwen3")) {
      say(server, "Hm</think>Yes");
      server.engine.endPromptsWith("<|im_start|>assistant\n<think>\n");
      assertThat(summed(whole(server, ""))).isEqualTo("Hm|Yes|[]");
      assertThat(summed(events(server, ""))).isEqualTo("Hm|Yes|[]");
      server.engine.endPromptsWith("<|im_start|>assistant\n<think>\n\n</think>\n\n");
      assertThat(summed(events(server, ""))).isEqualTo("|Hm</think>Yes|[]");
    }
  }

  /** The names in the table of flags are those of the parsers. */
  @Test
  void flags_parserNames_areThoseThatExist() {
    List<String> calls = new ArrayList<>(List.of("auto"));
    for (ToolCallFormat format : ToolCallFormat.values()) {
      calls.addAll(format.names());
    }
    assertThat(choices("--tool-call-parser")).containsExactlyInAnyOrderElementsOf(calls);
    assertThat(choices("--reasoning-parser"))
        .containsExactlyInAnyOrderElementsOf(
            Arrays.stream(ReasoningFormat.values()).map(ReasoningFormat::label).toList());
  }

  private static List<String> choices(String name) {
    return Flags.named(name).type().words();
  }
}
