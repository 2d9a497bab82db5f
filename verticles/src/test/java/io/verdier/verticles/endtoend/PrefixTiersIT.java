package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import io.verdier.verticles.launch.ServerProcess;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A server whose KV cache holds one long prompt, with host memory and a disk behind it. Takes some
 * 30 s, most of them for prompts of 1,000 tokens that must be computed.
 */
@Tag("alone")
class PrefixTiersIT {
  private static final int LENGTH = 1000;
  private static final int CACHED = 992;
  private static final String[] SMALL = {
    "--max-model-len=1024", "--num-gpu-blocks-override=66", "--host-prefix-kv-cache-min-len=100"
  };

  @TempDir static Path directory;
  private static InProcessServer cold;
  private static InProcessServer server;

  @BeforeAll
  static void start() {
    cold = InProcessServer.start("--max-model-len=1024", "--no-enable-prefix-caching");
    server =
        InProcessServer.start(flags("--kv-offloading-size=1", "--enable-prompt-tokens-details"));
  }

  @AfterAll
  static void stop() {
    server.close();
    cold.close();
  }

  private static String[] flags(String... more) {
    List<String> all = new ArrayList<>(Arrays.asList(SMALL));
    all.addAll(Arrays.asList(more));
    return all.toArray(String[]::new);
  }

  /** What a client gets. */
  private record Answer(List<Integer> tokens, int cached, double millis) {}

  private static Answer ask(String baseUrl, int prompt, String salt) {
    return ask(new Client(baseUrl), prompt, salt);
  }

  private static Answer ask(Client client, int prompt, String salt) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", prompt(prompt));
    body.put("max_tokens", 4);
    body.put("temperature", 0);
    body.put("ignore_eos", true);
    body.put("return_token_ids", true);
    if (!salt.isEmpty()) {
      body.put("cache_salt", salt);
    }
    long start = System.nanoTime();
    Client.Answer answer = client.post("/v1/completions", body);
    double millis = (System.nanoTime() - start) / 1e6;
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    List<Integer> tokens = new ArrayList<>();
    for (JsonNode id : answer.json().at("/choices/0/token_ids")) {
      tokens.add(id.asInt());
    }
    int cached = answer.json().at("/usage/prompt_tokens_details/cached_tokens").asInt();
    return new Answer(tokens, cached, millis);
  }

  private static int[] prompt(int number) {
    return new SplittableRandom(number).ints(LENGTH, 1, 4000).toArray();
  }

  /**
   * Two engines with a directory each, and two ranks with a part of each block: what was there
   * before a restart is found, with the same tokens, and the metrics say where.
   */
  @ParameterizedTest
  @ValueSource(strings = {"--data-parallel-size=2", "--tensor-parallel-size=2"})
  void completions_serverInPartsAfterARestart_findsPromptsOnTheDisk(String parts) {
    String[] flags =
        flags(
            parts,
            "--kv-offloading-size=0.2",
            "--enable-prompt-tokens-details",
            "--prefix-cache-dir=" + directory.resolve(parts));
    List<List<Integer>> unseen = new ArrayList<>();
    double written;
    try (InProcessServer before = InProcessServer.start(flags)) {
      Client client = new Client(before.baseUrl()); // by one connection engines take turns
      for (int prompt = 300; prompt < 302; prompt++) {
        Answer answer = ask(client, prompt, "");
        assertThat(answer.cached).isZero();
        unseen.add(answer.tokens);
      }
      awaitDisk(before);
      written = sum(before, "bytes_in", "host");
      assertThat(written).isPositive();
      assertThat(sum(before, "hits", "disk")).isZero();
      assertThat(sum(before, "bytes_out", "disk")).isZero();
    }
    try (InProcessServer after = InProcessServer.start(flags)) {
      Client client = new Client(after.baseUrl());
      for (int prompt = 300; prompt < 302; prompt++) {
        Answer answer = ask(client, prompt, "");
        assertThat(answer.cached).isEqualTo(CACHED);
        assertThat(answer.tokens).isEqualTo(unseen.get(prompt - 300));
      }
      assertThat(ask(client, 300, "another").cached).isZero();
      assertThat(ask(client, 301, "another").cached).isZero();
      assertThat(sum(after, "hits", "disk")).isEqualTo(2.0 * CACHED);
      assertThat(sum(after, "bytes_out", "disk")).isEqualTo(written);
      assertThat(sum(after, "load_seconds", "disk")).isPositive();
    }
  }

  /** Of all engines together. */
  private static double sum(InProcessServer of, String metric, String tier) {
    String name = "verdier:prefix_tier_" + metric + "_total{";
    return of.server()
        .metricsText()
        .lines()
        .filter(line -> line.startsWith(name) && line.contains("tier=\"" + tier + "\""))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .sum();
  }

  private static double tier(String metric, String tier) {
    return number("verdier:prefix_tier_" + metric + "_total{", "tier=\"" + tier + "\"");
  }

  /** The first series whose line begins so and contains all of that. */
  private static double number(String name, String... labels) {
    return server
        .server()
        .metricsText()
        .lines()
        .filter(line -> line.startsWith(name) && Arrays.stream(labels).allMatch(line::contains))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void completions_promptThatLeftTheDevice_comesFromTheHost() {
    List<Integer> expected = ask(cold.baseUrl(), 1, "").tokens;
    Answer unseen = ask(server.baseUrl(), 1, "");
    Answer onDevice = ask(server.baseUrl(), 1, "");
    ask(server.baseUrl(), 2, ""); // the device forgets
    double before = tier("hits", "host");
    double queries = tier("queries", "host");
    double bytes = tier("bytes_out", "host");
    Answer inHost = ask(server.baseUrl(), 1, "");

    assertThat(unseen).extracting(Answer::tokens, Answer::cached).containsExactly(expected, 0);
    assertThat(onDevice)
        .extracting(Answer::tokens, Answer::cached)
        .containsExactly(expected, CACHED);
    assertThat(inHost).extracting(Answer::tokens, Answer::cached).containsExactly(expected, CACHED);
    // The device may still have the first few blocks: the last ones go first.
    assertThat(tier("hits", "host") - before).isBetween(CACHED - 100.0, (double) CACHED);
    assertThat(tier("queries", "host") - queries).isEqualTo(tier("hits", "host") - before);
    assertThat(tier("bytes_out", "host")).isGreaterThan(bytes);
    assertThat(tier("evictions", "device")).isPositive();
    assertThat(tier("load_seconds", "host")).isPositive();
    assertThat(number("vllm:kv_offload_load_bytes_total{")).isEqualTo(tier("bytes_out", "host"));
    assertThat(number("vllm:kv_offload_store_bytes_total{")).isEqualTo(tier("bytes_in", "host"));
  }

  /**
   * Times of prompts that nobody has sent, that another tenant has, and that the asker has, while
   * what was computed lies in one tier. Owned by the test.
   */
  private static final class Times {
    private static final int ROUNDS = 5;
    private final InProcessServer of;
    private final String tier;
    private final double[] unseen = new double[ROUNDS];
    private final double[] foreign = new double[ROUNDS];
    private final double[] own = new double[ROUNDS];

    Times(InProcessServer of, String tier) {
      this.of = of;
      this.tier = tier;
    }

    private double hits() {
      return sum(of, "hits", "device") + sum(of, "hits", "host") + sum(of, "hits", "disk");
    }

    void unseen(int round, int prompt) {
      Answer answer = ask(of.baseUrl(), prompt, "a");
      assertThat(answer.cached).isZero();
      unseen[round] = answer.millis;
    }

    /** Of what tenant a has sent. */
    void foreign(int round, int prompt) {
      double before = hits();
      Answer answer = ask(of.baseUrl(), prompt, "b");
      assertThat(answer.cached).isZero();
      assertThat(hits()).isEqualTo(before);
      foreign[round] = answer.millis;
    }

    void own(int round, int prompt) {
      double before = sum(of, "hits", tier);
      Answer answer = ask(of.baseUrl(), prompt, "a");
      assertThat(answer.cached).isEqualTo(CACHED);
      assertThat(sum(of, "hits", tier) - before).as(tier).isGreaterThan(CACHED - 100.0);
      own[round] = answer.millis;
    }

    void requireThatOnlyOnesOwnShow() {
      System.out.printf(
          "%s: unseen %.0f ms, another tenant's %.0f ms, one's own %.0f ms%n",
          tier, median(unseen), median(foreign), median(own));
      assertThat(median(foreign)).isGreaterThan(median(unseen) / 2);
      assertThat(median(own)).as("a hit would show").isLessThan(median(foreign) / 2);
    }
  }

  /** By counts and by time: another tenant's prompt is as slow as one that nobody has sent. */
  @Test
  void completions_anotherSaltOnTheDevice_isNotFaster() {
    Times times = new Times(server, "device");
    for (int i = 0; i < Times.ROUNDS; i++) {
      times.unseen(i, 100 + i);
      times.own(i, 100 + i);
      times.foreign(i, 100 + i);
    }
    times.requireThatOnlyOnesOwnShow();
  }

  /** The device has room for one prompt: what came before the last one is in host memory alone. */
  @Test
  void completions_anotherSaltInHostMemory_isNotFaster() {
    Times times = new Times(server, "host");
    ask(server.baseUrl(), 120, "a");
    for (int i = 0; i < Times.ROUNDS; i++) {
      times.unseen(i, 121 + i);
      times.foreign(i, 120 + i);
      times.own(i, 120 + i);
    }
    times.requireThatOnlyOnesOwnShow();
  }

  /** After a restart what was computed before it is on the disk alone. */
  @Test
  void completions_anotherSaltOnTheDisk_isNotFaster() {
    String[] flags =
        flags(
            "--kv-offloading-size=1",
            "--enable-prompt-tokens-details",
            "--prefix-cache-dir=" + directory.resolve("salts"));
    try (InProcessServer before = InProcessServer.start(flags)) {
      for (int i = 0; i < Times.ROUNDS; i++) {
        ask(before.baseUrl(), 140 + i, "a");
      }
      awaitDisk(before);
    }
    try (InProcessServer after = InProcessServer.start(flags)) {
      Times times = new Times(after, "disk");
      for (int i = 0; i < Times.ROUNDS; i++) {
        times.unseen(i, 150 + i);
        times.foreign(i, 140 + i);
        times.own(i, 140 + i);
      }
      times.requireThatOnlyOnesOwnShow();
    }
  }

  /** Until the disk has all that host memory has got. */
  private static void awaitDisk(InProcessServer of) {
    ClusterFixture.await(
        () -> sum(of, "bytes_in", "disk") == sum(of, "bytes_in", "host"),
        "the disk does not get all blocks");
  }

  private static double median(double[] samples) {
    double[] sorted = samples.clone();
    Arrays.sort(sorted);
    return sorted[sorted.length / 2];
  }

  /** Killed while blocks are written, again and again: the next one serves, and the same tokens. */
  @Test
  void completions_serversKilledWhileTheyWrite_theNextGivesTheSameTokens() throws Exception {
    List<List<Integer>> expected = new ArrayList<>();
    for (int prompt = 0; prompt < 3; prompt++) {
      expected.add(ask(cold.baseUrl(), 200 + prompt, "").tokens);
    }
    String[] flags =
        flags("--kv-offloading-size=0.1", "--prefix-cache-dir=" + directory.resolve("prefixes"));
    SplittableRandom random = new SplittableRandom();
    for (int kill = 0; kill < 3; kill++) {
      ServerProcess victim = ServerProcess.serve(flags).awaitReady();
      List<Future<?>> answers = new ArrayList<>(); // most never come
      try (ExecutorService clients = Executors.newVirtualThreadPerTaskExecutor()) {
        for (int prompt = 0; prompt < 3; prompt++) {
          int number = 200 + prompt;
          answers.add(clients.submit(() -> ask(victim.baseUrl(), number, "")));
        }
        LockSupport.parkNanos(200_000_000L + random.nextLong(400_000_000L));
        victim.close(); // SIGKILL
      }
      assertThat(answers).allMatch(Future::isDone);
    }
    try (InProcessServer next = InProcessServer.start(flags)) {
      for (int round = 0; round < 2; round++) {
        for (int prompt = 0; prompt < 3; prompt++) {
          assertThat(ask(next.baseUrl(), 200 + prompt, "").tokens).isEqualTo(expected.get(prompt));
        }
      }
    }
    try (InProcessServer warm =
        InProcessServer.start(
            flags(
                "--enable-prompt-tokens-details",
                "--kv-offloading-size=0.1",
                "--prefix-cache-dir=" + directory.resolve("prefixes")))) {
      Answer found = ask(warm.baseUrl(), 202, "");
      assertThat(found.tokens).isEqualTo(expected.get(2));
      assertThat(found.cached).isEqualTo(CACHED);
      assertThat(ask(warm.baseUrl(), 202, "another").cached).isZero();
    }
  }
}
