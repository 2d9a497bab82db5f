package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Strict tools where the marks of calls are special tokens, which no text has: of the demo model,
 * two of whose reserved tokens get these names. It was not taught them, so that a bias makes it say
 * the first one, and the end behind a call.
 */
class MarkedToolsIT {
  private static final String CHATS = "/v1/chat/completions";
  private static final List<String> CITIES = List.of("Rome", "Oslo");
  private static final String OPEN = "4093";
  private static final String CLOSE = "4094";
  private static final String END = "4073";

  @TempDir static Path directory;

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    DemoVariant.in(
        directory,
        Map.of(
            "<\\|reserved_special_token_21\\|>",
            "<tool_call>",
            "<\\|reserved_special_token_22\\|>",
            "</tool_call>"));
    server =
        InProcessServer.start(
            "--model=" + directory, "--enable-auto-tool-choice", "--tool-call-parser=hermes");
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.awaitIdle();
    server.close();
  }

  private static Map<String, Object> chat(boolean strict, Map<String, ?> more) {
    Map<String, Object> parameters =
        Map.of(
            "type",
            "object",
            "properties",
            Map.of("city", Map.of("enum", CITIES)),
            "required",
            List.of("city"),
            "additionalProperties",
            false);
    Map<String, Object> function =
        Map.of("name", "get_weather", "strict", strict, "parameters", parameters);
    Map<String, Object> body = new HashMap<>();
    body.put("messages", List.of(Map.of("role", "user", "content", "The weather in Paris?")));
    body.put("tools", List.of(Map.of("type", "function", "function", function)));
    body.put("logit_bias", Map.of(OPEN, 60, CLOSE, 60, END, 100));
    body.put("min_tokens", 5);
    body.put("max_tokens", 80);
    body.put("temperature", 0);
    body.put("return_token_ids", true);
    body.putAll(more);
    return body;
  }

  private static JsonNode choice(boolean strict) {
    Client.Answer answer = client.post(CHATS, chat(strict, Map.of()));
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    assertThat(answer.header("X-Verdier-Ignored-Fields")).isEmpty();
    return answer.json().at("/choices/0");
  }

  private static String city(JsonNode call) throws Exception {
    assertThat(call.at("/function/name").asText()).isEqualTo("get_weather");
    return Client.JSON.readTree(call.at("/function/arguments").asText()).get("city").asText();
  }

  @Test
  void call_behindTheMark_fitsOnlyWhereTheToolIsStrict() throws Exception {
    JsonNode held = choice(true);
    assertThat(held.get("finish_reason").asText()).as("%s", held).isEqualTo("tool_calls");
    assertThat(held.at("/message/tool_calls")).hasSize(1);
    assertThat(city(held.at("/message/tool_calls/0"))).isIn(CITIES);
    assertThat(held.at("/token_ids/0").asText()).isEqualTo(OPEN); // the token, not its text
    assertThat(held.get("token_ids").toString()).contains(CLOSE);
    JsonNode free = choice(false);
    assertThat(free.at("/token_ids/0").asText()).isIn(OPEN, CLOSE); // and nothing that fits
    assertThat(free.at("/message/tool_calls").isEmpty()).as("%s", free).isTrue();
  }

  @Test
  void stream_ofAMarkedCall_saysTheSame() throws Exception {
    StringBuilder arguments = new StringBuilder();
    for (JsonNode event : Client.events(client.post(CHATS, chat(true, Map.of("stream", true))))) {
      arguments.append(event.at("/choices/0/delta/tool_calls/0/function/arguments").asText(""));
    }
    assertThat(arguments.toString())
        .isEqualTo(choice(true).at("/message/tool_calls/0/function/arguments").asText());
  }

  /** Whatever is drawn, also without an end in sight: calls that are whole fit. */
  @Test
  void answers_drawnAtRandom_haveCallsThatFit() throws Exception {
    Map<String, Object> drawn =
        Map.of("n", 24, "temperature", 1.5, "seed", 3, "logit_bias", Map.of(OPEN, 30, END, 25));
    Client.Answer answer = client.post(CHATS, chat(true, drawn));
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    Set<String> cities = new HashSet<>();
    for (JsonNode choice : answer.json().get("choices")) {
      if (!choice.get("finish_reason").asText().equals("length")) {
        for (JsonNode call : choice.at("/message/tool_calls")) {
          cities.add(city(call));
        }
      }
    }
    assertThat(cities).isNotEmpty().isSubsetOf(CITIES);
  }
}
