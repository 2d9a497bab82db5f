package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A prompt, and the tokens that the demo model must answer with. Immutable.
 *
 * @param prompt token ids
 * @param expected token ids of the greedy answer
 * @param tokensMax that are to be asked for
 */
record GoldenCase(String name, List<Integer> prompt, List<Integer> expected, int tokensMax) {
  private static final Path FILE = Path.of("../engine/src/test/resources/golden/logits.json");

  static List<GoldenCase> all() {
    List<GoldenCase> all = new ArrayList<>();
    try {
      for (JsonNode golden : Client.JSON.readTree(FILE.toFile()).get("cases")) {
        all.add(
            new GoldenCase(
                golden.get("name").asText(),
                ints(golden.get("ids")),
                ints(golden.at("/greedy/ids")),
                golden.at("/greedy/max_tokens").asInt()));
      }
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
    return all;
  }

  /** Asks a server, whose answer must be the golden one; returns the tokens that it had cached. */
  int require(Client client) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", prompt);
    body.put("max_tokens", tokensMax);
    body.put("temperature", 0);
    body.put("return_token_ids", true);
    Client.Answer answer = client.post("/v1/completions", body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    JsonNode json = answer.json();
    assertThat(ints(json.at("/choices/0/token_ids"))).as(name).isEqualTo(expected);
    return json.at("/usage/prompt_tokens_details/cached_tokens").asInt();
  }

  private static List<Integer> ints(JsonNode array) {
    List<Integer> values = new ArrayList<>();
    array.forEach(value -> values.add(value.asInt()));
    return values;
  }
}
