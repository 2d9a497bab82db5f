package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.model.Classifier;
import io.verdier.engine.model.EmbeddingSpec;
import io.verdier.engine.sample.Pooling;
import io.verdier.verticles.bus.Prompt;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A body within all limits of bodies that asks for many times what it has. */
class RepeatsTest {
  private static final int PROMPTS = 128; // as many as the fixture takes
  private static HttpFixture server;

  @BeforeAll
  static void start() throws Exception {
    server = HttpFixture.start();
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  @BeforeEach
  void reset() {
    server.engine.submitted.clear();
  }

  private static String repeated(int count, String element) {
    return String.join(",", Collections.nCopies(count, element));
  }

  /** So many small fields. */
  private static String fields(int count) {
    return IntStream.range(0, count)
        .mapToObj(i -> "\"a" + i + "\":0")
        .collect(Collectors.joining(","));
  }

  private static void assertRefused(String path, String body, String parameter, String... words)
      throws Exception {
    HttpResponse<String> answer = server.post(path, body);
    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(400);
    assertThat(answer.body()).contains("\"param\":\"" + parameter + "\"").contains(words);
    assertThat(server.engine.submitted).isEmpty();
    HttpFixture.await(() -> server.admission.taken() == 0);
  }

  private static void assertTaken(String path, String body) throws Exception {
    HttpResponse<String> answer = server.post(path, body);
    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
    server.engine.submitted.clear();
  }

  private static String instances(int count, String instance, String parameters) {
    return "{\"instances\":[%s],\"parameters\":{%s}}"
        .formatted(repeated(count, instance), parameters);
  }

  @Test
  void parameters_manyForManyInstances_refused() throws Exception {
    String instance = "{\"prompt\":\"a\"}";
    assertRefused(
        "/generate",
        instances(PROMPTS, instance, fields(10_000)),
        "parameters",
        "each of 128 prompts, which makes 1280128 values; the limit is 800000",
        "--max-json-nodes");
    assertTaken("/generate", instances(1, instance, fields(10_000)));
    assertTaken("/generate", instances(PROMPTS, instance, fields(500)));
  }

  @Test
  void parameters_longForManyInstances_refused() throws Exception {
    String schema =
        "\"structured_outputs\":{\"json\":{\"type\":\"string\",\"description\":\"%s\"}}";
    String instance = "{\"prompt\":\"a\"}";
    assertRefused(
        "/generate",
        instances(3, instance, schema.formatted("x".repeat(400_000))),
        "parameters",
        "characters; the limit is 1048576",
        "--max-body-bytes");
    assertTaken("/generate", instances(3, instance, schema.formatted("x".repeat(4_000))));
    assertRefused(
        "/generate",
        instances(3, "{}", "\"prompt\":\"" + "x".repeat(400_000) + "\""),
        "parameters",
        "characters; the limit is 1048576");
  }

  @Test
  void batch_muchForManyConversations_refused() throws Exception {
    String conversation = "[{\"role\":\"user\",\"content\":\"Hi\"}]";
    String body = "{\"messages\":[%s],\"chat_template_kwargs\":{%s}}";
    assertRefused(
        "/v1/chat/completions/batch",
        body.formatted(repeated(PROMPTS, conversation), fields(10_000)),
        "body",
        "the limit is 800000");
    assertTaken(
        "/v1/chat/completions/batch", body.formatted(repeated(PROMPTS, conversation), fields(500)));
  }

  @Test
  void echo_longForManyChoices_refused() throws Exception {
    String text = "x".repeat(100_000);
    String completion = "{\"prompt\":\"%s\",\"echo\":true,\"max_tokens\":1,\"n\":%d%s}";
    String words = "would repeat 2000000 characters of prompts";
    for (String more : new String[] {"", ",\"stream\":true", ",\"truncate_prompt_tokens\":1"}) {
      assertRefused("/v1/completions", completion.formatted(text, 20, more), "echo", words);
      assertTaken("/v1/completions", completion.formatted(text, 5, more));
    }
    String chat =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},"
            + "{\"role\":\"assistant\",\"content\":\"%s\"}],\"add_generation_prompt\":false,"
            + "\"continue_final_message\":true,\"echo\":true,\"n\":%d}";
    assertRefused("/v1/chat/completions", chat.formatted(text, 20), "echo", words);
    assertTaken("/v1/chat/completions", chat.formatted(text, 5));
    String two =
        "{\"instances\":[%s,%s]}".formatted(chat.formatted(text, 7), chat.formatted(text, 7));
    assertRefused("/generate", two, "echo", "would repeat 1400000 characters");
  }

  @Test
  void predictions_longForManyChoices_refused() throws Exception {
    String text = "x".repeat(100_000);
    String body = "{\"prompt\":\"%s\",\"n\":%d,\"raw_response\":%s}";
    assertRefused(
        "/generate", body.formatted(text, 20, false), "raw_response", "would repeat 2000000");
    assertTaken("/generate", body.formatted(text, 5, false));
    assertTaken("/generate", body.formatted(text, 20, true));
  }

  @Test
  void arguments_ofManyCalls_haveTheValuesOfOneBodyTogether() throws Exception {
    String arguments = "{\\\"a\\\":[" + repeated(90_000, "0") + "]}";
    String message =
        "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":"
            + "{\"name\":\"f\",\"arguments\":\""
            + arguments
            + "\"}}]}";
    String body = "{\"messages\":[%s]}";
    assertTaken("/v1/chat/completions", body.formatted(repeated(2, message)));
    String words = "all calls together: The JSON has more than 200000 values.";
    assertRefused(
        "/v1/chat/completions",
        body.formatted(repeated(3, message)),
        "messages.2.tool_calls.0.function.arguments",
        words);
    assertRefused(
        "/v1/chat/completions/batch",
        body.formatted(repeated(3, "[" + message + "]")),
        "messages.0.tool_calls.0.function.arguments",
        words);
    String item =
        "{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\""
            + arguments
            + "\"}";
    HttpResponse<String> response =
        server.post("/v1/responses", "{\"input\":[%s]}".formatted(repeated(3, item)));
    assertThat(response.statusCode()).isEqualTo(400);
    assertThat(response.body()).contains(words);
  }

  @Test
  void query_longForManyDocuments_refused() throws Exception {
    Classifier head =
        new Classifier(List.of("good"), new float[] {1}, Classifier.Activation.SIGMOID);
    EmbeddingSpec spec = new EmbeddingSpec(Pooling.LAST, false, 1, false, new int[0], head);
    String body = "{\"query\":\"%s\",\"documents\":[%s]}";
    String query = "x".repeat(100_000);
    try (HttpFixture ranking =
        HttpFixture.start(options -> options.embedding = Optional.of(spec))) {
      HttpResponse<String> answer =
          ranking.post("/rerank", body.formatted(query, repeated(20, "\"a\"")));
      assertThat(answer.statusCode()).as(answer.body()).isEqualTo(400);
      assertThat(answer.body()).contains("each of 20 documents, which makes 2000000 characters");
      ranking.engine.hold();
      try (Socket fits = ranking.rawPost("/rerank", body.formatted(query, repeated(5, "\"a\"")))) {
        for (int document = 0; document < 5; document++) {
          assertThat(ranking.engine.awaitSubmit().prompt()).isEqualTo(new Prompt.Pair(query, "a"));
        }
        assertThat(fits.isClosed()).isFalse();
      }
    }
  }
}
