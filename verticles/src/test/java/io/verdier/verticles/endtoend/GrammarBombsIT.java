package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What is made to cost much costs its budget, and nobody else anything. */
class GrammarBombsIT {
  private static final String BOMB = "((a{1,60}b?){1,60}|[^x]*a.{18}){1,9}";
  private static final int DEEP = 30_000;
  private static final int SCHEMAS = 3000;
  private static final int SETTLED = 500;

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
    body.put("max_tokens", 20);
    body.putAll(more);
    return body;
  }

  private static Map<String, Object> tool(Object parameters) {
    Map<String, Object> function = Map.of("name", "f", "parameters", parameters);
    return Map.of(
        "tools",
        List.of(Map.of("type", "function", "function", function)),
        "tool_choice",
        "required");
  }

  private static Map<String, Object> tag(Map<String, Object> content) {
    return Map.of("structural_tag", Map.of("format", content));
  }

  private static String nested(String open, String inner, String close) {
    return open.repeat(DEEP) + inner + close.repeat(DEEP);
  }

  private static List<Map<String, Object>> bombs() {
    Map<String, Object> pattern = Map.of("type", "string", "pattern", BOMB);
    List<Map<String, Object>> bombs = new ArrayList<>();
    bombs.add(tool(Map.of("type", "object", "properties", Map.of("a", pattern))));
    bombs.add(tool(Map.of("properties", Map.of("a", Map.of("$ref", "#/properties/a")))));
    bombs.add(tool(Map.of("allOf", Collections.nCopies(60, Map.of("anyOf", List.of(pattern))))));
    bombs.add(tool(Map.of("properties", Map.of("a", Map.of("minItems", 1_000_000_000)))));
    bombs.add(
        tool(
            Map.of("properties", Map.of("a", Map.of("type", "string", "minLength", 999_999_999)))));
    bombs.add(tag(Map.of("type", "regex", "pattern", BOMB + "?")));
    bombs.add(tag(Map.of("type", "regex", "pattern", "(.*a){25}")));
    bombs.add(tag(Map.of("type", "json_schema", "json_schema", pattern)));
    bombs.add(
        tag(
            Map.of(
                "type",
                "sequence",
                "elements",
                Collections.nCopies(50, Map.of("type", "regex", "pattern", "(.*a){9}")))));
    for (String rules :
        List.of(
            "root ::= root",
            "root ::= root \"a\" | \"b\"",
            "root ::= a\na ::= b\nb ::= a",
            "root ::= a \"x\" | \"c\"\na ::= root \"y\" | a a",
            "root ::= " + nested("(", "\"a\"", ")"),
            "start: " + nested("(", "\"a\"", ")"),
            "start: /" + nested("(", "a", ")") + "/",
            "root ::= (\"a\"{1,999}){1,999}")) {
      bombs.add(Map.of("guided_grammar", rules));
    }
    bombs.add(Map.of("guided_regex", nested("(", "a", ")")));
    bombs.add(Map.of("guided_json", nested("{\"items\":", "{}", "}")));
    bombs.add(Map.of("guided_json", "{\"enum\":[" + "1,".repeat(100_000) + "2]}"));
    bombs.add(Map.of("structural_tag", nested("{\"format\":", "{}", "}")));
    return bombs;
  }

  /** Each ends soon, well or refused, and sixteen others give what they give alone. */
  @Test
  void bombs_inEveryField_endSoonAndChangeNothing() throws Exception {
    List<String> alone = new ArrayList<>();
    for (int i = 0; i < 16; i++) {
      alone.add(neighbour(i));
    }
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<Client.Answer>> bad = new ArrayList<>();
      for (Map<String, Object> bomb : bombs()) {
        bad.add(threads.submit(() -> client.post("/v1/chat/completions", chat(bomb))));
      }
      List<Future<String>> good = new ArrayList<>();
      for (int i = 0; i < 16; i++) {
        int neighbour = i;
        good.add(threads.submit(() -> neighbour(neighbour)));
      }
      for (int i = 0; i < 16; i++) {
        assertThat(good.get(i).get(30, TimeUnit.SECONDS)).isEqualTo(alone.get(i));
      }
      for (Future<Client.Answer> answer : bad) {
        Client.Answer got = answer.get(30, TimeUnit.SECONDS);
        assertThat(got.status()).as(got.body()).isIn(200, 400, 503);
        assertThat(got.body()).doesNotContain("Exception").doesNotContain("StackOverflow");
      }
    }
    server.awaitIdle();
  }

  /** Half of them constrained themselves. */
  private static String neighbour(int i) {
    Map<String, Object> held = Map.of("guided_regex", "[a-z]{" + i + "}( [a-z]+)*");
    Map<String, Object> body = chat(i % 2 == 0 ? Map.of() : held);
    body.put("seed", 100 + i);
    body.put("logprobs", true);
    return client.post("/v1/chat/completions", body).json().get("choices").toString();
  }

  /**
   * What is remembered has a bound, which so many schemas of this size have reached long before.
   */
  @Test
  void schemas_eachOnce_fillNeitherHeapNorDisk() throws Exception {
    Path files = InProcessServer.config().cache().directory();
    List<Path> before = files(files);
    long settled = 0;
    for (int i = 0; i < SCHEMAS; i++) {
      if (i == SETTLED) {
        settled = usedHeap();
      }
      Map<String, Object> body = chat(Map.of("guided_json", words(i), "max_tokens", 1));
      assertThat(client.post("/v1/chat/completions", body).status()).isEqualTo(200);
    }
    assertThat(usedHeap() - settled).isLessThan(16L << 20);
    assertThat(files(files)).isEqualTo(before);
    assertThat(server.metric("verdier:grammar_compile_seconds_count"))
        .isGreaterThanOrEqualTo(SCHEMAS);
  }

  /** Some 170 KiB once it is compiled. */
  private static Map<String, Object> words(int seed) {
    List<String> words = new ArrayList<>();
    new Random(seed).longs(120).forEach(number -> words.add(Long.toHexString(number)));
    return Map.of("enum", words);
  }

  private static List<Path> files(Path directory) throws IOException {
    if (!Files.exists(directory)) {
      return List.of();
    }
    try (Stream<Path> found = Files.walk(directory)) {
      return found.sorted().toList();
    }
  }

  /** The least of some looks: what is collected late counts as if it were kept. */
  private static long usedHeap() {
    long least = Long.MAX_VALUE;
    for (int i = 0; i < 4; i++) {
      System.gc();
      least = Math.min(least, ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed());
    }
    return least;
  }
}
