package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Answers that must match something do, through a whole server; what cannot be is refused. */
class StructuredOutputIT {
  private static final String PHONE = "[0-9]{3}-[0-9]{4}";

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    server = InProcessServer.start("--max-num-seqs=32");
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static Map<String, Object> chat(Map<String, ?> more) {
    Map<String, Object> body = new HashMap<>();
    body.put("messages", List.of(Map.of("role", "user", "content", "Say something.")));
    body.put("temperature", 1.5);
    body.put("seed", 5);
    body.put("max_tokens", 60);
    body.putAll(more);
    return body;
  }

  private static JsonNode answer(Map<String, ?> more) {
    Client.Answer answer = client.post("/v1/chat/completions", chat(more));
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json();
  }

  private static String content(JsonNode choice) {
    return choice.at("/message/content").asText();
  }

  private static Map<String, Object> regex(String pattern) {
    return Map.of("structured_outputs", Map.of("regex", pattern));
  }

  private static Map<String, Object> with(Map<String, ?> constraint, String name, Object value) {
    Map<String, Object> all = new HashMap<>(constraint);
    all.put(name, value);
    return all;
  }

  @Test
  void regex_manySeeds_alwaysMatches() {
    for (int seed = 0; seed < 20; seed++) {
      JsonNode choice = answer(with(regex(PHONE), "seed", seed)).at("/choices/0");
      assertThat(content(choice)).matches(PHONE);
      assertThat(choice.get("finish_reason").asText()).isEqualTo("stop");
      assertThat(choice.get("stop_reason").isNull()).isTrue();
    }
  }

  @Test
  void choice_severalAnswers_areEachOneOfThem() {
    List<String> options = List.of("red", "green", "dark blue");
    JsonNode choices = answer(Map.of("guided_choice", options, "n", 8)).get("choices");
    assertThat(choices).hasSize(8);
    choices.forEach(choice -> assertThat(options).contains(content(choice)));
  }

  @Test
  void jsonSchema_hot_isKept() throws Exception {
    String schema =
        """
        {"type":"object","properties":{
          "name":{"type":"string","pattern":"^[A-Z][a-z]{1,8}$"},
          "age":{"type":"integer","minimum":1,"maximum":120},
          "tags":{"type":"array","items":{"enum":["red","green",3,null]},"minItems":1,"maxItems":3}},
         "required":["name","age","tags"],"additionalProperties":false}\
        """;
    int ended = 0;
    for (int seed = 0; seed < 12; seed++) {
      Map<String, Object> format =
          seed % 2 == 0
              ? Map.of("guided_json", schema)
              : Map.of(
                  "response_format",
                  Map.of(
                      "type",
                      "json_schema",
                      "json_schema",
                      Map.of("name", "a", "schema", Client.JSON.readTree(schema))));
      JsonNode choice =
          answer(with(with(format, "seed", seed), "max_tokens", 400)).at("/choices/0");
      if (choice.get("finish_reason").asText().equals("stop")) {
        JsonNode value = Client.JSON.readTree(content(choice));
        assertThat(value.properties()).hasSize(3);
        assertThat(value.get("name").asText()).matches("[A-Z][a-z]{1,8}");
        assertThat(value.get("age").asInt()).isBetween(1, 120);
        assertThat(value.get("tags").size()).isBetween(1, 3);
        ended++;
      }
    }
    assertThat(ended).isGreaterThan(9);
  }

  /** Names that can only follow are told without a step each, and counted all the same. */
  @Test
  void jsonSchema_longNames_takesFewerStepsThanTokens() {
    String schema =
        """
        {"type":"object","properties":{
          "the name of the customer":{"enum":["Ann","Bob"]},
          "the city where they live":{"enum":["Oslo","Rome"]}},
         "required":["the name of the customer","the city where they live"],
         "additionalProperties":false}\
        """;
    Map<String, Object> names =
        Map.of("structured_outputs", Map.of("json", schema, "disable_any_whitespace", true));
    double before = server.metric("vllm:iteration_tokens_total_count");
    JsonNode whole = answer(names);
    double steps = server.metric("vllm:iteration_tokens_total_count") - before;
    int tokens = completionTokens(whole);
    String text = content(whole.at("/choices/0"));
    assertThat(text).startsWith("{\"the name of the customer\"").endsWith("}");
    assertThat(2 * steps).isLessThan(tokens);

    JsonNode scored = answer(with(names, "logprobs", true));
    assertThat(content(scored.at("/choices/0"))).isEqualTo(text);
    assertThat(completionTokens(scored)).isEqualTo(tokens);
    for (int most = 1; most < tokens; most++) {
      JsonNode cut = answer(with(names, "max_tokens", most));
      assertThat(completionTokens(cut)).isEqualTo(most);
      assertThat(text).startsWith(content(cut.at("/choices/0")));
    }
    JsonNode stopped = answer(with(names, "stop", " of the"));
    assertThat(content(stopped.at("/choices/0"))).isEqualTo("{\"the name");
    assertThat(completionTokens(stopped))
        .isEqualTo(completionTokens(answer(with(with(names, "stop", " of the"), "logprobs", true))))
        .isLessThan(tokens);
  }

  private static int completionTokens(JsonNode body) {
    return body.at("/usage/completion_tokens").asInt();
  }

  @Test
  void jsonObject_compact_isOne() throws Exception {
    int ended = 0;
    for (int seed = 0; seed < 6; seed++) {
      Map<String, Object> outputs =
          Map.of("structured_outputs", Map.of("json_object", true, "disable_any_whitespace", true));
      JsonNode choice =
          answer(with(with(outputs, "seed", seed), "max_tokens", 600)).at("/choices/0");
      if (choice.get("finish_reason").asText().equals("stop")) {
        assertThat(Client.JSON.readTree(content(choice)).isObject()).isTrue();
        ended++;
      } else {
        assertThat(content(choice)).startsWith("{");
      }
    }
    assertThat(ended).isPositive();
  }

  @Test
  void rules_inBothNotations_areKept() {
    for (String rules :
        List.of(
            "root ::= item (\",\" item){1,2}\nitem ::= \"ab\" | \"cd\"",
            "start: ITEM \",\" ITEM (\",\" ITEM)?\nITEM: \"ab\" | \"cd\"")) {
      JsonNode choice = answer(Map.of("guided_grammar", rules)).at("/choices/0");
      assertThat(content(choice)).matches("(ab|cd)(,(ab|cd)){1,2}");
    }
  }

  private static final Map<String, Object> NUMBER =
      Map.of("type", "integer", "minimum", 100, "maximum", 999);
  private static final String TAGGED = "e[1-9][0-9]{2};";

  /** Once an e was said, a number must follow. */
  @Test
  void structuralTag_olderForm_goesOnAsItMust() {
    Map<String, Object> tag =
        Map.of(
            "type",
            "structural_tag",
            "structures",
            List.of(Map.of("begin", "e", "schema", NUMBER, "end", ";")),
            "triggers",
            List.of("e"));
    int tags = 0;
    for (int seed = 0; seed < 6; seed++) {
      Map<String, Object> body = with(Map.of("response_format", tag), "seed", seed);
      JsonNode choice = answer(body).at("/choices/0");
      String text = content(choice);
      String free = text.replaceAll(TAGGED, "");
      tags += text.equals(free) ? 0 : 1;
      String whole =
          choice.get("finish_reason").asText().equals("stop")
              ? free
              : free.replaceAll("e([1-9][0-9]{0,2})?$", "");
      assertThat(whole).doesNotContain("e");
      assertThat(streamed(body)).isEqualTo(text);
    }
    assertThat(tags).isPositive();
  }

  @Test
  void structuralTag_everyField_isOneTag() throws Exception {
    Map<String, Object> content = Map.of("type", "json_schema", "json_schema", NUMBER);
    Map<String, Object> format =
        Map.of(
            "type",
            "triggered_tags",
            "triggers",
            List.of("e"),
            "tags",
            List.of(Map.of("begin", "e", "content", content, "end", ";")),
            "at_least_one",
            true,
            "stop_after_first",
            true);
    Map<String, Object> tag = Map.of("type", "structural_tag", "format", format);
    for (Map<String, Object> body :
        List.<Map<String, Object>>of(
            Map.of("response_format", tag),
            Map.of("structured_outputs", Map.of("structural_tag", tag)),
            Map.of("structural_tag", Client.JSON.writeValueAsString(tag)))) {
      JsonNode choice = answer(body).at("/choices/0");
      assertThat(content(choice)).matches(TAGGED);
      assertThat(choice.get("finish_reason").asText()).isEqualTo("stop");
      assertThat(streamed(body)).isEqualTo(content(choice));
    }
  }

  @Test
  void structuralTag_malformed_refusedWithItsField() {
    for (String tag :
        List.of(
            "",
            "{",
            "[]",
            "{}",
            "{\"format\":{}}",
            "{\"format\":{\"type\":\"nope\"}}",
            "{\"format\":{\"type\":\"regex\",\"pattern\":\"(\"}}",
            "{\"format\":{\"type\":\"json_schema\",\"json_schema\":{\"type\":3}}}",
            "{\"format\":{\"type\":\"triggered_tags\",\"triggers\":[],\"tags\":[]}}",
            "{\"structures\":[],\"triggers\":[\"a\"]}",
            "{\"structures\":[{\"begin\":\"a\"}],\"triggers\":[\"a\"]}",
            "{\"structures\":[{\"begin\":\"a\",\"schema\":{},\"end\":\"\"}],\"triggers\":[\"b\"]}")) {
      refused("/v1/chat/completions", chat(Map.of("structural_tag", tag)), "structural_tag");
      Map<String, Object> outputs = Map.of("structured_outputs", Map.of("structural_tag", tag));
      refused("/v1/completions", with(outputs, "prompt", "a"), "structured_outputs.structural_tag");
    }
    Map<String, Object> format = Map.of("response_format", Map.of("type", "structural_tag"));
    refused("/v1/chat/completions", chat(format), "response_format");
    server.awaitIdle();
  }

  private static String streamed(Map<String, ?> body) {
    StringBuilder text = new StringBuilder();
    for (JsonNode event :
        Client.events(client.post("/v1/chat/completions", chat(with(body, "stream", true))))) {
      text.append(event.at("/choices/0/delta/content").asText(""));
    }
    return text.toString();
  }

  @Test
  void logprobs_underAMask_areThoseOfTheModel() {
    JsonNode body = answer(with(with(regex(PHONE), "logprobs", true), "top_logprobs", 3));
    JsonNode tokens = body.at("/choices/0/logprobs/content");
    assertThat(tokens.size()).isGreaterThan(3);
    for (JsonNode token : tokens) {
      assertThat(token.get("logprob").asDouble()).isLessThanOrEqualTo(0);
      assertThat(token.get("top_logprobs")).hasSize(3);
    }
    assertThat(tokens.toString()).as("tokens that no phone number has").containsPattern("[a-z]{2}");
  }

  @Test
  void stream_concatenated_isTheWholeAnswer() {
    String whole = content(answer(regex(PHONE)).at("/choices/0"));
    assertThat(streamed(regex(PHONE))).isEqualTo(whole).matches(PHONE);
  }

  @Test
  void completionsAndPredictions_areHeldToo() {
    Map<String, Object> body = with(regex(PHONE), "prompt", "Call me: ");
    body.put("temperature", 1.5);
    JsonNode completion = client.post("/v1/completions", body).json();
    assertThat(completion.at("/choices/0/text").asText()).matches(PHONE);
    body.put("raw_response", true);
    JsonNode prediction = client.post("/generate", Map.of("instances", List.of(body))).json();
    assertThat(prediction.at("/predictions/0").asText()).matches(PHONE);
  }

  @Test
  void stopString_insideAMatch_endsIt() {
    JsonNode choice = answer(with(regex(PHONE), "stop", "-")).at("/choices/0");
    assertThat(content(choice)).matches("[0-9]{3}");
    assertThat(choice.get("stop_reason").asText()).isEqualTo("-");
  }

  @Test
  void lengths_areKeptAsFarAsTheConstraintLets() {
    JsonNode cut = answer(with(regex("[a-z]{200}"), "max_tokens", 5)).at("/choices/0");
    assertThat(cut.get("finish_reason").asText()).isEqualTo("length");
    JsonNode ended = answer(with(regex("(yes|no)"), "min_tokens", 20)).at("/choices/0");
    assertThat(content(ended)).matches("yes|no");
    assertThat(ended.get("finish_reason").asText()).isEqualTo("stop");
    JsonNode long0 = answer(with(regex("[a-z ]*"), "min_tokens", 20));
    assertThat(long0.at("/usage/completion_tokens").asInt()).isGreaterThanOrEqualTo(20);
    JsonNode ignoring = answer(with(regex("(yes|no)"), "ignore_eos", true)).at("/choices/0");
    assertThat(content(ignoring)).matches("yes|no");
    assertThat(ignoring.get("finish_reason").asText()).isEqualTo("stop");
  }

  @Test
  void biasAndAllowedTokens_actWithinTheConstraint() {
    JsonNode ids = client.post("/tokenize", Map.of("prompt", "7")).json().get("tokens");
    int seven = ids.get(ids.size() - 1).asInt();
    JsonNode biased =
        answer(with(regex("[0-9]{6}"), "logit_bias", Map.of(Integer.toString(seven), 100)));
    assertThat(content(biased.at("/choices/0"))).isEqualTo("777777");
    Client.Answer nothing =
        client.post(
            "/v1/chat/completions",
            chat(with(regex("[a-f]+"), "allowed_token_ids", List.of(seven))));
    assertThat(nothing.status()).isEqualTo(400);
    assertThat(nothing.body()).contains("what the answer must match");
  }

  /** Some five hundred of them, on every route and in every field, beside sound ones. */
  @Test
  void malformed_everywhere_refusedWithItsField() throws Exception {
    List<String> alone = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      alone.add(neighbour(i));
    }
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<?> bad = threads.submit(StructuredOutputIT::refuseMalformed);
      do {
        for (int i = 0; i < 4; i++) {
          assertThat(neighbour(i)).isEqualTo(alone.get(i));
        }
      } while (!bad.isDone());
      bad.get();
    }
    server.awaitIdle();
  }

  private static void refuseMalformed() {
    for (String bad :
        List.of("(", ")", "[", "[b-a]", "a{2,1}", "(?=a)b", "(?<n>a)\\k<n>", "\\p{Nope}", "(?P<")) {
      for (String around : List.of("%s", "a%s", "(x|%s)", "[0-9]{2}%s", "%sz", "((%s))", "y*%s")) {
        String pattern = around.formatted(bad);
        Map<String, Object> outputs = regex(pattern);
        Map<String, Object> guided = Map.of("guided_regex", pattern);
        refused("/v1/chat/completions", chat(outputs), "structured_outputs.regex");
        refused("/v1/chat/completions", chat(guided), "guided_regex");
        refused("/v1/completions", with(outputs, "prompt", "a"), "structured_outputs.regex");
        refused("/v1/completions", with(guided, "prompt", "a"), "guided_regex");
        refused("/generate", with(outputs, "prompt", "a"), "structured_outputs.regex");
        refused("/generate", with(guided, "prompt", "a"), "guided_regex");
        refused(
            "/generate",
            Map.of("instances", List.of(with(guided, "prompt", "a"))),
            "instances.0.guided_regex");
        refused(
            "/generate",
            with(chat(outputs), "@requestFormat", "chatCompletions"),
            "structured_outputs.regex");
      }
    }
  }

  @Test
  void malformed_schemasAndRules_refusedWithTheirField() {
    for (String schema :
        List.of(
            "",
            "{",
            "3",
            "[]",
            "{\"type\":3}",
            "{\"type\":\"nope\"}",
            "{\"enum\":[]}",
            "{\"$ref\":\"#/no\"}",
            "{\"$ref\":\"http://example.org/a\"}",
            "{\"minItems\":-1}",
            "{\"pattern\":\"(\"}",
            "{\"type\":\"string\",\"minLength\":3,\"maxLength\":1}",
            "{\"properties\":[]}",
            "{\"allOf\":{}}",
            "{} {}",
            "{\"a\":1,}")) {
      refused("/v1/chat/completions", chat(Map.of("guided_json", schema)), "guided_json");
      Map<String, Object> outputs = Map.of("structured_outputs", Map.of("json", schema));
      refused("/v1/completions", with(outputs, "prompt", "a"), "structured_outputs.json");
    }
    for (String rules :
        List.of(
            "",
            "root ::= x",
            "root ::= (",
            "root ::= \"a",
            "start: x",
            "start: /(/",
            "::= \"a\"",
            "root ::= [b-a]",
            "%import x.y")) {
      refused("/v1/chat/completions", chat(Map.of("guided_grammar", rules)), "guided_grammar");
      refused(
          "/generate",
          with(Map.of("structured_outputs", Map.of("grammar", rules)), "prompt", "a"),
          "structured_outputs.grammar");
    }
    server.awaitIdle();
  }

  private static void refused(String route, Map<String, ?> body, String parameter) {
    Client.Answer answer = client.post(route, body);
    assertThat(answer.status()).as(body + answer.body()).isEqualTo(400);
    assertThat(answer.body())
        .contains(parameter)
        .doesNotContain("Exception")
        .doesNotContain("io.verdier");
  }

  /** Each ends soon, well or refused, and sixteen others give what they give alone. */
  @Test
  void bombs_besideOthers_endSoonAndChangeNothing() throws Exception {
    List<String> alone = new ArrayList<>();
    for (int i = 0; i < 16; i++) {
      alone.add(neighbour(i));
    }
    List<String> bombs = new ArrayList<>();
    for (String bomb :
        List.of(
            "(a+)+b",
            "(a|aa)*b",
            "(.*a){25}",
            "x{1,1000}{1,1000}",
            "(a|b)*a(a|b){17}",
            "[\\u0000-\\U0010ffff]{1,65535}",
            "((a{1,60}b?){1,60}|[^x]*a.{18}){1,9}",
            "(.*a.{9}){9}")) {
      bombs.add(bomb);
      bombs.add("(" + bomb + ")?c");
    }
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<Client.Answer>> bad = new ArrayList<>();
      for (String bomb : bombs) {
        Map<String, Object> body = chat(with(regex(bomb), "max_tokens", 20));
        bad.add(threads.submit(() -> client.post("/v1/chat/completions", body)));
      }
      List<Future<String>> good = new ArrayList<>();
      for (int i = 0; i < 16; i++) {
        int neighbour = i;
        good.add(threads.submit(() -> neighbour(neighbour)));
      }
      for (int i = 0; i < 16; i++) {
        assertThat(good.get(i).get(20, TimeUnit.SECONDS)).isEqualTo(alone.get(i));
      }
      for (Future<Client.Answer> answer : bad) {
        assertThat(answer.get(20, TimeUnit.SECONDS).status()).isIn(200, 400, 503);
      }
    }
    server.awaitIdle();
  }

  /** Half of them constrained themselves. */
  private static String neighbour(int i) {
    Map<String, Object> body = chat(i % 2 == 0 ? Map.of() : regex("[a-z]{" + i + "}( [a-z]+)*"));
    body.put("seed", 100 + i);
    body.put("max_tokens", 20);
    body.put("logprobs", true);
    return client.post("/v1/chat/completions", body).json().get("choices").toString();
  }
}
