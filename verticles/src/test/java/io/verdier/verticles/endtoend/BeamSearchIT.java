package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.launch.InProcessServer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Beam search through a whole server, on the demo model. Costs some 4 s. */
class BeamSearchIT {
  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    // So few blocks that a search beside eight long answers is preempted.
    server = InProcessServer.start("--num-gpu-blocks-override=152", "--max-model-len=512");
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.awaitIdle();
    server.close();
  }

  private static Map<String, Object> search(int width, Map<String, ?> more) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", "A car is");
    body.put("n", width);
    body.put("max_tokens", 12);
    body.put("use_beam_search", true);
    body.put("temperature", 0);
    body.put("logprobs", 1);
    body.put("return_token_ids", true);
    body.putAll(more);
    return body;
  }

  private static JsonNode choices(Map<String, Object> body) {
    Answer answer = client.post("/v1/completions", body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json().get("choices");
  }

  private static double score(JsonNode choice, int promptTokens) {
    double sum = 0;
    for (JsonNode logprob : choice.at("/logprobs/token_logprobs")) {
      sum += logprob.asDouble();
    }
    boolean ended = choice.get("finish_reason").textValue().equals("stop");
    return sum / (promptTokens + choice.get("token_ids").size() - (ended ? 1 : 0));
  }

  @Test
  void search_completion_bestAnswersInOrder() {
    JsonNode choices = choices(search(4, Map.of()));
    assertThat(choices).hasSize(4);
    int promptTokens = choices.get(0).get("prompt_token_ids").size();
    List<Double> scores = new ArrayList<>();
    List<String> answers = new ArrayList<>();
    for (JsonNode choice : choices) {
      scores.add(score(choice, promptTokens));
      answers.add(choice.get("token_ids").toString());
      assertThat(choice.get("logprobs").get("tokens")).hasSameSizeAs(choice.get("token_ids"));
    }
    assertThat(scores).isSortedAccordingTo((a, b) -> Double.compare(b, a));
    assertThat(new HashSet<>(answers)).hasSize(4);

    Map<String, Object> greedy = search(1, Map.of("use_beam_search", false));
    JsonNode first = choices(greedy).get(0);
    assertThat(scores.getFirst()).isGreaterThanOrEqualTo(score(first, promptTokens));
  }

  @Test
  void search_besideOthers_findsTheSame() {
    Map<String, Object> body = search(3, Map.of("max_tokens", 24, "length_penalty", 0.5));
    String alone = choices(body).toString();
    List<List<Integer>> others = client.manyChoices();
    CompletableFuture<List<List<Integer>>> crowd =
        CompletableFuture.supplyAsync(() -> client.manyChoices());
    do {
      assertThat(choices(body).toString()).isEqualTo(alone);
    } while (!crowd.isDone());
    assertThat(crowd.join()).isEqualTo(others);
  }

  @Test
  void search_chat_answersInOrder() {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("messages", List.of(Map.of("role", "user", "content", "What is a car?")));
    body.put("n", 2);
    body.put("max_tokens", 10);
    body.put("use_beam_search", true);
    Answer answer = client.post("/v1/chat/completions", body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    JsonNode choices = answer.json().get("choices");
    assertThat(choices).hasSize(2);
    assertThat(choices.at("/0/message/content")).isNotEqualTo(choices.at("/1/message/content"));
    int told = answer.json().at("/usage/completion_tokens").asInt();
    assertThat(told).isBetween(2, 20);
    assertThat(client.post("/v1/chat/completions", body).json().get("choices")).isEqualTo(choices);
  }

  @Test
  void search_stopToken_endsAnswersAndIsTold() {
    JsonNode plain = choices(search(2, Map.of())).get(0);
    int stop = plain.get("token_ids").get(3).asInt();
    JsonNode ended = choices(search(2, Map.of("stop_token_ids", List.of(stop))));
    List<Integer> reasons = new ArrayList<>();
    ended.forEach(choice -> reasons.add(choice.get("stop_reason").asInt(-1)));
    assertThat(reasons).contains(stop);
  }

  private static Answer streamed(String path, Map<String, Object> body, Map<String, ?> options) {
    Map<String, Object> streaming = new LinkedHashMap<>(body);
    streaming.put("stream", true);
    if (!options.isEmpty()) {
      streaming.put("stream_options", options);
    }
    Answer answer = client.post(path, streaming);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    assertThat(answer.header("Content-Type")).hasValue("text/event-stream; charset=utf-8");
    assertThat(answer.body()).endsWith("data: [DONE]\n\n");
    return answer;
  }

  @Test
  void search_completionStreamed_isOneEventOfTheWholeAnswer() {
    Map<String, Object> body = search(3, Map.of("echo", true));
    JsonNode whole = client.post("/v1/completions", body).json();
    JsonNode event = Client.events(streamed("/v1/completions", body, Map.of())).getFirst();
    assertThat(Client.events(streamed("/v1/completions", body, Map.of()))).hasSize(1);
    assertThat(event.get("object").textValue()).isEqualTo("text_completion");
    assertThat(event.get("choices")).isEqualTo(whole.get("choices"));
    assertThat(event.at("/usage/completion_tokens").asInt()).isBetween(3, 36);

    List<JsonNode> events =
        Client.events(streamed("/v1/completions", body, Map.of("include_usage", true)));
    assertThat(events).hasSize(2);
    assertThat(events.getFirst().get("usage").isNull()).isTrue();
    assertThat(events.getFirst().get("choices")).isEqualTo(whole.get("choices"));
    assertThat(events.getLast().get("choices")).isEmpty();
    assertThat(events.getLast().get("usage")).isEqualTo(event.get("usage"));
  }

  @Test
  void search_chatStreamed_choicesComeWhole() {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("messages", List.of(Map.of("role", "user", "content", "What is a car?")));
    body.put("n", 2);
    body.put("max_tokens", 10);
    body.put("use_beam_search", true);
    JsonNode whole = client.post("/v1/chat/completions", body).json().get("choices");
    List<JsonNode> events =
        Client.events(streamed("/v1/chat/completions", body, Map.of("include_usage", true)));
    assertThat(events).hasSize(5); // two that begin, two with all of a choice, usage
    assertThat(events.get(0).at("/choices/0/delta/role").textValue()).isEqualTo("assistant");
    for (JsonNode event : events.subList(2, 4)) {
      JsonNode choice = event.at("/choices/0");
      JsonNode same = whole.get(choice.get("index").asInt());
      assertThat(choice.at("/delta/content")).isEqualTo(same.at("/message/content"));
      assertThat(choice.get("finish_reason")).isEqualTo(same.get("finish_reason"));
    }
    assertThat(events.getLast().get("choices")).isEmpty();
    assertThat(events.getLast().at("/usage/completion_tokens").asInt()).isBetween(2, 20);
  }

  @Test
  void search_streamedToClientsOfV09_usageUnlessRefused() {
    try (InProcessServer old = InProcessServer.start("--api-dialect=v0.9", "--max-model-len=512")) {
      Map<String, Object> body = search(2, Map.of("stream", true));
      Client asking = new Client(old.baseUrl());
      assertThat(Client.events(asking.post("/v1/completions", body))).hasSize(1);
      body.put("stream_options", Map.of());
      assertThat(Client.events(asking.post("/v1/completions", body))).hasSize(2);
      body.put("stream_options", Map.of("include_usage", false));
      assertThat(Client.events(asking.post("/v1/completions", body))).hasSize(1);
      body.put("bad_words", List.of("car"));
      Answer refused = asking.post("/v1/completions", body);
      assertThat(refused.status()).isEqualTo(400);
      assertThat(refused.json().get("object").textValue()).isEqualTo("error");
    }
  }

  @Test
  void search_whatItCannotHeed_refused() {
    for (Map<String, ?> more :
        List.of(
            Map.of("allowed_token_ids", List.of(5)),
            Map.of("bad_words", List.of("car")),
            Map.of("response_format", Map.of("type", "json_object")))) {
      Answer answer = client.post("/v1/completions", search(2, more));
      assertThat(answer.status()).as(more.toString()).isEqualTo(400);
      assertThat(answer.json().at("/error/param").textValue()).isEqualTo("use_beam_search");
    }
  }
}
