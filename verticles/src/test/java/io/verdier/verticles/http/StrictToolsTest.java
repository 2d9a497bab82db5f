package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.engine.grammar.Budget;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.GrammarCompiler;
import io.verdier.engine.grammar.GrammarState;
import io.verdier.engine.grammar.TokenGrammar;
import io.verdier.engine.grammar.TokenTrie;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import io.verdier.verticles.bus.Demand;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * What {@code strict} asks of answers whose model decides whether to call, read letter by letter.
 */
class StrictToolsTest {
  private static final String CHATS = "/v1/chat/completions";
  private static final String PARAMETERS =
      "{\"type\":\"object\",\"properties\":{\"city\":{\"enum\":[\"Rome\",\"Oslo\"]}},"
          + "\"required\":[\"city\"],\"additionalProperties\":false}";

  private static HttpFixture start(String format) throws Exception {
    return HttpFixture.start(
        options ->
            options.parsing =
                new Parsing(true, Optional.of(format), Optional.of("qwen3"), "", false));
  }

  private static String tool(String name, String strict) {
    return "{\"type\":\"function\",\"function\":{\"name\":\""
        + name
        + "\",\"parameters\":"
        + PARAMETERS
        + (strict.isEmpty() ? "" : ",\"strict\":" + strict)
        + "}}";
  }

  private static String chat(String tools, String more) {
    return "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"tools\":["
        + tools
        + "]"
        + more
        + "}";
  }

  private static @Nullable Demand demand(HttpFixture server, String path, String body)
      throws Exception {
    server.engine.submitted.clear();
    server.engine.behave(submit -> server.engine.say(submit, "Hello"));
    HttpResponse<String> response = server.post(path, body);
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    return server.engine.awaitSubmit().demand();
  }

  private static Demand strict(HttpFixture server, String tools) throws Exception {
    Demand demand = demand(server, CHATS, chat(tools, ""));
    assertThat(demand).isNotNull();
    assertThat(demand.parameter()).isEqualTo("tools");
    assertThat(demand.thoughts()).hasValue(ReasoningFormat.QWEN3);
    return demand;
  }

  private static boolean matches(Demand demand, String text) {
    TokenTrie bytes = TokenTrie.of(256, id -> new byte[] {(byte) id});
    Constraint constraint = demand.constraint();
    TokenGrammar grammar =
        new TokenGrammar(GrammarCompiler.compile(constraint, Budget.defaults()), bytes);
    @Nullable GrammarState state = grammar.start();
    for (byte value : text.getBytes(StandardCharsets.UTF_8)) {
      if (state == null) {
        return false;
      }
      long[] allowed = grammar.allowed(state);
      int id = value & 0xff;
      if ((allowed[id >> 6] >>> id & 1) == 0) {
        return false;
      }
      state = grammar.next(state, id);
    }
    return state != null && state.mayEnd();
  }

  @Test
  void hermes_callsOfStrictTools_matchTheirSchemas() throws Exception {
    try (HttpFixture server = start("hermes")) {
      Demand demand = strict(server, tool("f", "true") + "," + tool("g", ""));
      assertThat(demand.isTriggered()).isTrue();
      String call =
          "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>";
      for (String good :
          List.of(
              "",
              "Just text with <tool> and {\"name\": \"Ada\"} in it.",
              call,
              "Let me look. " + call + "\n" + call.replace("Rome", "Oslo") + " Done.",
              call.replace("\n", ""),
              call.replace("\"f\"", "\"g\"").replace("\"Rome\"", "[1, {\"a\": null}]"))) {
        assertThat(matches(demand, good)).as(good).isTrue();
      }
      for (String bad :
          List.of(
              call.replace("Rome", "Paris"),
              call.replace("\"f\"", "\"h\""),
              call.replace("}}", "}"),
              call.replace("}\n</tool_call>", "} and so on"),
              "<tool_call>",
              "Text " + call + "<tool_call>nothing</tool_call>",
              call.replace("\"f\"", "\"g\"").replace("{\"city\": \"Rome\"}", "5"))) {
        assertThat(matches(demand, bad)).as(bad).isFalse();
      }
    }
  }

  @Test
  void internlm_callsOfStrictTools_matchTheirSchemas() throws Exception {
    try (HttpFixture server = start("internlm")) {
      Demand demand = strict(server, tool("f", "true"));
      String call =
          "<|action_start|><|plugin|>\n{\"name\": \"f\", \"parameters\": {\"city\": \"Rome\"}}"
              + "<|action_end|>";
      for (String good :
          List.of("Hi <|action_start|> there", call, "I search. " + call + "\nSo.")) {
        assertThat(matches(demand, good)).as(good).isTrue();
      }
      for (String bad :
          List.of(call.replace("Rome", "Paris"), call.replace("<|action_end|>", ""))) {
        assertThat(matches(demand, bad)).as(bad).isFalse();
      }
    }
  }

  @Test
  void llama_callsOfStrictTools_matchTheirSchemas() throws Exception {
    try (HttpFixture server = start("llama3_json")) {
      Demand demand = strict(server, tool("f", "true"));
      String call = "{\"name\": \"f\", \"parameters\": {\"city\": \"Rome\"}}";
      for (String good : List.of("Hi {there}", call, call + "; " + call, "Well: " + call)) {
        assertThat(matches(demand, good)).as(good).isTrue();
      }
      for (String bad : List.of(call.replace("Rome", "Paris"), call.replace("\"f\"", "\"g\""))) {
        assertThat(matches(demand, bad)).as(bad).isFalse();
      }
    }
  }

  @Test
  void name_withAQuote_isWrittenAsInJson() throws Exception {
    try (HttpFixture server = start("hermes")) {
      Demand demand = strict(server, tool("a\\\"b", "true"));
      String call =
          "<tool_call>{\"name\": \"a\\\"b\", \"arguments\": {\"city\": \"Rome\"}}</tool_call>";
      assertThat(matches(demand, call)).isTrue();
    }
  }

  @Test
  void strict_ofOtherApis_isTheSame() throws Exception {
    try (HttpFixture server = start("hermes")) {
      Demand chats = strict(server, tool("f", "true"));
      assertThat(demand(server, "/v1/messages", anthropic())).isEqualTo(chats);
      assertThat(demand(server, "/v1/responses", response())).isEqualTo(chats);
    }
  }

  @Test
  void tools_notStrictOrNotTold_leaveTheTextFree() throws Exception {
    try (HttpFixture server = start("hermes")) {
      for (String strict : List.of("", "false", "null")) {
        assertThat(demand(server, CHATS, chat(tool("f", strict), ""))).as(strict).isNull();
      }
      String none = chat(tool("f", "true"), ",\"tool_choice\":\"none\"");
      assertThat(demand(server, CHATS, none)).isNull();
    }
    for (String format : List.of("pythonic", "qwen3_coder", "mistral", "deepseek_v3", "granite")) {
      try (HttpFixture server = start(format)) {
        assertThat(demand(server, CHATS, chat(tool("f", "true"), ""))).as(format).isNull();
        assertThat(ignored(server, CHATS, chat(tool("f", "true"), "")))
            .as(format)
            .hasValue("tools.function.strict");
      }
    }
  }

  private static Optional<String> ignored(HttpFixture server, String path, String body)
      throws Exception {
    HttpResponse<String> response = server.post(path, body);
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    return response.headers().firstValue("X-Verdier-Ignored-Fields");
  }

  @Test
  void strict_withoutEffect_isNamedAndOnlyThen() throws Exception {
    String strict = tool("f", "true");
    try (HttpFixture server = start("pythonic")) {
      server.engine.behave(submit -> server.engine.say(submit, "Hello"));
      assertThat(ignored(server, CHATS, chat(tool("g", "") + "," + strict, "")))
          .hasValue("tools.function.strict");
      assertThat(ignored(server, CHATS, chat(strict, ",\"stream\":true")))
          .hasValue("tools.function.strict");
      assertThat(ignored(server, CHATS, chat(tool("f", "false"), ""))).isEmpty();
      assertThat(ignored(server, CHATS, chat(strict, ",\"tool_choice\":\"none\""))).isEmpty();
      assertThat(ignored(server, CHATS, chat(strict, ",\"tool_choice\":\"required\""))).isEmpty();
      assertThat(ignored(server, "/v1/messages", anthropic())).hasValue("tools.strict");
      assertThat(ignored(server, "/v1/responses", response())).hasValue("tools.strict");
    }
    for (String format : List.of("hermes", "internlm", "llama3_json")) {
      try (HttpFixture server = start(format)) {
        server.engine.behave(submit -> server.engine.say(submit, "Hello"));
        assertThat(ignored(server, CHATS, chat(strict, ""))).isEmpty();
      }
    }
  }

  private static String anthropic() {
    return "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"tools\":["
        + "{\"name\":\"f\",\"strict\":true,\"input_schema\":"
        + PARAMETERS
        + "}]}";
  }

  private static String response() {
    return "{\"input\":\"Hi\",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"strict\":true,"
        + "\"parameters\":"
        + PARAMETERS
        + "}]}";
  }

  @Test
  void otherDemands_beforeStrict_win() throws Exception {
    try (HttpFixture server = start("hermes")) {
      String formatted = chat(tool("f", "true"), ",\"structured_outputs\":{\"regex\":\"a+\"}");
      Demand demand = demand(server, CHATS, formatted);
      assertThat(demand).isNotNull();
      assertThat(demand.constraint()).isEqualTo(new Constraint.Regex("a+"));
      String searched = chat(tool("f", "true"), ",\"use_beam_search\":true");
      assertThat(server.post(CHATS, searched).body()).contains("it does not heed tools");
    }
  }

  @Test
  void strict_ofAnotherType_isRefused() throws Exception {
    try (HttpFixture server = start("hermes")) {
      assertThat(server.post(CHATS, chat(tool("f", "\"maybe\""), "")).body())
          .contains(
              "tools.0.function.strict is \\\"maybe\\\"; it must be true or false.",
              "\"param\":\"tools.0.function.strict\",\"code\":400");
    }
  }
}
