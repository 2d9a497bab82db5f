package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.verticles.http.routes.Routes;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * Bodies made of the fields that the routes know and values that fit or do not: the answer is an
 * answer or a refusal, never a fault, and no place is lost.
 */
class FuzzTest {
  private static final List<String> NAMES =
      List.of(
          "model",
          "messages",
          "prompt",
          "max_tokens",
          "max_completion_tokens",
          "n",
          "temperature",
          "top_p",
          "top_k",
          "min_p",
          "presence_penalty",
          "repetition_penalty",
          "logit_bias",
          "seed",
          "stop",
          "stop_token_ids",
          "include_stop_str_in_output",
          "ignore_eos",
          "min_tokens",
          "logprobs",
          "top_logprobs",
          "prompt_logprobs",
          "stream",
          "stream_options",
          "tools",
          "tool_choice",
          "add_generation_prompt",
          "continue_final_message",
          "chat_template_kwargs",
          "documents",
          "truncate_prompt_tokens",
          "bad_words",
          "allowed_token_ids",
          "echo",
          "user",
          "priority",
          "cache_salt",
          "request_id",
          "return_token_ids",
          "response_format",
          "best_of",
          "suffix",
          "instances",
          "parameters",
          "@requestFormat",
          "raw_response",
          "tokens",
          "return_token_strs",
          "dynamic-lora");

  private static final List<String> VALUES =
      List.of(
          "null",
          "true",
          "false",
          "0",
          "1",
          "-1",
          "2",
          "16",
          "2147483648",
          "-9223372036854775808",
          "9223372036854775808",
          "1e308",
          "0.5",
          "-0.0",
          "1e-300",
          "\"\"",
          "\"x\"",
          "\"auto\"",
          "\"chatCompletions\"",
          "[]",
          "{}",
          "[1]",
          "[1,2]",
          "[null]",
          "[[1]]",
          "[\"a\"]",
          "{\"1\":1}",
          "{\"a\":{}}",
          "{\"type\":\"text\"}",
          "{\"include_usage\":true}",
          "[{\"role\":\"user\",\"content\":\"x\"}]",
          "[{\"prompt\":\"a\"}]",
          "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}]",
          "[{\"@requestFormat\":\"chatCompletions\",\"messages\":"
              + "[{\"role\":\"user\",\"content\":\"x\"}]}]",
          "[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]",
          "[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
              + "\"arguments\":\"{}\"}}]}]");

  @Test
  void bodies_random_answeredOrRefusedNeverAFault() throws Exception {
    long seed = Long.getLong("seed", System.nanoTime());
    Random random = new Random(seed);
    ObjectMapper mapper = new ObjectMapper();
    try (HttpFixture server = HttpFixture.start()) {
      List<String> paths =
          Routes.table(server.config).stream()
              .filter(route -> route.gate() == Route.Gate.WORK)
              .map(Route::path)
              .toList();
      int answered = 0;
      for (int i = 0; i < 4000; i++) {
        String body = body(random);
        String path = paths.get(random.nextInt(paths.size()));
        HttpResponse<String> response = server.post(path, body);
        String shown = "-Dseed=" + seed + " " + path + " " + body + " -> " + response.body();
        assertThat(response.statusCode()).as(shown).isIn(200, 400, 404);
        if (response.statusCode() == 200) {
          answered++;
        } else {
          JsonNode error = mapper.readTree(response.body()).get("error");
          assertThat(error.get("message").textValue()).as(shown).isNotBlank();
          assertThat(error.get("message").textValue())
              .as(shown)
              .doesNotContain("io.verdier", "java.", "Exception");
        }
      }
      assertThat(answered).as("-Dseed=" + seed).isPositive();
      HttpFixture.await(() -> server.admission.taken() == 0);
    }
  }

  private static String body(Random random) {
    StringBuilder body = new StringBuilder("{");
    int fields = random.nextInt(7);
    int first = random.nextInt(NAMES.size());
    for (int i = 0; i < fields; i++) {
      String name = NAMES.get((first + i * 7) % NAMES.size());
      String value = VALUES.get(random.nextInt(VALUES.size()));
      body.append(i == 0 ? "" : ",").append('"').append(name).append("\":").append(value);
    }
    if (random.nextBoolean()) {
      body.append(fields == 0 ? "" : ",").append("\"x\":1");
      String[] bases = {
        ",\"prompt_\":1",
        ",\"prompt\":\"x\"",
        ",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
      };
      String base = bases[random.nextInt(bases.length)];
      String name = base.substring(1, base.indexOf(':'));
      if (body.indexOf(name + ":") < 0) {
        body.append(base);
      }
    }
    body.append('}');
    if (random.nextInt(20) == 0) {
      body.setLength(random.nextInt(body.length()));
    }
    return body.toString();
  }
}
