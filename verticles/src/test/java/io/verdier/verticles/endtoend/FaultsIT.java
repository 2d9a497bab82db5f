package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.backend.DeviceException.Aftermath;
import io.verdier.engine.backend.cuda.CudaException;
import io.verdier.engine.run.StepRunner;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import io.verdier.verticles.launch.InProcessServer;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/**
 * What goes wrong for one request goes wrong for that request alone; the others give golden answers
 * meanwhile.
 */
class FaultsIT {
  private static final Path GOLDEN = Path.of("../engine/src/test/resources/golden/logits.json");

  /** A prompt of this id, many times over, makes the test's runners fail. */
  private static final int POISON = 4000;

  /** The demo model ends its answers with it. */
  private static final int END_TOKEN = 4073;

  @Test
  void sampler_failsForOneSequence_othersInTheSameBatchAreGolden() throws Exception {
    check(FailingSampler::new, 1);
  }

  @Test
  void sampler_failsWhileStepsArePlannedAhead_othersInTheSameBatchAreGolden() throws Exception {
    check(FailingSampler::new, 1, "--async-scheduling");
  }

  @Test
  void step_throws_itsSequencesFailAndLaterOnesAreGolden() throws Exception {
    List<Throwable> faults =
        List.of(
            new IllegalStateException("a step of the test failed"),
            new NoClassDefFoundError("a step of the test failed"),
            new OutOfMemoryError("a step of the test failed"));
    Iterator<Throwable> turns = faults.iterator();
    try (InProcessServer server =
        InProcessServer.start(runner -> new ThrowingStep(runner, turns))) {
      Client client = new Client(server.baseUrl());
      for (Throwable fault : faults) {
        Client.Answer answer = poison(client);
        assertThat(answer.status()).as(fault.toString()).isEqualTo(500);
        assertThat(answer.body()).doesNotContain("of the test");
        assertGolden(client);
      }
      assertThat(turns.hasNext()).isFalse();
      server.awaitIdle();
      assertThat(server.metric("vllm:kv_cache_usage_perc")).isZero();
      assertThat(client.get("/health").status()).isEqualTo(200);
    }
  }

  @Test
  void step_losesTheDevice_healthFailsForGood() throws Exception {
    Iterator<Throwable> turns =
        List.<Throwable>of(new CudaException("a device of the test is gone", Aftermath.LOST))
            .iterator();
    try (InProcessServer server =
        InProcessServer.start(runner -> new ThrowingStep(runner, turns))) {
      Client client = new Client(server.baseUrl());
      Client.Answer answer = poison(client);
      assertThat(answer.status()).isBetween(500, 503);
      assertThat(answer.body()).doesNotContain("of the test");
      long deadline = System.nanoTime() + 10_000_000_000L;
      while (client.get("/health").status() != 503 && System.nanoTime() < deadline) {
        Thread.onSpinWait();
      }
      assertThat(client.get("/health").status()).isEqualTo(503);
      assertThat(poison(client).status()).isEqualTo(503);
    }
  }

  /** Its sequences never end, so a drain that waited for them would last until its deadline. */
  @Test
  void scheduler_fails_drainWaitsForLastBytesOnly() throws Exception {
    try (InProcessServer server = InProcessServer.start(AlienOutcome::new, "--drain-timeout=600")) {
      assertThat(poison(new Client(server.baseUrl())).status()).isEqualTo(503);
      assertThat(server.server().liveSequences()).isEqualTo(1);
      assertThat(server.server().drain().toCompletionStage().toCompletableFuture())
          .succeedsWithin(30, TimeUnit.SECONDS);
    }
  }

  @Test
  void template_refusesOrRunsAway_othersAreGolden() throws Exception {
    try (InProcessServer server = InProcessServer.start("--trust-request-chat-template")) {
      Client client = new Client(server.baseUrl());
      Map<String, Object> unknownRole =
          Map.of(
              "messages",
              List.of(Map.of("role", "user", "content", "Hi")),
              "chat_template",
              "{{ raise_exception('no') }}");
      Map<String, Object> endless =
          Map.of(
              "messages",
              List.of(Map.of("role", "user", "content", "Hi")),
              "chat_template",
              "{% for i in range(99999999) %}{% for j in range(99999999) %}{% endfor %}{% endfor"
                  + " %}");
      Map<String, Object> broken =
          Map.of(
              "messages",
              List.of(Map.of("role", "user", "content", "Hi")),
              "chat_template",
              "{% if %}");
      try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
        List<Future<Client.Answer>> bad = new ArrayList<>();
        for (Map<String, Object> body : List.of(unknownRole, endless, broken)) {
          bad.add(threads.submit(() -> client.post("/v1/chat/completions", body)));
        }
        assertGolden(client);
        for (Future<Client.Answer> answer : bad) {
          assertThat(answer.get().status()).as(answer.get().body()).isEqualTo(400);
        }
      }
      server.awaitIdle();
    }
  }

  @Test
  void template_failsInsideTheServer_othersAreGolden() throws Exception {
    try (InProcessServer server =
            InProcessServer.start(new BrokenClock(), "--trust-request-chat-template");
        ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Client client = new Client(server.baseUrl());
      Map<String, Object> asksForTheDate =
          Map.of(
              "messages",
              List.of(Map.of("role", "user", "content", "Hi")),
              "chat_template",
              "{{ strftime_now('%Y') }}");
      List<Future<Client.Answer>> bad = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        bad.add(threads.submit(() -> client.post("/v1/chat/completions", asksForTheDate)));
      }
      assertGolden(client);
      for (Future<Client.Answer> answer : bad) {
        assertThat(answer.get().status()).as(answer.get().body()).isEqualTo(500);
        assertThat(answer.get().body()).doesNotContain("of the test");
      }
      server.awaitIdle();
    }
  }

  @Test
  void request_leavesNoTokenToChoose_isRefusedAndOthersAreGolden() throws Exception {
    try (InProcessServer server = InProcessServer.start();
        ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Client client = new Client(server.baseUrl());
      Map<String, Object> impossible =
          Map.of(
              "prompt",
              "Hello",
              "allowed_token_ids",
              List.of(END_TOKEN),
              "min_tokens",
              2,
              "max_tokens",
              4);
      Future<Client.Answer> bad = threads.submit(() -> client.post("/v1/completions", impossible));
      assertGolden(client);
      assertThat(bad.get().status()).as(bad.get().body()).isEqualTo(400);
      assertThat(bad.get().body()).contains("allowed_token_ids").contains("min_tokens");
      server.awaitIdle();
    }
  }

  @Test
  void tokenizer_refusesText_othersAreGolden() throws Exception {
    try (InProcessServer server = InProcessServer.start()) {
      Client client = new Client(server.baseUrl());
      Client.Answer lone = client.post("/v1/completions", "{\"prompt\": \"a\\ud800\"}");
      assertThat(lone.status()).isEqualTo(400);
      Client.Answer unknown = client.post("/v1/completions", Map.of("prompt", List.of(1, 999_999)));
      assertThat(unknown.status()).isEqualTo(400);
      Client.Answer tooLong =
          client.post("/v1/completions", Map.of("prompt", "word ".repeat(3000)));
      assertThat(tooLong.status()).isEqualTo(400);
      assertThat(tooLong.body()).contains("2048").contains("--max-model-len");
      assertGolden(client);
    }
  }

  private static void check(UnaryOperator<StepRunner> around, int rounds, String... flags)
      throws Exception {
    try (InProcessServer server = InProcessServer.start(around, flags);
        ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Client client = new Client(server.baseUrl());
      for (int round = 0; round < rounds; round++) {
        List<Future<Client.Answer>> poisoned = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
          poisoned.add(threads.submit(() -> poison(client)));
        }
        assertGolden(client);
        for (Future<Client.Answer> answer : poisoned) {
          assertThat(answer.get().status()).isEqualTo(500);
          assertThat(answer.get().body()).doesNotContain("java").contains("the test's sampler");
        }
      }
      server.awaitIdle();
      assertThat(server.metric("vllm:kv_cache_usage_perc")).isZero();
    }
  }

  private static Client.Answer poison(Client client) {
    List<Integer> prompt = IntStream.generate(() -> POISON).limit(20).boxed().toList();
    return client.post("/v1/completions", Map.of("prompt", prompt, "max_tokens", 8));
  }

  /** Every golden prompt, all at once. */
  private static void assertGolden(Client client) throws Exception {
    Map<JsonNode, Future<Client.Answer>> answers = new LinkedHashMap<>();
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (JsonNode golden : Client.JSON.readTree(GOLDEN.toFile()).get("cases")) {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("prompt", golden.get("ids"));
        body.put("max_tokens", golden.at("/greedy/max_tokens").asInt());
        body.put("temperature", 0);
        body.put("return_token_ids", true);
        answers.put(golden, threads.submit(() -> client.post("/v1/completions", body)));
      }
    }
    for (var entry : answers.entrySet()) {
      Client.Answer answer = entry.getValue().get();
      assertThat(answer.status()).as(answer.body()).isEqualTo(200);
      assertThat(answer.json().at("/choices/0/token_ids"))
          .isEqualTo(entry.getKey().at("/greedy/ids"));
    }
  }

  private static boolean isPoisoned(StepPlan.Start start) {
    return Arrays.stream(start.tokens()).allMatch(token -> token == POISON);
  }

  /** Runs steps, but the poisoned sequences' sampling fails. Owned by the executor thread. */
  private static final class FailingSampler implements StepRunner {
    private final StepRunner runner;
    private final Set<Long> poisoned = new HashSet<>();

    FailingSampler(StepRunner runner) {
      this.runner = runner;
    }

    @Override
    public void begin(StepPlan plan) {
      plan.started().stream()
          .filter(FaultsIT::isPoisoned)
          .forEach(start -> poisoned.add(start.key()));
      runner.begin(plan);
    }

    @Override
    public StepOutcome finish() {
      StepOutcome outcome = runner.finish();
      List<StepOutcome.Failure> failures = new ArrayList<>(outcome.failures());
      int[] kept =
          IntStream.range(0, outcome.keys().length)
              .filter(i -> !poisoned.contains(outcome.keys()[i]))
              .toArray();
      for (long key : outcome.keys()) {
        if (poisoned.contains(key)) {
          failures.add(
              new StepOutcome.Failure(key, ErrorCode.INTERNAL, "the test's sampler failed"));
        }
      }
      return new StepOutcome(
          outcome.step(),
          Arrays.stream(kept).mapToLong(i -> outcome.keys()[i]).toArray(),
          Arrays.stream(kept).mapToObj(i -> outcome.tokens()[i]).toArray(int[][]::new),
          Arrays.stream(kept).mapToObj(i -> outcome.logprobs()[i]).toArray(TokenLogprobs[]::new),
          outcome.promptLogprobs(),
          failures,
          outcome.pooled());
    }

    @Override
    public void close() {
      runner.close();
    }
  }

  /** Whoever asks for the time makes it throw. Immutable. */
  private static final class BrokenClock extends Clock {
    @Override
    public ZoneId getZone() {
      return ZoneOffset.UTC;
    }

    @Override
    public Clock withZone(ZoneId zone) {
      return this;
    }

    @Override
    public Instant instant() {
      throw new IllegalStateException("the clock of the test failed");
    }
  }

  /** Tells of a step that nobody has planned. Owned by the executor thread. */
  private static final class AlienOutcome implements StepRunner {
    private final StepRunner runner;

    AlienOutcome(StepRunner runner) {
      this.runner = runner;
    }

    @Override
    public void begin(StepPlan plan) {
      runner.begin(plan);
    }

    @Override
    public StepOutcome finish() {
      runner.finish();
      return new StepOutcome(
          -9, new long[] {8}, new int[] {1}, new TokenLogprobs[1], List.of(), List.of());
    }

    @Override
    public void close() {
      runner.close();
    }
  }

  /** Throws where a poisoned sequence starts. Owned by the executor thread. */
  private static final class ThrowingStep implements StepRunner {
    private final StepRunner runner;
    private final Iterator<Throwable> faults;

    ThrowingStep(StepRunner runner, Iterator<Throwable> faults) {
      this.runner = runner;
      this.faults = faults;
    }

    @Override
    public void begin(StepPlan plan) {
      if (plan.started().stream().anyMatch(FaultsIT::isPoisoned)) {
        Throwable fault = faults.next();
        if (fault instanceof Error error) {
          throw error;
        }
        throw (RuntimeException) fault;
      }
      runner.begin(plan);
    }

    @Override
    public StepOutcome finish() {
      return runner.finish();
    }

    @Override
    public void close() {
      runner.close();
    }
  }
}
