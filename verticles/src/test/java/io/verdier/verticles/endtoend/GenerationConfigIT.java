package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.launch.InProcessServer;
import io.verdier.verticles.launch.ServerProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What a model's {@code generation_config.json} says counts where a request says nothing: each
 * answer is compared with that to the same question with everything written out, of a server that
 * ignores the file. Costs some 10 s.
 */
class GenerationConfigIT {
  private static final String CHATS = "/v1/chat/completions";
  private static final String TEXTS = "/v1/completions";
  private static final int CAP = 24;

  /** What the file says, the end tokens and the cap aside. */
  private static final Map<String, Object> PRESET =
      Map.of("temperature", 1.6, "top_p", 0.9, "top_k", 30, "repetition_penalty", 1.4);

  private static final Map<String, Object> BUILT_IN =
      Map.of("temperature", 1, "top_p", 1, "top_k", 0, "repetition_penalty", 1);

  @TempDir static Path directory;
  @TempDir static Path elsewhere;

  /** Ignores the file. */
  private static InProcessServer plain;

  private static InProcessServer server;
  private static int endToken;

  @BeforeAll
  static void start() throws IOException {
    DemoVariant.in(directory, Map.of());
    plain = InProcessServer.start("--model=" + directory, "--generation-config=vllm");
    // A token that answers have, for the model to name as one of those that end them.
    List<Integer> answer = ids(plain, CHATS, chat(explicit(PRESET, CAP))).getFirst();
    endToken =
        answer.stream().filter(id -> answer.indexOf(id) >= CAP / 2).findFirst().orElseThrow();
    Map<String, Object> file = new LinkedHashMap<>(PRESET);
    file.put("max_new_tokens", CAP);
    file.put("eos_token_id", List.of(4065, 4072, endToken));
    for (Path place : List.of(directory, elsewhere)) {
      Files.writeString(
          place.resolve("generation_config.json"), Client.JSON.writeValueAsString(file));
    }
    server = InProcessServer.start("--model=" + directory);
  }

  @AfterAll
  static void stop() {
    for (InProcessServer each : List.of(plain, server)) {
      each.awaitIdle();
      each.close();
    }
  }

  private static Map<String, Object> chat(Map<String, ?> more) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("messages", List.of(Map.of("role", "user", "content", "What is a car?")));
    body.put("seed", 11);
    body.put("n", 3);
    body.put("return_token_ids", true);
    body.putAll(more);
    return body;
  }

  private static Map<String, Object> text(Map<String, ?> more) {
    Map<String, Object> body = chat(more);
    body.remove("messages");
    body.put("prompt", "A car is");
    return body;
  }

  private static Map<String, Object> explicit(Map<String, Object> values, int maxTokens) {
    Map<String, Object> all = new LinkedHashMap<>(values);
    all.put("max_tokens", maxTokens);
    return all;
  }

  /** With what the file adds to the tokens that end answers. */
  private static Map<String, Object> ending(Map<String, Object> values) {
    Map<String, Object> all = new LinkedHashMap<>(values);
    all.put("stop_token_ids", List.of(endToken));
    return all;
  }

  private static List<List<Integer>> ids(
      InProcessServer asked, String path, Map<String, Object> body) {
    Answer answer = new Client(asked.baseUrl()).post(path, body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    List<List<Integer>> choices = new ArrayList<>();
    for (JsonNode choice : answer.json().get("choices")) {
      List<Integer> ids = new ArrayList<>();
      choice.get("token_ids").forEach(id -> ids.add(id.intValue()));
      choices.add(ids);
    }
    return choices;
  }

  @Test
  void request_saysNothing_isTheFilesOwn() {
    List<List<Integer>> answers = ids(server, CHATS, chat(Map.of()));
    assertThat(answers).isEqualTo(ids(plain, CHATS, chat(ending(explicit(PRESET, CAP)))));
    assertThat(answers).allMatch(ids -> ids.size() <= CAP).anyMatch(ids -> ids.size() < CAP);
    assertThat(answers.getFirst()).endsWith(endToken);
    // Each value of the file counts: without it, the answers would be others.
    for (String name : PRESET.keySet()) {
      Map<String, Object> others = new LinkedHashMap<>(PRESET);
      others.put(name, BUILT_IN.get(name));
      assertThat(answers)
          .as(name)
          .isNotEqualTo(ids(plain, CHATS, chat(ending(explicit(others, CAP)))));
    }
    assertThat(answers).isNotEqualTo(ids(plain, CHATS, chat(explicit(PRESET, CAP))));
  }

  @Test
  void request_saysAValue_wins() {
    for (String name : PRESET.keySet()) {
      Map<String, Object> own = Map.of(name, BUILT_IN.get(name));
      Map<String, Object> all = new LinkedHashMap<>(PRESET);
      all.putAll(own);
      assertThat(ids(server, CHATS, chat(own)))
          .as(name)
          .isEqualTo(ids(plain, CHATS, chat(ending(explicit(all, CAP)))));
    }
    assertThat(ids(server, CHATS, chat(Map.of("ignore_eos", true))))
        .isEqualTo(ids(plain, CHATS, chat(ignoring(explicit(PRESET, CAP)))))
        .allMatch(ids -> ids.size() == CAP);
  }

  /** As base models are published: neither of their configurations has the tokenizer's end. */
  @Test
  void tokenizersEnd_thatNoConfigurationHas_endsAnswers(@TempDir Path place) throws IOException {
    JsonNode vocabulary =
        Client.JSON.readTree(directory.resolve("tokenizer.json").toFile()).at("/model/vocab");
    String spelling =
        vocabulary.properties().stream()
            .filter(token -> token.getValue().intValue() == endToken)
            .map(Map.Entry::getKey)
            .findFirst()
            .orElseThrow();
    String quoted = "\"eos_token\": " + Client.JSON.writeValueAsString(spelling);
    DemoVariant.in(
        place, Map.of("\"eos_token\": \"<.eot_id.>\"", Matcher.quoteReplacement(quoted)));
    try (InProcessServer own =
        InProcessServer.start("--model=" + place, "--generation-config=vllm")) {
      Map<String, Object> preset = explicit(PRESET, CAP);
      assertThat(ids(own, CHATS, chat(preset)))
          .isEqualTo(ids(plain, CHATS, chat(ending(preset))))
          .isNotEqualTo(ids(plain, CHATS, chat(preset)));
      assertThat(ids(own, CHATS, chat(ignoring(preset))))
          .isEqualTo(ids(plain, CHATS, chat(ignoring(preset))));
      JsonNode first = new Client(own.baseUrl()).post(CHATS, chat(preset)).json().at("/choices/0");
      assertThat(first.get("finish_reason").asText()).isEqualTo("stop");
      assertThat(first.get("stop_reason").isNull()).as("no stop token of the request").isTrue();
    }
  }

  private static Map<String, Object> ignoring(Map<String, Object> values) {
    Map<String, Object> all = new LinkedHashMap<>(values);
    all.put("ignore_eos", true);
    return all;
  }

  @Test
  void maxTokens_ofTheRequest_areCappedByTheFiles() {
    assertThat(ids(server, CHATS, chat(ignoring(Map.of("max_tokens", 5)))))
        .allMatch(ids -> ids.size() == 5);
    assertThat(ids(server, CHATS, chat(ignoring(Map.of("max_tokens", CAP + 9)))))
        .allMatch(ids -> ids.size() == CAP);
    assertThat(ids(server, TEXTS, text(ignoring(Map.of())))).allMatch(ids -> ids.size() == 16);
    assertThat(ids(plain, CHATS, chat(ignoring(Map.of("max_tokens", CAP + 9)))))
        .allMatch(ids -> ids.size() == CAP + 9);
  }

  @Test
  void serverThatIgnoresTheFile_hasTheBuiltInDefaults() {
    assertThat(ids(plain, TEXTS, text(Map.of())))
        .isEqualTo(ids(plain, TEXTS, text(BUILT_IN)))
        .isNotEqualTo(ids(server, TEXTS, text(Map.of())));
  }

  @Test
  void fileElsewhere_named_countsInPlaceOfTheModels() throws IOException {
    Path other = elsewhere.resolve("generation_config.json");
    String text = Files.readString(other);
    Files.writeString(other, text.replace("\"top_k\":30", "\"top_k\":1"));
    try (InProcessServer named =
        InProcessServer.start("--model=" + directory, "--generation-config=" + elsewhere)) {
      Map<String, Object> all = new LinkedHashMap<>(PRESET);
      all.put("top_k", 1);
      assertThat(ids(named, CHATS, chat(Map.of())))
          .isEqualTo(ids(plain, CHATS, chat(ending(explicit(all, CAP)))))
          .isNotEqualTo(ids(server, CHATS, chat(Map.of())));
    } finally {
      Files.writeString(other, text);
    }
  }

  @Test
  void fileElsewhere_isNotThere_endsTheStart() {
    try (ServerProcess starting =
        ServerProcess.serve("--generation-config=" + elsewhere.resolve("nothing"))) {
      assertThat(starting.exitStatus()).as(starting.output()).isEqualTo(1);
      assertThat(starting.output()).contains("--generation-config", "generation_config.json");
    }
  }

  @Test
  void override_beforeTheFile_andWithoutIt() {
    String override = "--override-generation-config={\"temperature\": 0, \"max_new_tokens\": 6}";
    Map<String, Object> greedy = new LinkedHashMap<>(PRESET);
    greedy.put("temperature", 0);
    greedy.put("n", 1);
    try (InProcessServer over = InProcessServer.start("--model=" + directory, override)) {
      assertThat(ids(over, CHATS, chat(Map.of("n", 1))))
          .isEqualTo(ids(plain, CHATS, chat(ending(explicit(greedy, 6)))));
      assertThat(ids(over, CHATS, chat(ending(Map.of("temperature", 1.6)))))
          .isEqualTo(ids(plain, CHATS, chat(ending(explicit(PRESET, 6)))));
      assertThat(ids(over, TEXTS, text(ignoring(Map.of("n", 1))))).allMatch(ids -> ids.size() == 6);
    }
    try (InProcessServer over =
        InProcessServer.start("--model=" + directory, "--generation-config=vllm", override)) {
      assertThat(ids(over, CHATS, chat(Map.of("n", 1))))
          .isEqualTo(ids(plain, CHATS, chat(Map.of("n", 1, "temperature", 0, "max_tokens", 6))));
    }
  }

  /** Vertex AI's own bodies have the built-in defaults, as in Google's container. */
  @Test
  void predictions_ofTexts_haveNothingOfTheFileButTheCap() {
    assertThat(predicted(server, CAP)).isEqualTo(predicted(plain, CAP));
    assertThat(predicted(server, CAP + 9)).isEqualTo(predicted(plain, CAP));
    assertThat(predicted(plain, CAP + 9)).isNotEqualTo(predicted(plain, CAP));
  }

  private static String predicted(InProcessServer asked, int maxTokens) {
    Map<String, Object> instance =
        Map.of("prompt", "A car is", "seed", 11, "ignore_eos", true, "max_tokens", maxTokens);
    Answer answer =
        new Client(asked.baseUrl()).post("/generate", Map.of("instances", List.of(instance)));
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.body();
  }
}
