package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.Truncation;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class ChatCompletionsTest {
  private static HttpFixture server;

  @BeforeAll
  static void start() throws Exception {
    server = HttpFixture.start();
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static String chat(String more) {
    return "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]" + more + "}";
  }

  /** The answer without what differs each time. */
  private static String post(String more) throws Exception {
    server.engine.submitted.clear();
    return fixed(server.post("/v1/chat/completions", chat(more), "X-Request-Id", "r1").body());
  }

  static String fixed(String body) {
    return body.replaceAll("\"created\":\\d+", "\"created\":0");
  }

  @Test
  void streamInterval_ofTheServer_holdsForEveryRoute() throws Exception {
    try (HttpFixture server = HttpFixture.start(options -> options.streamInterval = 3)) {
      server.engine.behave(submit -> server.engine.say(submit, "a", "b", "c", "d", "e", "f"));
      for (String request :
          List.of(
              "/v1/chat/completions"
                  + " {\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
              "/v1/completions {\"stream\":true,\"prompt\":\"Hi\"}",
              "/v1/responses {\"stream\":true,\"input\":\"Hi\"}",
              "/v1/messages"
                  + " {\"stream\":true,\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
              "/generate {\"stream\":true,\"prompt\":\"Hi\"}")) {
        String[] parts = request.split(" ", 2);
        String body = server.post(parts[0], parts[1]).body();
        assertThat(body).as(request).contains("\"a\"", "\"bcd\"", "\"ef\"");
      }
      String own =
          "{\"stream\":true,\"stream_interval\":2,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}";
      assertThat(server.post("/v1/chat/completions", own).body()).contains("\"bc\"", "\"de\"");
    }
  }

  @Test
  void whole_plain_goldenObject() throws Exception {
    assertThat(post(""))
        .isEqualTo(
            """
            {"id":"chatcmpl-r1","object":"chat.completion","created":0,"model":"demo","choices":[\
            {"index":0,"message":{"role":"assistant","content":"Hello world","refusal":null,\
            "annotations":null,"audio":null,"function_call":null,"reasoning":null},"logprobs":null,\
            "finish_reason":"stop","stop_reason":null,"token_ids":null}],"service_tier":null,\
            "system_fingerprint":"verdier-1.2.3","usage":{"prompt_tokens":3,"total_tokens":5,\
            "completion_tokens":2,"prompt_tokens_details":null},"prompt_logprobs":null,\
            "prompt_token_ids":null,"prompt_text":null,"kv_transfer_params":null}\
            """);
  }

  @Test
  void stream_plain_goldenEvents() throws Exception {
    String head =
        "data: {\"id\":\"chatcmpl-r1\",\"object\":\"chat.completion.chunk\",\"created\":0,"
            + "\"model\":\"demo\",\"choices\":[";
    assertThat(post(",\"stream\":true,\"stream_options\":{\"include_usage\":true}"))
        .isEqualTo(
            head
                + "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                + "\"logprobs\":null,\"finish_reason\":null}]}\n\n"
                + head
                + "{\"index\":0,\"delta\":{\"content\":\"Hello\"},"
                + "\"logprobs\":null,\"finish_reason\":null}]}\n\n"
                + head
                + "{\"index\":0,\"delta\":{\"content\":\" world\"},"
                + "\"logprobs\":null,\"finish_reason\":\"stop\",\"stop_reason\":null}]}\n\n"
                + head
                + "],\"usage\":{\"prompt_tokens\":3,\"total_tokens\":5,"
                + "\"completion_tokens\":2}}\n\ndata: [DONE]\n\n");
  }

  @Test
  void stream_everything_goldenEvents() throws Exception {
    String answer =
        post(
            ",\"stream\":true,\"stream_options\":{\"include_usage\":true,"
                + "\"continuous_usage_stats\":true},\"return_token_ids\":true,\"logprobs\":true,"
                + "\"top_logprobs\":2,\"n\":2,\"temperature\":1");
    String[] events = answer.split("\n\n");
    String head =
        "data: {\"id\":\"chatcmpl-r1\",\"object\":\"chat.completion.chunk\",\"created\":0,"
            + "\"model\":\"demo\",\"choices\":[";
    assertThat(events).hasSize(8);
    assertThat(events[1])
        .isEqualTo(
            head
                + "{\"index\":1,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                + "\"logprobs\":null,\"finish_reason\":null,\"prompt_token_ids\":[1,2,3]}],"
                + "\"usage\":{\"prompt_tokens\":3,\"total_tokens\":3,\"completion_tokens\":0}}");
    assertThat(events[2])
        .isEqualTo(
            head
                + "{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"logprobs\":{\"content\":["
                + "{\"token\":\"Hello\",\"logprob\":-0.5,\"bytes\":[72,101,108,108,111],"
                + "\"top_logprobs\":[{\"token\":\"Hello\",\"logprob\":-0.5,"
                + "\"bytes\":[72,101,108,108,111]},{\"token\":\"alt1\",\"logprob\":-9999.0,"
                + "\"bytes\":[97,108,116,49]}]}]},\"finish_reason\":null,\"token_ids\":[10]}],"
                + "\"usage\":{\"prompt_tokens\":3,\"total_tokens\":4,\"completion_tokens\":1}}");
    assertThat(events[6])
        .isEqualTo(
            head + "],\"usage\":{\"prompt_tokens\":3,\"total_tokens\":7,\"completion_tokens\":4}}");
  }

  @Test
  void whole_logprobsAndIds_goldenObject() throws Exception {
    String answer =
        post(
            ",\"logprobs\":true,\"return_token_ids\":true,\"prompt_logprobs\":1,"
                + "\"return_tokens_as_token_ids\":true");
    assertThat(answer)
        .contains(
            "\"logprobs\":{\"content\":[{\"token\":\"token_id:10\",\"logprob\":-0.5,"
                + "\"bytes\":[72,101,108,108,111],\"top_logprobs\":[]},",
            "\"token_ids\":[10,11]",
            "\"prompt_logprobs\":[null,"
                + "{\"2\":{\"logprob\":-0.5,\"rank\":1,\"decoded_token\":\"b\"}},"
                + "{\"3\":{\"logprob\":-0.5,\"rank\":1,\"decoded_token\":\"c\"}}]",
            "\"prompt_token_ids\":[1,2,3]");
  }

  @Test
  void stopReason_stringTokenOrNothing_shown() throws Exception {
    server.engine.behave(
        submit -> {
          Delta.End end = new Delta.End(FinishReason.STOP, "END", -1, 0, 1, null);
          server.engine.send(FakeEngine.delta(submit, submit.keys()[0], 0, "x", end));
        });
    assertThat(post("")).contains("\"finish_reason\":\"stop\",\"stop_reason\":\"END\"");
    server.engine.behave(
        submit -> {
          Delta.End end = new Delta.End(FinishReason.STOP, null, 42, 0, 1, null);
          server.engine.send(FakeEngine.delta(submit, submit.keys()[0], 0, "x", end));
        });
    assertThat(post("")).contains("\"finish_reason\":\"stop\",\"stop_reason\":42");
    server.engine.behave(submit -> server.engine.say(submit, "Hello", " world"));
  }

  @Test
  void submit_allFields_arrive() throws Exception {
    post(
        ",\"model\":\"alias\",\"max_tokens\":9,\"max_completion_tokens\":7,\"n\":2,"
            + "\"temperature\":0.5,\"top_p\":0.9,\"top_k\":-1,\"min_p\":0.1,"
            + "\"presence_penalty\":0.1,\"frequency_penalty\":0.2,\"repetition_penalty\":1.1,"
            + "\"logit_bias\":{\"5\":200},\"seed\":11,\"stop\":\"END\",\"stop_token_ids\":[4],"
            + "\"include_stop_str_in_output\":true,\"ignore_eos\":true,\"min_tokens\":2,"
            + "\"skip_special_tokens\":false,\"add_generation_prompt\":false,"
            + "\"continue_final_message\":true,\"add_special_tokens\":true,"
            + "\"chat_template_kwargs\":{\"a\":1},\"documents\":[{\"t\":\"d\"}],"
            + "\"truncate_prompt_tokens\":50,\"bad_words\":[\"no\"],\"allowed_token_ids\":[3,5],"
            + "\"cache_salt\":\"pepper\",\"tools\":[{\"type\":\"function\",\"function\":"
            + "{\"name\":\"f\"}}],\"tool_choice\":\"auto\",\"what\":\"ever\"");
    Submit submit = server.engine.awaitSubmit();
    assertThat(submit.keys()).hasSize(2);
    assertThat(submit.sampling().maxTokens()).isEqualTo(7);
    assertThat(submit.sampling().seed()).isEqualTo(11);
    assertThat(submit.sampling().biasValues()).containsExactly(100f);
    assertThat(submit.sampling().topK()).isZero();
    assertThat(submit.text().stopStrings()).containsExactly("END");
    assertThat(submit.text().includeStop()).isTrue();
    assertThat(submit.text().skipSpecialTokens()).isFalse();
    assertThat(submit.text().streaming()).isFalse();
    assertThat(submit.badWords()).containsExactly("no");
    assertThat(submit.truncation()).isEqualTo(new Truncation(50, Truncation.End.LAST));
    assertThat(submit.cacheSalt()).isEqualTo("pepper");
    Prompt.Chat chat = (Prompt.Chat) submit.prompt();
    assertThat(chat.continueFinalMessage()).isTrue();
    assertThat(chat.addGenerationPrompt()).isFalse();
    assertThat(chat.addSpecialTokens()).isTrue();
    assertThat(chat.templateArguments()).containsKeys("a", "documents");
    assertThat(chat.tools()).hasSize(1);
  }

  @Test
  void submit_noSeedNoMaxTokens_randomSeedOpenLength() throws Exception {
    post("");
    Submit first = server.engine.awaitSubmit();
    post("");
    Submit second = server.engine.awaitSubmit();
    assertThat(first.sampling().seed()).isNotEqualTo(second.sampling().seed());
    assertThat(first.sampling().maxTokens()).isEqualTo(Submit.MAX_TOKENS_OPEN);
    assertThat(first.truncation()).isEqualTo(Truncation.NONE);
  }

  @Test
  void messages_partsAndToolCalls_broughtIntoTemplateForm() throws Exception {
    server.engine.submitted.clear();
    HttpResponse<String> response =
        server.post(
            "/v1/chat/completions",
            """
            {"messages":[
              {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"},
                {"type":"thinking","thinking":"c"}]},
              {"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"1","type":"function",
                "function":{"name":"f","arguments":"{\\"x\\":[1,2]}"}}]},
              {"role":"tool","tool_call_id":"1","content":"ok"}]}\
            """);
    assertThat(response.statusCode()).isEqualTo(200);
    Prompt.Chat chat = (Prompt.Chat) server.engine.awaitSubmit().prompt();
    assertThat(chat.messages().get(0))
        .containsEntry(
            "content",
            Stream.of("a", "b", "c").map(it -> Map.of("type", "text", "text", it)).toList());
    assertThat(String.valueOf(chat.messages().get(1).get("tool_calls")))
        .contains("arguments={x=[1, 2]}");
    assertThat(chat.messages().get(1)).containsEntry("content", "").doesNotContainKey("refusal");
    assertThat(chat.messages().get(2)).containsEntry("tool_call_id", "1");
  }

  @Test
  void messages_sentBack_asTemplatesAskForThem() throws Exception {
    server.engine.submitted.clear();
    HttpResponse<String> response =
        server.post(
            "/v1/chat/completions",
            """
            {"messages":[
              {"role":"user","content":[{"type":"text","text":"a"}]},
              {"role":"assistant","content":"b","tool_calls":[],"reasoning":"Hm."},
              {"role":"assistant","content":"c","reasoning_content":"So."},
              {"role":"user","content":"d","reasoning":"Not here."},
              {"role":"ipython"},
              {"role":"%s","content":"e"}]}\
            """
                .formatted("r".repeat(64)));
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    List<Map<String, Object>> messages =
        ((Prompt.Chat) server.engine.awaitSubmit().prompt()).messages();
    assertThat(messages.get(0)).containsEntry("content", "a");
    assertThat(messages.get(1))
        .doesNotContainKey("tool_calls")
        .containsEntry("reasoning", "Hm.")
        .containsEntry("reasoning_content", "Hm.");
    assertThat(messages.get(2))
        .containsEntry("reasoning", "So.")
        .containsEntry("reasoning_content", "So.");
    assertThat(messages.get(3)).doesNotContainKey("reasoning_content");
    assertThat(messages.get(4)).isEqualTo(Map.of("role", "ipython", "content", ""));
  }

  @Test
  void templateKwargs_namedAsFields_countWhereTheFieldsAreNotThere() throws Exception {
    server.engine.submitted.clear();
    post(
        ",\"chat_template_kwargs\":{\"add_generation_prompt\":false,"
            + "\"continue_final_message\":true,\"documents\":[{\"t\":\"d\"}],"
            + "\"tools\":[{\"type\":\"function\"}],\"reasoning_effort\":\"low\"}");
    Prompt.Chat chat = (Prompt.Chat) server.engine.awaitSubmit().prompt();
    assertThat(chat.addGenerationPrompt()).isFalse();
    assertThat(chat.continueFinalMessage()).isTrue();
    assertThat(chat.templateArguments())
        .containsOnlyKeys("documents", "tools", "reasoning_effort")
        .containsEntry("reasoning_effort", "low");
    post(
        ",\"add_generation_prompt\":true,\"documents\":[{\"t\":\"own\"}],"
            + "\"reasoning_effort\":\"high\",\"chat_template_kwargs\":"
            + "{\"add_generation_prompt\":false,\"documents\":[{\"t\":\"d\"}],"
            + "\"reasoning_effort\":\"low\",\"enable_thinking\":false}");
    chat = (Prompt.Chat) server.engine.awaitSubmit().prompt();
    assertThat(chat.addGenerationPrompt()).isTrue();
    assertThat(chat.templateArguments())
        .containsEntry("documents", List.of(Map.of("t", "own")))
        .containsEntry("reasoning_effort", "high")
        .containsEntry("enable_thinking", false);
    for (String bad :
        List.of(
            "{\"add_generation_prompt\":1}|chat_template_kwargs.add_generation_prompt",
            "{\"continue_final_message\":true}|continue_final_message",
            "{\"documents\":[1]}|chat_template_kwargs.documents.0",
            "{\"tools\":{}}|chat_template_kwargs.tools")) {
      String[] parts = bad.split("\\|");
      HttpResponse<String> response =
          server.post("/v1/chat/completions", chat(",\"chat_template_kwargs\":" + parts[0]));
      assertThat(response.statusCode()).as(bad).isEqualTo(400);
      assertThat(response.body()).as(bad).contains("\"param\":\"" + parts[1] + "\"");
    }
  }

  @Test
  void badFields_each_refusedWithTheirName() throws Exception {
    for (List<String> bad :
        List.of(
            List.of(",\"temperature\":\"hot\"", "temperature"),
            List.of(",\"n\":129", "n"),
            List.of(",\"n\":2,\"temperature\":0", "n"),
            List.of(",\"max_tokens\":0", "max_tokens"),
            List.of(",\"stop\":\"\"", "stop"),
            List.of(",\"stop\":[1]", "stop.0"),
            List.of(",\"logprobs\":3", "logprobs"),
            List.of(",\"top_logprobs\":3", "top_logprobs"),
            List.of(",\"logprobs\":true,\"top_logprobs\":21", "top_logprobs"),
            List.of(",\"logprobs\":true,\"top_logprobs\":-1", "top_logprobs"),
            List.of(",\"prompt_logprobs\":-1", "prompt_logprobs"),
            List.of(",\"stream_options\":{}", "stream_options"),
            List.of(",\"stream\":true,\"prompt_logprobs\":1", "prompt_logprobs"),
            List.of(",\"tool_choice\":\"required\"", "tool_choice"),
            List.of(",\"tool_choice\":\"auto\"", "tool_choice"),
            List.of(",\"tools\":[]", "tools"),
            List.of(",\"reasoning_effort\":\"utmost\"", "reasoning_effort"),
            List.of(",\"tools\":[{\"type\":\"x\"}]", "tools.0.type"),
            List.of(",\"best_of\":2", "best_of"),
            List.of(",\"bad_words\":[\"a\"],\"use_beam_search\":true", "use_beam_search"),
            List.of(",\"thinking_token_budget\":5", "thinking_token_budget"),
            List.of(",\"chat_template\":\"x\"", "chat_template"),
            List.of(",\"continue_final_message\":true", "continue_final_message"),
            List.of(",\"priority\":1", "priority"),
            List.of(",\"cache_salt\":\"\"", "cache_salt"),
            List.of(",\"truncate_prompt_tokens\":0", "truncate_prompt_tokens"),
            List.of(",\"documents\":[1]", "documents.0"),
            List.of(",\"allowed_token_ids\":[100]", "allowed_token_ids[0]"))) {
      HttpResponse<String> response = server.post("/v1/chat/completions", chat(bad.get(0)));
      assertThat(response.statusCode()).as(bad.get(0)).isEqualTo(400);
      assertThat(response.body())
          .as(bad.get(0))
          .startsWith("{\"error\":{\"message\":\"")
          .contains("\"type\":\"BadRequestError\",\"param\":\"" + bad.get(1) + "\",\"code\":400}}");
    }
  }

  @Test
  void badMessages_each_refused() throws Exception {
    for (String messages :
        List.of(
            "[]",
            "{}",
            "[1]",
            "[{\"role\":\"user\"}]",
            "[{\"role\":\"\",\"content\":\"x\"}]",
            "[{\"role\":\"" + "r".repeat(65) + "\",\"content\":\"x\"}]",
            "[{\"role\":5,\"content\":\"x\"}]",
            "[{\"role\":\"ipython\",\"content\":3}]",
            "[{\"role\":\"user\",\"content\":3}]",
            "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]",
            "[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
                + "\"arguments\":\"[\"}}]}]")) {
      HttpResponse<String> response =
          server.post("/v1/chat/completions", "{\"messages\":" + messages + "}");
      assertThat(response.statusCode()).as(messages).isEqualTo(400);
      assertThat(response.body()).contains("\"param\":\"messages");
    }
  }

  @Test
  void model_unknown_notFound() throws Exception {
    HttpResponse<String> response = server.post("/v1/chat/completions", chat(",\"model\":\"X\""));
    assertThat(response.statusCode()).isEqualTo(404);
    assertThat(response.body())
        .isEqualTo(
            "{\"error\":{\"message\":\"The model `X` does not exist.\",\"type\":\"NotFoundError\","
                + "\"param\":\"model\",\"code\":404}}");
  }
}
