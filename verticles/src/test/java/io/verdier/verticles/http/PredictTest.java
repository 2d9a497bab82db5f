package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.ErrorCode;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PredictTest {
  private static HttpFixture server;

  @BeforeAll
  static void start() throws Exception {
    server =
        HttpFixture.start(
            options -> options.generationDefaults = Map.of("temperature", 0.6, "top_p", 0.9));
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  @BeforeEach
  void reset() {
    server.engine.submitted.clear();
    server.engine.behave(submit -> server.engine.say(submit, "\n Hello", "\nworld \n\n"));
  }

  private static String post(String body) throws Exception {
    return ChatCompletionsTest.fixed(server.post("/generate", body, "X-Request-Id", "r1").body());
  }

  @Test
  void shapeA_severalInstances_formattedInOrder() throws Exception {
    assertThat(
            post(
                "{\"instances\":[{\"prompt\":\" \\t\\n a  b \\n\"},"
                    + "{\"prompt\":\"c\",\"max_tokens\":5}],\"parameters\":{\"max_tokens\":9,"
                    + "\"temperature\":0.25}}"))
        .isEqualTo(
            "{\"predictions\":[\"Prompt:\\na  b\\nOutput:\\n Hello\\nworld \","
                + "\"Prompt:\\nc\\nOutput:\\n Hello\\nworld \"]}");
    Submit first = server.engine.awaitSubmit();
    assertThat(first.prompt()).isEqualTo(new Prompt.Text(" \t\n a  b \n", true));
    assertThat(first.sampling().maxTokens()).isEqualTo(9);
    assertThat(first.sampling().temperature()).isEqualTo(0.25f);
    assertThat(first.sampling().topP()).isEqualTo(1f);
    assertThat(server.engine.awaitSubmit().sampling().maxTokens()).isEqualTo(5);
  }

  @Test
  void shapeB_plain_sameAsA() throws Exception {
    assertThat(post("{\"prompt\":\"c\"}"))
        .isEqualTo("{\"predictions\":[\"Prompt:\\nc\\nOutput:\\n Hello\\nworld \"]}");
    assertThat(server.engine.awaitSubmit().sampling().maxTokens()).isEqualTo(16);
  }

  @Test
  void raw_twoChoices_textCountsAndLogprobs() throws Exception {
    assertThat(post("{\"prompt\":\"c\",\"raw_response\":true,\"n\":2}"))
        .isEqualTo(
            "{\"predictions\":[\"\\n Hello\\nworld \\n\\n\",\"\\n Hello\\nworld \\n\\n\"],"
                + "\"output_token_counts\":[2,2],\"cumulative_logprobs\":[-1.0,-1.0]}");
  }

  @Test
  void shapeC_chat_bareCompletion() throws Exception {
    String chat = "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]";
    String bare = post("{\"@requestFormat\":\"chatCompletions\",\"model\":\"\"," + chat + "}");
    assertThat(bare)
        .startsWith("{\"id\":\"chatcmpl-r1\",\"object\":\"chat.completion\"")
        .contains("\"content\":\"\\n Hello\\nworld \\n\\n\"");
    assertThat(server.engine.awaitSubmit().sampling().temperature()).isEqualTo(0.6f);
    assertThat(post("{" + chat + "}")).isEqualTo(bare);
  }

  @Test
  void shapeC_streamed_serverSentEvents() throws Exception {
    String answer =
        post(
            "{\"@requestFormat\":\"chatCompletions\",\"stream\":true,"
                + "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}");
    assertThat(answer).startsWith("data: {\"id\":\"chatcmpl-r1\"").endsWith("data: [DONE]\n\n");
  }

  @Test
  void shapeD_one_predictionsIsTheObject() throws Exception {
    String instance =
        "{\"@requestFormat\":\"chatCompletions\","
            + "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}";
    String bare = post(instance);
    assertThat(post("{\"instances\":[" + instance + "]}"))
        .isEqualTo("{\"predictions\":" + bare + "}");
    assertThat(post("{\"instances\":[" + instance + "," + instance + "]}"))
        .isEqualTo("{\"predictions\":[" + bare + "," + bare + "]}");
  }

  @Test
  void shapeC_otherFormats_areThoseRoutes() throws Exception {
    assertThat(post("{\"@requestFormat\":\"completions\",\"prompt\":\"Hi\"}"))
        .startsWith("{\"id\":\"cmpl-r1\",\"object\":\"text_completion\"")
        .contains("\"text\":\"\\n Hello\\nworld \\n\\n\"");
    assertThat(post("{\"@requestFormat\":\"responses\",\"input\":\"Hi\"}"))
        .startsWith("{\"id\":\"resp_")
        .contains("\"text\":\"\\n Hello\\nworld \\n\\n\"");
    assertThat(post("{\"@requestFormat\":\"embeddings\",\"input\":\"Hi\"}"))
        .contains("does not support the Embeddings API");
  }

  @Test
  void streamed_text_documentsEndWithNul() throws Exception {
    HttpResponse<String> response =
        server.post("/aip/predict", "{\"prompt\":\"c\",\"stream\":true}");
    assertThat(response.headers().firstValue("content-type")).hasValue("application/octet-stream");
    assertThat(response.body())
        .isEqualTo("{\"predictions\":[\"\\n Hello\"]}\0{\"predictions\":[\"\\nworld \\n\\n\"]}\0");
    assertThat(
            post(
                "{\"instances\":[{\"prompt\":\"c\",\"stream\":true,\"raw_response\":true,"
                    + "\"n\":2}]}"))
        .startsWith(
            "{\"predictions\":[\"\\n Hello\",\"\"],\"output_token_counts\":[1,0],"
                + "\"cumulative_logprobs\":[-0.5,0.0]}\0"
                + "{\"predictions\":[\"\",\"\\n Hello\"],\"output_token_counts\":[0,1],"
                + "\"cumulative_logprobs\":[-0.5,-0.5]}\0");
  }

  @Test
  void streamed_failure_errorDocument() throws Exception {
    server.engine.behave(
        submit -> {
          server.engine.send(FakeEngine.delta(submit, submit.keys()[0], 0, "a", null));
          server.engine.send(
              Delta.refused(submit.keys()[0], ErrorCode.INTERNAL, "the step failed", null));
        });
    assertThat(post("{\"prompt\":\"c\",\"stream\":true}"))
        .endsWith(
            "\0{\"error\":{\"message\":\"the step failed\",\"type\":\"InternalServerError\","
                + "\"param\":null,\"code\":500}}\0");
  }

  @Test
  void badBodies_each_refused() throws Exception {
    String chat =
        "{\"@requestFormat\":\"chatCompletions\","
            + "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"stream\":true}";
    for (List<String> bad :
        List.of(
            List.of("{}", "instances"),
            List.of("{\"instances\":[]}", "instances"),
            List.of("{\"instances\":[1]}", "instances.0"),
            List.of("{\"instances\":[{}]}", "instances.0.prompt"),
            List.of("{\"instances\":[{\"prompt\":\"a\"}],\"parameters\":[]}", "parameters"),
            List.of("{\"instances\":[{\"prompt\":\"a\"}," + chat + "]}", "instances"),
            List.of("{\"instances\":[" + chat + "," + chat + "]}", "stream"),
            List.of(
                "{\"instances\":[{\"prompt\":\"a\",\"dynamic-lora\":\"/etc\"}]}",
                "instances.0.dynamic-lora"),
            List.of("{\"prompt\":\"a\",\"lora_id\":\"x\"}", "lora_id"),
            List.of("{\"prompt\":\"a\",\"multi_modal_data\":{}}", "multi_modal_data"),
            List.of("{\"@requestFormat\":\"audio\",\"prompt\":\"a\"}", "@requestFormat"),
            List.of(
                "{\"instances\":[{\"@requestFormat\":\"embeddings\",\"input\":\"a\"}]}",
                "instances.0.@requestFormat"))) {
      HttpResponse<String> response = server.post("/generate", bad.get(0));
      assertThat(response.statusCode()).as(bad.get(0)).isEqualTo(400);
      assertThat(response.body()).as(bad.get(0)).contains("\"param\":\"" + bad.get(1) + "\"");
    }
    assertThat(post("{\"prompt\":\"a\",\"dynamic-lora\":\"http://h/x.zip\"}"))
        .contains("http://h/x.zip: requests may not name adapters there.");
  }
}
