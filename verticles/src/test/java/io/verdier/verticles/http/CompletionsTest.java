package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.ErrorCode;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import java.net.http.HttpResponse;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class CompletionsTest {
  private static HttpFixture server;

  @BeforeAll
  static void start() throws Exception {
    server = HttpFixture.start(options -> options.promptDetails = true);
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  @BeforeEach
  void reset() {
    server.engine.submitted.clear();
    server.engine.behave(submit -> server.engine.say(submit, "Hello", " world"));
  }

  private static String post(String fields) throws Exception {
    String body = "{" + fields + "}";
    return ChatCompletionsTest.fixed(
        server.post("/v1/completions", body, "X-Request-Id", "r1").body());
  }

  @Test
  void whole_plain_goldenObject() throws Exception {
    assertThat(post("\"prompt\":\"Hi\""))
        .isEqualTo(
            """
            {"id":"cmpl-r1","object":"text_completion","created":0,"model":"demo","choices":[\
            {"index":0,"text":"Hello world","logprobs":null,"finish_reason":"stop",\
            "stop_reason":null,"prompt_logprobs":null,"prompt_token_ids":null,"token_ids":null}],\
            "service_tier":null,"system_fingerprint":"verdier-1.2.3","usage":{"prompt_tokens":3,\
            "total_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":2}},\
            "kv_transfer_params":null}\
            """);
    Submit submit = server.engine.awaitSubmit();
    assertThat(submit.prompt()).isEqualTo(new Prompt.Text("Hi", true));
    assertThat(submit.sampling().maxTokens()).isEqualTo(16);
  }

  @Test
  void whole_logprobs_goldenLists() throws Exception {
    assertThat(post("\"prompt\":\"Hi\",\"logprobs\":2,\"prompt_logprobs\":0"))
        .contains(
            "\"logprobs\":{\"text_offset\":[0,5],\"token_logprobs\":[-0.5,-0.5],"
                + "\"tokens\":[\"Hello\",\" world\"],"
                + "\"top_logprobs\":[{\"Hello\":-0.5,\"alt1\":-9999.0},"
                + "{\" world\":-0.5,\"alt1\":-9999.0}]}",
            "\"prompt_logprobs\":[null,{\"2\":{");
  }

  @Test
  void whole_severalChoices_eachHasThePromptsScores() throws Exception {
    String answer = post("\"prompt\":\"Hi\",\"n\":2,\"temperature\":1,\"prompt_logprobs\":0");
    assertThat(answer.split("\"prompt_logprobs\":\\[null,\\{\"2\":\\{", -1)).hasSize(3);
  }

  @Test
  void offsets_beyondTheBasicPlane_countCodePoints() throws Exception {
    server.engine.behave(submit -> server.engine.say(submit, "🐦", "é", "!"));
    assertThat(post("\"prompt\":\"Hi\",\"logprobs\":0")).contains("\"text_offset\":[0,1,2]");
    String[] events = post("\"prompt\":\"Hi\",\"logprobs\":0,\"stream\":true").split("\n\n");
    assertThat(events[2]).contains("\"text_offset\":[2]");
    server.engine.behave(submit -> server.engine.say(submit, "Hello", " world"));
  }

  @Test
  void stream_plain_goldenEvents() throws Exception {
    String head =
        "data: {\"id\":\"cmpl-r1\",\"object\":\"text_completion\",\"created\":0,"
            + "\"model\":\"demo\",\"choices\":[{\"index\":0,\"text\":";
    assertThat(post("\"prompt\":\"Hi\",\"stream\":true"))
        .isEqualTo(
            head
                + "\"Hello\",\"logprobs\":null,\"finish_reason\":null,\"stop_reason\":null}]}\n\n"
                + head
                + "\" world\",\"logprobs\":null,\"finish_reason\":\"stop\","
                + "\"stop_reason\":null}]}\n\ndata: [DONE]\n\n");
  }

  @Test
  void stream_echoLogprobsUsage_goldenEvents() throws Exception {
    String[] events =
        post("\"prompt\":\"Hi\",\"stream\":true,\"echo\":true,"
                + "\"stream_options\":{\"include_usage\":true}")
            .split("\n\n");
    assertThat(events[0]).contains("\"text\":\"Hi\"");
    assertThat(events[3])
        .contains("\"choices\":[],\"usage\":", "\"prompt_tokens_details\":{\"cached_tokens\":2}");
    events =
        post("\"prompt\":\"Hi\",\"stream\":true,\"stream_options\":"
                + "{\"include_usage\":true,\"continuous_usage_stats\":true}")
            .split("\n\n");
    assertThat(events[0])
        .endsWith("],\"usage\":{\"prompt_tokens\":3,\"total_tokens\":4,\"completion_tokens\":1}}");
    events = post("\"prompt\":\"Hi\",\"stream\":true,\"logprobs\":0").split("\n\n");
    assertThat(events[1]).contains("\"text_offset\":[5]", "\"tokens\":[\" world\"]");
  }

  @Test
  void whole_echoWithLogprobs_promptIsScoredToo() throws Exception {
    String answer =
        post("\"prompt\":\"abc\",\"n\":2,\"temperature\":1,\"echo\":true,\"logprobs\":1");
    String scores =
        "\"text_offset\":[0,1,2,3,8],\"token_logprobs\":[null,-0.5,-0.5,-0.5,-0.5],"
            + "\"tokens\":[\"a\",\"b\",\"c\",\"Hello\",\" world\"],\"top_logprobs\":[null,"
            + "{\"b\":-0.5},{\"c\":-0.5},{\"Hello\":-0.5},{\" world\":-0.5}]";
    assertThat(answer)
        .contains(
            "{\"index\":0,\"text\":\"abcHello world\",\"logprobs\":{" + scores,
            "{\"index\":1,\"text\":\"abcHello world\",\"logprobs\":{" + scores,
            "\"prompt_logprobs\":null");
    Submit submit = server.engine.awaitSubmit();
    assertThat(submit.sampling().promptLogprobs()).isEqualTo(1);
  }

  @Test
  void stream_echoWithLogprobs_promptsEventsFirst() throws Exception {
    String[] events =
        post("\"prompt\":\"abc\",\"stream\":true,\"echo\":true,\"logprobs\":0").split("\n\n");
    assertThat(events[0])
        .contains("\"text\":\"abc\"", "\"token_logprobs\":[null,-0.5,-0.5]")
        .contains("\"text_offset\":[0,1,2]", "\"finish_reason\":null");
    assertThat(events[1]).contains("\"text\":\"Hello\"", "\"text_offset\":[3]");
    assertThat(events[2]).contains("\"text\":\" world\"", "\"finish_reason\":\"stop\"");
  }

  @Test
  void echo_tokenIds_theirTextComesFirst() throws Exception {
    assertThat(post("\"prompt\":[[5,6],[7]],\"echo\":true"))
        .contains("\"text\":\"text of 2Hello world\"", "\"text\":\"text of 1Hello world\"");
  }

  @Test
  void prompts_severalTimesN_numberedThrough() throws Exception {
    String answer = post("\"prompt\":[\"a\",\"b\"],\"n\":2,\"temperature\":1,\"echo\":true");
    assertThat(answer)
        .contains(
            "{\"index\":0,\"text\":\"aHello world\"",
            "{\"index\":1,\"text\":\"aHello world\"",
            "{\"index\":2,\"text\":\"bHello world\"",
            "{\"index\":3,\"text\":\"bHello world\"",
            "\"prompt_tokens\":6,\"total_tokens\":14,\"completion_tokens\":8");
    Submit first = server.engine.awaitSubmit();
    Submit second = server.engine.awaitSubmit();
    assertThat(first.sampling().seed()).isNotEqualTo(second.sampling().seed());
    assertThat(first.keys()).doesNotContain(second.keys());
  }

  @Test
  void prompts_tokenIds_passedOn() throws Exception {
    post("\"prompt\":[5,6]");
    assertThat(((Prompt.Tokens) server.engine.awaitSubmit().prompt()).ids()).containsExactly(5, 6);
    post("\"prompt\":[[5],[6,7]],\"add_special_tokens\":false");
    assertThat(((Prompt.Tokens) server.engine.awaitSubmit().prompt()).ids()).containsExactly(5);
    assertThat(((Prompt.Tokens) server.engine.awaitSubmit().prompt()).ids()).containsExactly(6, 7);
  }

  @Test
  void maxTokens_nullOrZeroWithEcho_sixteenOrNone() throws Exception {
    post("\"prompt\":\"Hi\",\"max_tokens\":null");
    assertThat(server.engine.awaitSubmit().sampling().maxTokens()).isEqualTo(16);
    post("\"prompt\":\"Hi\",\"max_tokens\":0,\"echo\":true");
    assertThat(server.engine.awaitSubmit().sampling().maxTokens()).isZero();
  }

  @Test
  void body_large_parsedAndCheckedTheSame() throws Exception {
    String text = "long text ".repeat(20_000);
    assertThat(post("\"prompt\":\"" + text + "\",\"echo\":true")).contains(text + "Hello world");
    assertThat(server.engine.awaitSubmit().prompt()).isEqualTo(new Prompt.Text(text, true));
    HttpResponse<String> refused =
        server.post("/v1/completions", "{\"prompt\":\"" + text + "\",\"n\":0}");
    assertThat(refused.statusCode()).isEqualTo(400);
    refused = server.post("/v1/completions", "{\"prompt\":\"" + text + "\"");
    assertThat(refused.statusCode()).isEqualTo(400);
    assertThat(refused.body()).contains("The JSON is malformed at line 1");
  }

  @Test
  void badFields_each_refusedWithTheirName() throws Exception {
    for (List<String> bad :
        List.of(
            List.of("\"n\":1", "prompt"),
            List.of("\"prompt\":[]", "prompt"),
            List.of("\"prompt\":{}", "prompt"),
            List.of("\"prompt\":[[]]", "prompt.0"),
            List.of("\"prompt\":[100]", "prompt.0"),
            List.of("\"prompt\":[-1]", "prompt.0"),
            List.of("\"prompt\":[1.5]", "prompt.0"),
            List.of("\"prompt\":[\"a\",1]", "prompt.1"),
            List.of("\"prompt\":\"a\",\"logprobs\":-1", "logprobs"),
            List.of("\"prompt\":\"a\",\"logprobs\":-2", "logprobs"),
            List.of("\"prompt\":\"a\",\"prompt_logprobs\":-1", "prompt_logprobs"),
            List.of("\"prompt\":[" + "\"a\",".repeat(128) + "\"a\"]", "prompt"),
            List.of("\"prompt\":\"a\",\"suffix\":\"b\"", "suffix"),
            List.of(
                "\"prompt\":\"a\",\"echo\":true,\"logprobs\":1,\"n\":2,\"stream\":true,"
                    + "\"temperature\":1",
                "echo"),
            List.of(
                "\"prompt\":\"a\",\"echo\":true,\"logprobs\":1,\"prompt_logprobs\":1",
                "prompt_logprobs"),
            List.of("\"prompt\":\"a\",\"logprobs\":true", "logprobs"),
            List.of("\"prompt\":\"a\",\"max_tokens\":0", "max_tokens"),
            List.of("\"prompt\":[\"a\",\"b\",\"c\"],\"n\":100", "n"))) {
      HttpResponse<String> response = server.post("/v1/completions", "{" + bad.get(0) + "}");
      assertThat(response.statusCode()).as(bad.get(0)).isEqualTo(400);
      assertThat(response.body()).as(bad.get(0)).contains("\"param\":\"" + bad.get(1) + "\"");
    }
    HttpFixture.await(() -> server.admission.taken() == 0);
  }

  @Test
  void refusal_beforeFirstToken_realStatusEvenWhenStreamed() throws Exception {
    server.engine.behave(
        submit ->
            server.engine.send(
                Delta.refused(
                    submit.keys()[0], ErrorCode.INVALID_ARGUMENT, "prompt too long", "prompt")));
    HttpResponse<String> response =
        server.post("/v1/completions", "{\"prompt\":\"x\",\"stream\":true}");
    assertThat(response.statusCode()).isEqualTo(400);
    assertThat(response.body())
        .isEqualTo(
            "{\"error\":{\"message\":\"prompt too long\",\"type\":\"BadRequestError\","
                + "\"param\":\"prompt\",\"code\":400}}");
  }

  @Test
  void failure_midStream_errorEventThenDoneAndOthersCancelled() throws Exception {
    server.engine.cancelled.clear();
    server.engine.behave(
        submit -> {
          server.engine.send(FakeEngine.delta(submit, submit.keys()[0], 0, "a", null));
          server.engine.send(
              Delta.refused(submit.keys()[0], ErrorCode.INTERNAL, "the step failed", null));
        });
    String answer = post("\"prompt\":\"x\",\"stream\":true,\"n\":2,\"temperature\":1");
    assertThat(answer)
        .endsWith(
            "data: {\"error\":{\"message\":\"the step failed\",\"type\":\"InternalServerError\","
                + "\"param\":null,\"code\":500}}\n\ndata: [DONE]\n\n");
    assertThat(server.engine.awaitCancel().keys())
        .containsExactly(server.engine.awaitSubmit().keys()[1]);
    HttpFixture.await(() -> server.admission.taken() == 0);
  }

  @Test
  void text_unicodeAndControls_validJsonInUtf8() throws Exception {
    String nasty = "é€😀\u0000\u001f\u007f\"\\\n\r\t\b\f\u2028</script>";
    server.engine.behave(submit -> server.engine.say(submit, nasty, "\ud800", "data: [DONE]\n\n"));
    HttpResponse<String> response =
        server.post("/v1/completions", "{\"prompt\":\"x\",\"stream\":true}");
    assertThat(response.headers().firstValue("content-type"))
        .hasValue("text/event-stream; charset=utf-8");
    String[] events = response.body().split("\n\n");
    assertThat(events).hasSize(4);
    assertThat(text(events[0])).isEqualTo(nasty);
    assertThat(text(events[1])).isEqualTo("\ufffd");
    assertThat(text(events[2])).isEqualTo("data: [DONE]\n\n");
  }

  private static String text(String event) throws Exception {
    return new com.fasterxml.jackson.databind.ObjectMapper()
        .readTree(event.substring("data: ".length()))
        .at("/choices/0/text")
        .textValue();
  }
}
