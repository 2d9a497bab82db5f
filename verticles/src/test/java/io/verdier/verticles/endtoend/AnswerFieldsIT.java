package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.launch.InProcessServer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Fields that say what answers look like and where they end, on the demo model. Costs some 3 s. */
class AnswerFieldsIT {
  private static final String CHATS = "/v1/chat/completions";
  private static final String TEXTS = "/v1/completions";

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    server = InProcessServer.start("--max-logprobs=-1");
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.awaitIdle();
    server.close();
  }

  private static JsonNode ok(String path, Map<String, ?> body) {
    Answer answer = client.post(path, body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json();
  }

  private static Map<String, Object> chat(Map<String, ?> more) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("messages", List.of(Map.of("role", "user", "content", "What is a car?")));
    body.put("max_tokens", 5);
    body.put("temperature", 0);
    body.putAll(more);
    return body;
  }

  private static Map<String, Object> text(Map<String, ?> more) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", "A car is");
    body.put("max_tokens", 5);
    body.put("temperature", 0);
    body.put("ignore_eos", true);
    body.putAll(more);
    return body;
  }

  @Test
  void logprobs_ofAllTokens_sumToOne() {
    JsonNode tokens =
        ok(CHATS, chat(Map.of("logprobs", true, "top_logprobs", -1, "max_tokens", 2)))
            .at("/choices/0/logprobs/content");
    assertThat(tokens).isNotEmpty();
    for (JsonNode token : tokens) {
      double sum = 0;
      for (JsonNode top : token.get("top_logprobs")) {
        sum += Math.exp(top.get("logprob").asDouble());
      }
      assertThat(token.get("top_logprobs").size()).isGreaterThan(1000);
      assertThat(sum).isBetween(0.9999, 1.0001);
    }
    JsonNode prompt =
        ok(TEXTS, text(Map.of("prompt_logprobs", -1))).at("/choices/0/prompt_logprobs");
    assertThat(prompt.get(1).size()).isGreaterThan(1000);
  }

  @Test
  void logprobs_ofAllTokensOfACompletion_sumToOne() {
    Map<String, Object> all = Map.of("logprobs", -1, "return_tokens_as_token_ids", true);
    JsonNode tops = ok(TEXTS, text(all)).at("/choices/0/logprobs/top_logprobs");
    assertThat(tops).isNotEmpty();
    for (JsonNode top : tops) {
      double sum = 0;
      for (JsonNode logprob : top) {
        sum += Math.exp(logprob.asDouble());
      }
      assertThat(sum).isBetween(0.9999, 1.0001);
    }
    Map<String, Object> echoed = Map.of("logprobs", -1, "echo", true, "max_tokens", 1);
    assertThat(ok(TEXTS, text(echoed)).at("/choices/0/logprobs/top_logprobs").get(1).size())
        .isGreaterThan(1000);
    Answer predicted =
        client.post(
            "/generate",
            Map.of("instances", List.of(Map.of("prompt", "Hi", "max_tokens", 1, "logprobs", -1))));
    assertThat(predicted.status()).as(predicted.body()).isEqualTo(200);
  }

  @Test
  void logprobs_moreThanAnAnswerMayHave_refused() {
    Answer answer =
        client.post(CHATS, chat(Map.of("logprobs", true, "top_logprobs", -1, "max_tokens", 1000)));
    assertThat(answer.status()).isEqualTo(400);
    assertThat(answer.json().at("/error/message").asText()).contains("1000000 are possible");
  }

  @Test
  void logprobs_ofChosenTokens_areThoseAmongAll() {
    JsonNode all = ok(TEXTS, text(Map.of("logprobs", 3000, "return_tokens_as_token_ids", true)));
    JsonNode chosen =
        ok(
            TEXTS,
            text(
                Map.of(
                    "logprobs",
                    1,
                    "logprob_token_ids",
                    List.of(40, 7),
                    "return_tokens_as_token_ids",
                    true)));
    JsonNode tops = chosen.at("/choices/0/logprobs/top_logprobs");
    assertThat(tops).hasSize(5);
    for (int i = 0; i < tops.size(); i++) {
      JsonNode among = all.at("/choices/0/logprobs/top_logprobs/" + i);
      for (String name : List.of("token_id:7", "token_id:40")) {
        if (among.has(name)) {
          assertThat(tops.get(i).get(name)).isEqualTo(among.get(name));
        }
        assertThat(tops.get(i).get(name).isNumber()).isTrue();
      }
      assertThat(tops.get(i).size()).isLessThanOrEqualTo(3);
    }
    assertThat(client.post(TEXTS, text(Map.of("logprob_token_ids", List.of(7)))).status())
        .isEqualTo(400);
  }

  @Test
  void promptText_asked_isWhatRenderingTells() {
    JsonNode rendered = ok(CHATS + "/render", chat(Map.of()));
    JsonNode whole = ok(CHATS, chat(Map.of("return_prompt_text", true)));
    assertThat(whole.get("prompt_text")).isEqualTo(rendered.get("prompt"));
    assertThat(ok(CHATS, chat(Map.of())).get("prompt_text").isNull()).isTrue();
    List<JsonNode> events =
        Client.events(client.post(CHATS, chat(Map.of("return_prompt_text", true, "stream", true))));
    assertThat(events.getFirst().get("prompt_text")).isEqualTo(rendered.get("prompt"));
    assertThat(events.getLast().has("prompt_text")).isFalse();
  }

  @Test
  void length_beyondTheModels_refusedByTheNameThatTheRequestHas() {
    Map<String, Object> response = Map.of("input", "What is a car?", "max_output_tokens", 999_999);
    Map<String, Object> streamed = new LinkedHashMap<>(response);
    streamed.put("stream", true);
    assertRefused("/v1/responses", response, "max_output_tokens");
    assertRefused("/v1/responses", streamed, "max_output_tokens");
    for (String name : List.of("max_tokens", "max_completion_tokens")) {
      assertRefused(CHATS, chat(Map.of(name, 999_999)), name);
      assertRefused(TEXTS, text(Map.of(name, 999_999)), name);
    }
  }

  private static void assertRefused(String path, Map<String, ?> body, String name) {
    Answer answer = client.post(path, body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(400);
    JsonNode error = answer.json().get("error");
    assertThat(error.get("param").asText()).isEqualTo(name);
    assertThat(error.get("message").asText())
        .contains(" of " + name + ". Shorten the prompt or lower " + name + " to ");
  }

  @Test
  void echo_ofAChatThatGoesOn_beginsTheAnswer() {
    Map<String, Object> body =
        chat(
            Map.of(
                "messages",
                List.of(
                    Map.of("role", "user", "content", "What is a car?"),
                    Map.of("role", "assistant", "content", "A car is")),
                "add_generation_prompt",
                false,
                "continue_final_message",
                true));
    String plain = ok(CHATS, body).at("/choices/0/message/content").asText();
    body.put("echo", true);
    assertThat(ok(CHATS, body).at("/choices/0/message/content").asText())
        .isEqualTo("A car is" + plain);
    body.put("stream", true);
    StringBuilder streamed = new StringBuilder();
    for (JsonNode event : Client.events(client.post(CHATS, body))) {
      streamed.append(event.at("/choices/0/delta/content").asText());
    }
    assertThat(streamed.toString()).isEqualTo("A car is" + plain);
    assertThat(ok(CHATS, chat(Map.of("echo", true))).at("/choices/0/message/content"))
        .isEqualTo(ok(CHATS, chat(Map.of())).at("/choices/0/message/content"));
  }

  @Test
  void batch_conversations_oneChoiceEach() {
    List<List<Map<String, String>>> conversations =
        List.of(
            List.of(Map.of("role", "user", "content", "What is a car?")),
            List.of(Map.of("role", "user", "content", "Say something else.")));
    JsonNode answer = ok(CHATS + "/batch", chat(Map.of("messages", conversations)));
    assertThat(answer.get("choices")).hasSize(2);
    int prompt = 0;
    for (int i = 0; i < 2; i++) {
      JsonNode alone = ok(CHATS, chat(Map.of("messages", conversations.get(i))));
      assertThat(answer.at("/choices/" + i + "/message/content"))
          .isEqualTo(alone.at("/choices/0/message/content"));
      prompt += alone.at("/usage/prompt_tokens").asInt();
    }
    assertThat(answer.at("/usage/prompt_tokens").asInt()).isEqualTo(prompt);
    for (Map<String, ?> more : List.of(Map.of("n", 2), Map.of("stream", true))) {
      Map<String, Object> body = chat(Map.of("messages", conversations));
      body.putAll(more);
      assertThat(client.post(CHATS + "/batch", body).status()).isEqualTo(400);
    }
  }

  @Test
  void truncation_fromEitherSide_keepsTheOther() {
    String path = TEXTS + "/render";
    Map<String, Object> body = text(Map.of("prompt", List.of(5, 6, 7, 8, 9)));
    body.put("truncate_prompt_tokens", 2);
    assertThat(ok(path, body).at("/0/token_ids").toString()).isEqualTo("[8,9]");
    body.put("truncation_side", "right");
    assertThat(ok(path, body).at("/0/token_ids").toString()).isEqualTo("[5,6]");
    body.put("return_token_ids", true);
    assertThat(ok(TEXTS, body).at("/choices/0/prompt_token_ids").toString()).isEqualTo("[5,6]");
  }

  @Test
  void streamInterval_several_fewerEventsOfTheSame() {
    Map<String, Object> body = text(Map.of("max_tokens", 11, "logprobs", 1));
    JsonNode whole = ok(TEXTS, body).at("/choices/0");
    body.put("stream", true);
    body.put("stream_interval", 4);
    List<Integer> counts = new ArrayList<>();
    StringBuilder streamed = new StringBuilder();
    List<JsonNode> logprobs = new ArrayList<>();
    for (JsonNode event : Client.events(client.post(TEXTS, body))) {
      streamed.append(event.at("/choices/0/text").asText());
      JsonNode part = event.at("/choices/0/logprobs/token_logprobs");
      counts.add(part.size());
      part.forEach(logprobs::add);
    }
    assertThat(streamed.toString()).isEqualTo(whole.get("text").asText());
    assertThat(counts).startsWith(1, 4).hasSizeLessThan(6);
    assertThat(logprobs.toString().replace(" ", ""))
        .isEqualTo(whole.at("/logprobs/token_logprobs").toString());
  }

  @Test
  void repetition_detected_endsTheAnswer() {
    Map<String, Object> same = text(Map.of("max_tokens", 40, "allowed_token_ids", List.of(40)));
    same.put(
        "repetition_detection",
        Map.of("max_pattern_size", 3, "min_pattern_size", 2, "min_count", 4));
    JsonNode answer = ok(TEXTS, same);
    assertThat(answer.at("/choices/0/finish_reason").asText()).isEqualTo("repetition");
    assertThat(answer.at("/choices/0/stop_reason").asText()).isEqualTo("repetition_detected");
    assertThat(answer.at("/usage/completion_tokens").asInt()).isEqualTo(8);
    same.put("repetition_detection", Map.of("max_pattern_size", 3, "min_count", 1));
    assertThat(client.post(TEXTS, same).status()).isEqualTo(400);
  }
}
