package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.engine.sample.SamplingField;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.launch.InProcessServer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * What sampling fields do to a real model's logits: {@link FieldMatrixIT} sends more values, but to
 * an engine that samples nothing. Costs some 3 s.
 */
class SamplingFieldsIT {
  private static final String CHATS = "/v1/chat/completions";
  private static final String TEXTS = "/v1/completions";
  private static final String CAR = "What is a car?";
  private static final String CAPITAL = "What is the capital of Madagascar?";
  private static final String LAST_TOKEN = "4095"; // of the demo model

  /** Values on the bounds of what is taken, as JSON; what is beyond them is refused. */
  private static final Map<SamplingField, List<String>> TAKEN =
      Map.ofEntries(
          Map.entry(
              SamplingField.TEMPERATURE, List.of("0", "5e-324", "1e-40", "1e-7", "0.001", "2")),
          Map.entry(SamplingField.TOP_P, List.of("5e-324", "1e-40", "0.001", "1")),
          Map.entry(SamplingField.TOP_K, List.of("-1", "0", "1", "4096", "2147483647")),
          Map.entry(SamplingField.MIN_P, List.of("0", "5e-324", "1e-40", "1")),
          Map.entry(SamplingField.PRESENCE_PENALTY, List.of("-2", "-1e-40", "2")),
          Map.entry(SamplingField.FREQUENCY_PENALTY, List.of("-2", "-1e-40", "2")),
          Map.entry(SamplingField.REPETITION_PENALTY, List.of("1e-6", "0.001", "1", "1000000")),
          Map.entry(
              SamplingField.SEED,
              List.of("-9223372036854775808", "-1", "0", "9223372036854775807")),
          Map.entry(SamplingField.MIN_TOKENS, List.of("0", "1", "2")),
          Map.entry(SamplingField.LOGPROBS, List.of("-1", "0", "1", "4096")),
          Map.entry(SamplingField.PROMPT_LOGPROBS, List.of("-1", "0", "1", "4096")),
          Map.entry(
              SamplingField.LOGIT_BIAS,
              List.of(
                  "{}",
                  bias("0", "-100"),
                  bias("0", "100"),
                  bias(LAST_TOKEN, "1e300"),
                  bias(LAST_TOKEN, "-1e300"))));

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

  private static String bias(String token, String value) {
    return "{\"" + token + "\":" + value + "}";
  }

  /** A completion of two tokens with these fields, as JSON. */
  private static Answer complete(Map<String, String> more) {
    Map<String, String> fields = new LinkedHashMap<>();
    fields.put("prompt", "\"A car is\"");
    fields.put("max_tokens", "2");
    fields.put("temperature", "1");
    fields.put("seed", "7");
    fields.put("ignore_eos", "true");
    fields.put("logprobs", "1");
    fields.putAll(more);
    List<String> pairs = new ArrayList<>();
    fields.forEach((name, value) -> pairs.add('"' + name + "\":" + value));
    return client.post(TEXTS, "{" + String.join(",", pairs) + "}");
  }

  /** Two tokens, and numbers beside them: not-a-number would not be JSON. */
  private static void assertWhole(Answer answer, Map<String, String> sent) {
    assertThat(answer.status()).as(sent + ": " + answer.body()).isEqualTo(200);
    JsonNode choice = answer.json().at("/choices/0");
    assertThat(choice.get("text").isTextual()).as(answer.body()).isTrue();
    assertThat(choice.get("finish_reason").asText()).as(sent.toString()).isEqualTo("length");
    assertThat(answer.json().at("/usage/completion_tokens").asInt()).isEqualTo(2);
    JsonNode logprobs = choice.at("/logprobs/token_logprobs");
    assertThat(logprobs).as(sent.toString()).hasSize(2);
    for (JsonNode logprob : logprobs) {
      assertThat(logprob.isNumber()).as(sent + ": " + answer.body()).isTrue();
      assertThat(logprob.asDouble()).as(sent.toString()).isBetween(-9999.0, 1e-6);
    }
  }

  @Test
  void numbers_onTheirBounds_answeredByTheModel() {
    TAKEN.forEach(
        (field, values) -> {
          for (String value : values) {
            Map<String, String> sent = Map.of(field.apiName(), value);
            assertWhole(complete(sent), sent);
            if (field != SamplingField.TEMPERATURE) {
              Map<String, String> greedy = Map.of(field.apiName(), value, "temperature", "0");
              assertWhole(complete(greedy), greedy);
            }
          }
        });
  }

  @Test
  void numbers_beyondTheirBounds_refused() {
    for (SamplingField field : TAKEN.keySet()) {
      boolean clamped = field == SamplingField.LOGIT_BIAS;
      for (String huge : List.of("1e300", "-1e300", "99999999999999999999")) {
        Map<String, String> sent = Map.of(field.apiName(), clamped ? bias("4096", huge) : huge);
        assertThat(complete(sent).status()).as(sent.toString()).isEqualTo(400);
      }
    }
  }

  /** Each stays in its bounds, and together they push logits as far as they can. */
  @Test
  void numbers_allOnTheirBoundsTogether_answeredByTheModel() {
    for (String repetition : List.of("1e-6", "1000000")) {
      for (String penalty : List.of("-2", "2")) {
        for (String temperature : List.of("5e-324", "1e-7", "2")) {
          Map<String, String> sent = new LinkedHashMap<>();
          sent.put("repetition_penalty", repetition);
          sent.put("presence_penalty", penalty);
          sent.put("frequency_penalty", penalty);
          sent.put("temperature", temperature);
          sent.put("top_p", "5e-324");
          sent.put("top_k", "2147483647");
          sent.put("min_p", "1");
          sent.put("min_tokens", "2");
          sent.put("logit_bias", bias(LAST_TOKEN, "1e300"));
          assertWhole(complete(sent), sent);
        }
      }
    }
  }

  @Test
  void topLogprobs_onTheirBounds_asManyTokens() {
    for (int top : List.of(-1, 0, 1, 4096)) {
      Map<String, Object> more = Map.of("logprobs", true, "top_logprobs", top, "max_tokens", 2);
      Answer answer = client.post(CHATS, chat(CAR, more));
      assertThat(answer.status()).as(answer.body()).isEqualTo(200);
      JsonNode tokens = answer.json().at("/choices/0/logprobs/content");
      assertThat(tokens).hasSize(2);
      assertThat(tokens.get(0).get("top_logprobs")).hasSize(top < 0 ? 4096 : top);
    }
  }

  private static Map<String, Object> chat(String question, Map<String, ?> more) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("messages", List.of(Map.of("role", "user", "content", question)));
    body.put("max_tokens", 40);
    body.put("temperature", 0);
    body.putAll(more);
    return body;
  }

  private static String answered(String question, Map<String, ?> more) {
    Answer answer = client.post(CHATS, chat(question, more));
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json().at("/choices/0/message/content").asText();
  }

  /** How many tokens the word has behind a blank. */
  private static int tokens(String word) {
    Map<String, Object> body = Map.of("prompt", " " + word, "add_special_tokens", false);
    return client.post("/tokenize", body).json().get("count").asInt();
  }

  private static boolean says(String text, String word) {
    return Pattern.compile("\\b" + Pattern.quote(word) + "\\b").matcher(text).find();
  }

  /** Up to where the model would have said it nothing changes, and it is not said. */
  private static void assertKeptFrom(String question, String free, String word) {
    String held = answered(question, Map.of("bad_words", List.of(word)));
    assertThat(says(free, word)).as(free).isTrue();
    assertThat(says(held, word)).as(word + " in: " + held).isFalse();
    assertThat(held).startsWith(free.substring(0, free.indexOf(word)).stripTrailing());
    assertThat(held).isNotBlank();
  }

  /** What stands behind a blank, and so is spelled as by itself. */
  private static List<String> words(String text) {
    return Stream.of(text.split("[,.]? |[,.]$")).filter(it -> it.matches("[A-Za-z]+")).toList();
  }

  @Test
  void badWords_theModelWouldSay_notSaidAtTheBeginningNorBehindABlank() {
    String free = answered(CAR, Map.of());
    List<String> words = words(free);
    assertThat(free).startsWith(words.getFirst());
    assertKeptFrom(CAR, free, words.getFirst());
    for (String word : List.of("motor", "system", "goods")) {
      assertThat(words).contains(word);
      assertThat(tokens(word)).isEqualTo(1);
      assertKeptFrom(CAR, free, word);
    }
  }

  @Test
  void badWords_ofSeveralTokens_notSaid() {
    String free = answered(CAPITAL, Map.of());
    String word = words(free).stream().skip(1).filter(it -> tokens(it) > 1).findFirst().orElse("");
    assertThat(word).as("a word of several tokens in: " + free).isNotEmpty();
    assertKeptFrom(CAPITAL, free, word);
    String phrase = "motor car";
    String of = answered(CAR, Map.of());
    assertThat(of).contains(phrase);
    String without = answered(CAR, Map.of("bad_words", List.of(phrase)));
    assertThat(without).contains("motor").doesNotContain(phrase);
    List<String> others = List.of("nothing of the kind", "neither");
    assertThat(answered(CAR, Map.of("bad_words", others))).isEqualTo(of);
  }
}
