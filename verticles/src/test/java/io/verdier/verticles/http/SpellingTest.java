package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import java.net.http.HttpResponse;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Numbers and switches that clients send as texts, and whole numbers that they send as doubles. */
class SpellingTest {
  private static HttpFixture server;

  @BeforeAll
  static void start() throws Exception {
    server = HttpFixture.start();
    server.engine.behave(submit -> server.engine.say(submit, "Hello"));
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static String chat(String more) {
    return "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]," + more + "}";
  }

  private static void chatted(String more) throws Exception {
    HttpResponse<String> response = server.post("/v1/chat/completions", chat(more));
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
  }

  private static void completed(String fields) throws Exception {
    HttpResponse<String> response = server.post("/v1/completions", "{" + fields + "}");
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
  }

  @Test
  void values_speltAsAnotherType_areWhatTheyMean() throws Exception {
    server.engine.submitted.clear();
    chatted(
        "\"max_tokens\":\"7\",\"temperature\":\"0.5\",\"top_k\":\"4.0\",\"seed\":11.0,"
            + "\"stop_token_ids\":[4.0,5],\"skip_special_tokens\":\"False\","
            + "\"ignore_eos\":1,\"stream_options\":{\"include_usage\":\"yes\"},"
            + "\"stream\":\"on\"");
    Submit submit = server.engine.awaitSubmit();
    assertThat(submit.sampling().maxTokens()).isEqualTo(7);
    assertThat(submit.sampling().temperature()).isEqualTo(0.5f);
    assertThat(submit.sampling().topK()).isEqualTo(4);
    assertThat(submit.sampling().seed()).isEqualTo(11);
    assertThat(submit.sampling().stopTokenIds()).containsExactly(4, 5);
    assertThat(submit.sampling().ignoreEos()).isTrue();
    assertThat(submit.text().skipSpecialTokens()).isFalse();
    assertThat(submit.text().streaming()).isTrue();
    for (String bad :
        List.of(
            "\"max_tokens\":\"7.5\"",
            "\"max_tokens\":\"\"",
            "\"max_tokens\":\"seven\"",
            "\"max_tokens\":\"1_000\"",
            "\"max_tokens\":\"99999999999999999999\"",
            "\"seed\":\"9223372036854775808\"",
            "\"max_tokens\":true",
            "\"temperature\":\"nan\"",
            "\"stream\":\"maybe\"",
            "\"stream\":2",
            "\"stop_token_ids\":[4.5]",
            "\"user\":5")) {
      HttpResponse<String> response = server.post("/v1/chat/completions", chat(bad));
      assertThat(response.statusCode()).as(bad).isEqualTo(400);
      assertThat(response.body()).as(bad).contains("\"param\":" + bad.split("\":", 2)[0]);
    }
  }

  @Test
  void prompts_idsAsDoubles_areTheIdsTheyMean() throws Exception {
    server.engine.submitted.clear();
    completed("\"prompt\":[1.0,2]");
    assertThat(((Prompt.Tokens) server.engine.awaitSubmit().prompt()).ids()).containsExactly(1, 2);
    completed("\"prompt\":[[3.0]]");
    assertThat(((Prompt.Tokens) server.engine.awaitSubmit().prompt()).ids()).containsExactly(3);
  }

  @Test
  void echo_ofAPromptAlone_isFoundInEverySpelling() throws Exception {
    for (String none : List.of("0", "0.0", "\"0\"")) {
      server.engine.submitted.clear();
      completed("\"prompt\":\"Hi\",\"echo\":true,\"max_tokens\":" + none);
      assertThat(server.engine.awaitSubmit().sampling().maxTokens()).as(none).isZero();
    }
  }

  @Test
  void seeds_ofAllSixtyFourBits_areTaken() throws Exception {
    for (long seed : new long[] {Long.MIN_VALUE, Long.MAX_VALUE}) {
      server.engine.submitted.clear();
      chatted("\"seed\":\"" + seed + "\"");
      assertThat(server.engine.awaitSubmit().sampling().seed()).isEqualTo(seed);
    }
  }

  @Test
  void values_ofFreeObjects_stayWhatTheyAre() throws Exception {
    server.engine.submitted.clear();
    chatted("\"chat_template_kwargs\":{\"n\":\"5\",\"x\":2.0,\"max_tokens\":\"7\"}");
    assertThat(((Prompt.Chat) server.engine.awaitSubmit().prompt()).templateArguments())
        .containsEntry("n", "5")
        .containsEntry("x", 2.0)
        .containsEntry("max_tokens", "7");
  }
}
