package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.verdier.verticles.launch.InProcessServer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** {@code echo} with {@code logprobs}, as evaluation harnesses score texts, on the demo model. */
class ScoredEchoIT {
  private static final String PROMPT = "A car, or a motor car, is a vehicle";

  @Test
  void echo_withLogprobs_scoresOfThePromptInTheLegacyFormat() {
    try (InProcessServer server = InProcessServer.start()) {
      Client client = new Client(server.baseUrl());
      JsonNode plain = choice(client, Map.of("prompt", PROMPT, "prompt_logprobs", 2));
      JsonNode echoed = choice(client, Map.of("prompt", PROMPT, "echo", true, "logprobs", 2));
      JsonNode scores = echoed.get("logprobs");
      JsonNode wanted = plain.get("prompt_logprobs");
      assertThat(echoed.get("text").textValue()).isEqualTo(PROMPT + plain.get("text").textValue());
      assertThat(scores.get("token_logprobs")).hasSize(wanted.size() + 4);
      assertThat(scores.at("/token_logprobs/0").isNull()).isTrue();
      for (int i = 1; i < wanted.size(); i++) {
        JsonNode chosen = wanted.get(i).properties().iterator().next().getValue();
        assertThat(scores.get("token_logprobs").get(i)).isEqualTo(chosen.get("logprob"));
        assertThat(scores.get("tokens").get(i)).isEqualTo(chosen.get("decoded_token"));
      }

      Map<String, Object> only = new LinkedHashMap<>();
      only.put("prompt", ids(client));
      only.put("echo", true);
      only.put("logprobs", 2);
      only.put("max_tokens", 0);
      JsonNode alone = choice(client, only);
      assertThat(alone.get("finish_reason").textValue()).isEqualTo("length");
      assertThat(alone.at("/logprobs/token_logprobs")).hasSize(wanted.size());
      for (int i = 0; i < wanted.size(); i++) {
        assertThat(alone.at("/logprobs/token_logprobs/" + i))
            .isEqualTo(scores.at("/token_logprobs/" + i));
      }
      assertThat(alone.get("text").textValue()).endsWith(PROMPT);

      assertThat(streamed(client)).isEqualTo(scores);
      server.awaitIdle();
    }
  }

  private static List<Integer> ids(Client client) {
    List<Integer> ids = new ArrayList<>();
    client
        .post("/tokenize", Map.of("prompt", PROMPT))
        .json()
        .get("tokens")
        .forEach(id -> ids.add(id.asInt()));
    return ids;
  }

  private static JsonNode choice(Client client, Map<String, ?> fields) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("max_tokens", 4);
    body.put("temperature", 0);
    body.put("ignore_eos", true);
    body.putAll(fields);
    Client.Answer answer = client.post("/v1/completions", body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json().at("/choices/0");
  }

  /** The lists of all events of the same request, put together. */
  private static JsonNode streamed(Client client) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", PROMPT);
    body.put("max_tokens", 4);
    body.put("temperature", 0);
    body.put("ignore_eos", true);
    body.put("echo", true);
    body.put("logprobs", 2);
    body.put("stream", true);
    ObjectNode whole = Client.JSON.createObjectNode();
    for (JsonNode event : Client.events(client.post("/v1/completions", body))) {
      JsonNode lists = event.at("/choices/0/logprobs");
      lists
          .properties()
          .forEach(list -> list.getValue().forEach(whole.withArray(list.getKey())::add));
    }
    return whole;
  }
}
