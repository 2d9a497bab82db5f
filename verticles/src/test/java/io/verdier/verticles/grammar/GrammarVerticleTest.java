package io.verdier.verticles.grammar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.RejectedException;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.Guide;
import io.verdier.engine.grammar.TokenTrie;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.CompileQuery;
import io.verdier.verticles.observe.ServingMetrics;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.ThreadingModel;
import io.vertx.core.Vertx;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class GrammarVerticleTest {
  /** Takes all the time there is, and more states than there may be. */
  private static final String BOMB = "((a{1,60}b?){1,60}|[^x]*a.{18}){1,9}";

  private final CompletableFuture<@Nullable Void> trieAsked = new CompletableFuture<>();
  private final AtomicInteger triesMade = new AtomicInteger();
  private final ServingMetrics metrics = new ServingMetrics("demo", 100);
  private Vertx vertx;
  private Bus bus;

  @BeforeEach
  void deploy() {
    vertx = Vertx.vertx();
    bus = Bus.register(vertx);
    DeploymentOptions worker =
        new DeploymentOptions()
            .setThreadingModel(ThreadingModel.WORKER)
            .setWorkerPoolName("test-grammar")
            .setWorkerPoolSize(GrammarVerticle.THREADS);
    await(vertx.deployVerticle(new GrammarVerticle(0, this::vocabulary, metrics), worker));
  }

  @AfterEach
  void close() {
    await(vertx.close());
  }

  private TokenTrie vocabulary() {
    triesMade.incrementAndGet();
    trieAsked.complete(null);
    return TokenTrie.of(
        128, id -> new String(Character.toChars(id)).getBytes(StandardCharsets.UTF_8));
  }

  private Future<Guide> ask(Constraint constraint) {
    return bus.request(Addresses.grammar(0), new CompileQuery(constraint), CompileQuery.Reply.class)
        .map(CompileQuery.Reply::guide);
  }

  @Test
  void compile_sameTwiceAndMore_isDoneOnce() {
    List<Future<Guide>> answers = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      answers.add(ask(new Constraint.Regex("[a-c]{3,9}")));
    }
    Guide first = await(answers.getFirst());
    for (Future<Guide> answer : answers) {
      assertThat(await(answer).grammar()).isSameAs(first.grammar());
    }
    assertThat(await(ask(new Constraint.Regex("[a-c]{3,9}"))).grammar()).isSameAs(first.grammar());
    assertThat(await(ask(new Constraint.Regex("x"))).trie()).isSameAs(first.trie());
    assertThat(triesMade).hasValue(1);
    assertThat(metrics.text())
        .containsPattern("verdier:grammar_compile_seconds_count\\{[^}]*} 2")
        .containsPattern("verdier:grammar_cache_hits_total\\{[^}]*} 20");
  }

  @Test
  void start_makesTheVocabularyBeforeAnybodyAsks() throws Exception {
    trieAsked.get(30, TimeUnit.SECONDS);
    assertThat(triesMade).hasValue(1);
  }

  @Test
  void compile_malformed_saysWhy() {
    for (String pattern : List.of("(", "[", "a{2,1}", "(?=a)b", "\\1")) {
      assertThatThrownBy(() -> await(ask(new Constraint.Regex(pattern))))
          .as(pattern)
          .rootCause()
          .isInstanceOf(RejectedException.class)
          .message()
          .matches("[A-Z].+\\.");
    }
    assertThat(await(ask(new Constraint.Regex("a")))).isNotNull();
  }

  @Test
  void compile_behindManyBombs_isNotHeldUpByThem() {
    List<Future<Guide>> bombs = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      bombs.add(ask(new Constraint.Regex(BOMB + i)));
    }
    long start = System.nanoTime();
    assertThat(await(ask(new Constraint.Regex("[0-9]+")))).isNotNull();
    assertThat((System.nanoTime() - start) / 1e9).isLessThan(1); // the bombs alone take 16 s
    for (Future<Guide> bomb : bombs) {
      assertThatThrownBy(() -> await(bomb)).rootCause().isInstanceOf(RejectedException.class);
    }
  }

  @Test
  void grammars_manyDifferent_stayWithinTheirBound() {
    Grammars grammars = new Grammars(100_000);
    for (int i = 0; i < 2000; i++) {
      Constraint constraint = new Constraint.Regex("a{" + i % 50 + "}b" + i);
      grammars.put(
          constraint,
          io.verdier.engine.grammar.GrammarCompiler.compile(
              constraint, io.verdier.engine.grammar.Budget.defaults()));
      assertThat(grammars.bytes()).isLessThanOrEqualTo(100_000);
      assertThat(grammars.get(constraint)).isNotNull();
    }
    assertThat(grammars.size()).isBetween(2, 400);
  }

  private static <T> T await(Future<T> future) {
    try {
      return future.toCompletionStage().toCompletableFuture().get(30, TimeUnit.SECONDS);
    } catch (Exception failed) {
      throw new IllegalStateException(failed);
    }
  }
}
