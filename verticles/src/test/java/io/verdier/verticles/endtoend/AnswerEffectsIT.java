package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.launch.InProcessServer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * What single fields do to answers of the demo model, token by token and character by character.
 * Costs some 4 s.
 */
class AnswerEffectsIT {
  private static final String CHATS = "/v1/chat/completions";
  private static final String TEXTS = "/v1/completions";
  private static final String DOCUMENTS =
      "{{ bos_token }}{% for d in documents or [] %}[{{ d.title }}] {{ d.text }}\n{% endfor %}"
          + "<|start_header_id|>user<|end_header_id|>\n\n{{ messages[0].content }}<|eot_id|>"
          + "<|start_header_id|>assistant<|end_header_id|>\n\n";

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    server = InProcessServer.start("--max-logprobs=-1", "--chat-template=" + DOCUMENTS);
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

  private static Map<String, Object> text(Map<String, ?> more) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", "A car is");
    body.put("max_tokens", 24);
    body.put("temperature", 0);
    body.put("ignore_eos", true);
    body.put("return_token_ids", true);
    body.putAll(more);
    return body;
  }

  private static Map<String, Object> chat(Map<String, ?> more) {
    Map<String, Object> body = text(more);
    body.remove("prompt");
    body.put("messages", List.of(Map.of("role", "user", "content", "What is a car?")));
    return body;
  }

  private static JsonNode choice(Map<String, ?> more) {
    return ok(TEXTS, text(more)).at("/choices/0");
  }

  private static List<Integer> ids(JsonNode choice) {
    List<Integer> ids = new ArrayList<>();
    choice.get("token_ids").forEach(id -> ids.add(id.intValue()));
    return ids;
  }

  /** What a stream says in all, and what it ends with. */
  private static String streamed(String path, Map<String, Object> body, String where) {
    body.put("stream", true);
    return Client.events(client.post(path, body)).stream()
        .map(event -> event.at("/choices/0").at(where).asText(""))
        .collect(Collectors.joining());
  }

  @Test
  void includeStopStr_oneWayOrTheOther_endsBehindOrBeforeIt() {
    String free = choice(Map.of()).get("text").asText();
    int end = free.indexOf(' ', free.length() / 2);
    String stop = free.substring(end - 3, end); // in the middle of a word
    String before = free.substring(0, free.indexOf(stop));
    for (boolean included : new boolean[] {false, true}) {
      Map<String, Object> more = Map.of("stop", stop, "include_stop_str_in_output", included);
      String expected = included ? before + stop : before;
      JsonNode choice = choice(more);
      assertThat(choice.get("text").asText()).isEqualTo(expected);
      assertThat(choice.get("finish_reason").asText()).isEqualTo("stop");
      assertThat(choice.get("stop_reason").asText()).isEqualTo(stop);
      assertThat(streamed(TEXTS, text(more), "/text")).isEqualTo(expected);
    }
    String said = ok(CHATS, chat(Map.of())).at("/choices/0/message/content").asText();
    String word = said.substring(said.indexOf(' ') + 1, said.indexOf(' ') + 4);
    for (boolean included : new boolean[] {false, true}) {
      Map<String, Object> more =
          Map.of("stop", List.of(word), "include_stop_str_in_output", included);
      String expected = said.substring(0, said.indexOf(word) + (included ? word.length() : 0));
      assertThat(ok(CHATS, chat(more)).at("/choices/0/message/content").asText())
          .isEqualTo(expected);
      assertThat(streamed(CHATS, chat(more), "/delta/content")).isEqualTo(expected);
    }
  }

  @Test
  void specialTokens_skippedOrShown_theIdsAreTheSame() {
    int end =
        ok("/tokenize", Map.of("prompt", "<|eot_id|>", "add_special_tokens", false))
            .at("/tokens/0")
            .asInt();
    Map<String, Object> ending = Map.of("logit_bias", Map.of("" + end, 100), "max_tokens", 3);
    JsonNode skipped = choice(ending);
    assertThat(ids(skipped)).isEqualTo(List.of(end, end, end));
    assertThat(skipped.get("text").asText()).isEmpty();
    Map<String, Object> shown = new LinkedHashMap<>(ending);
    shown.put("skip_special_tokens", false);
    assertThat(ids(choice(shown))).isEqualTo(ids(skipped));
    assertThat(choice(shown).get("text").asText()).isEqualTo("<|eot_id|>".repeat(3));
    assertThat(streamed(TEXTS, text(shown), "/text")).isEqualTo("<|eot_id|>".repeat(3));
    assertThat(streamed(CHATS, chat(shown), "/delta/content")).isEqualTo("<|eot_id|>".repeat(3));
  }

  @Test
  void stopTokens_ofTheRequest_endTheAnswerWithIt() {
    List<Integer> free = ids(choice(Map.of()));
    int stop = free.stream().filter(id -> free.indexOf(id) >= 6).findFirst().orElseThrow();
    JsonNode ended = choice(Map.of("stop_token_ids", List.of(stop)));
    assertThat(ids(ended)).isEqualTo(free.subList(0, free.indexOf(stop) + 1));
    assertThat(ended.get("finish_reason").asText()).isEqualTo("stop");
    assertThat(ended.get("stop_reason").asInt()).isEqualTo(stop);
    // Not before there are so many; until then it cannot be said.
    int least = free.indexOf(stop) + 4;
    List<Integer> longer =
        ids(choice(Map.of("stop_token_ids", List.of(stop), "min_tokens", least)));
    assertThat(longer).hasSizeGreaterThanOrEqualTo(least);
    assertThat(longer.subList(0, least)).doesNotContain(stop);
    List<Integer> said = ids(ok(CHATS, chat(Map.of())).at("/choices/0"));
    int word = said.get(3);
    assertThat(ids(ok(CHATS, chat(Map.of("stop_token_ids", List.of(word)))).at("/choices/0")))
        .isEqualTo(said.subList(0, said.indexOf(word) + 1));
  }

  @Test
  void documents_sent_areWhatTheTemplateMakesOfThem() {
    Map<String, Object> shown = Map.of("return_prompt_text", true, "max_tokens", 8);
    JsonNode bare = ok(CHATS, chat(shown));
    assertThat(bare.get("prompt_text").asText()).doesNotContain("[");
    Map<String, Object> more = new LinkedHashMap<>(shown);
    more.put(
        "documents",
        List.of(
            Map.of("title", "Cars", "text", "A car has wheels."),
            Map.of("title", "Ships", "text", "A ship has none.")));
    JsonNode told = ok(CHATS, chat(more));
    String lines = "[Cars] A car has wheels.\n[Ships] A ship has none.\n";
    String prompt = bare.get("prompt_text").asText();
    int begin = prompt.indexOf("<|start_header_id|>");
    assertThat(told.get("prompt_text").asText())
        .isEqualTo(prompt.substring(0, begin) + lines + prompt.substring(begin));
    assertThat(told.at("/usage/prompt_tokens").asInt())
        .isGreaterThan(bare.at("/usage/prompt_tokens").asInt());
    assertThat(told.get("prompt_token_ids")).isNotEqualTo(bare.get("prompt_token_ids"));
    // The answer is the model's to that very prompt.
    Map<String, Object> same = text(Map.of("max_tokens", 8));
    List<Integer> ids = new ArrayList<>();
    told.get("prompt_token_ids").forEach(id -> ids.add(id.intValue()));
    same.put("prompt", ids);
    assertThat(ids(ok(TEXTS, same).at("/choices/0"))).isEqualTo(ids(told.at("/choices/0")));
  }

  /** Each token is the one that the raw log probabilities, less the penalty, put first. */
  @Test
  void penalties_ofTokensSaid_areTakenOffTheirLogits() {
    JsonNode top =
        choice(Map.of("logprobs", 6, "return_tokens_as_token_ids", true)).at("/logprobs");
    int[] allowed =
        top.at("/top_logprobs/0")
            .propertyStream()
            .mapToInt(entry -> Integer.parseInt(entry.getKey().substring("token_id:".length())))
            .limit(4)
            .toArray();
    List<Integer> free = penalized(allowed, Map.of(), 0, 0);
    assertThat(penalized(allowed, Map.of("frequency_penalty", 1.75), 1.75, 0)).isNotEqualTo(free);
    assertThat(penalized(allowed, Map.of("presence_penalty", 1.75), 0, 1.75)).isNotEqualTo(free);
    penalized(allowed, Map.of("frequency_penalty", -0.5, "presence_penalty", 1.25), -0.5, 1.25);
  }

  private static List<Integer> penalized(
      int[] allowed, Map<String, ?> penalty, double frequency, double presence) {
    Map<String, Object> more = new LinkedHashMap<>(penalty);
    more.put("allowed_token_ids", allowed);
    more.put("logprobs", 1);
    more.put("logprob_token_ids", allowed);
    more.put("return_tokens_as_token_ids", true);
    JsonNode choice = choice(more);
    List<Integer> ids = ids(choice);
    Map<Integer, Integer> said = new LinkedHashMap<>();
    for (int i = 0; i < ids.size(); i++) {
      JsonNode scores = choice.at("/logprobs/top_logprobs/" + i);
      double[] left =
          Arrays.stream(allowed)
              .mapToDouble(
                  id -> {
                    int count = said.getOrDefault(id, 0);
                    double raw = scores.get("token_id:" + id).asDouble();
                    return raw - count * frequency - (count > 0 ? presence : 0);
                  })
              .toArray();
      int best = 0;
      for (int k = 1; k < left.length; k++) {
        best = left[k] > left[best] ? k : best;
      }
      assertThat(ids.get(i)).as("token " + i + " of " + ids).isEqualTo(allowed[best]);
      said.merge(ids.get(i), 1, Integer::sum);
    }
    return ids;
  }
}
