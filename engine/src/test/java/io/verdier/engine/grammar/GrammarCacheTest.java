package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.grammar.Constraint.Choice;
import io.verdier.engine.grammar.Constraint.Regex;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class GrammarCacheTest {

  private static Grammar compiled(Constraint constraint) {
    return GrammarCompiler.compile(constraint, Budget.defaults());
  }

  @Test
  void get_equalConstraints_compilesOnce() {
    GrammarCache cache = new GrammarCache();
    Grammar grammar = cache.get(new Regex("[a-z]{3}"));
    assertThat(cache.get(new Regex("[a-z]{3}"))).isSameAs(grammar);
    assertThat(cache.get(new Regex("[a-z]{4}"))).isNotSameAs(grammar);
    assertThat(cache.size()).isEqualTo(2);
  }

  @Test
  void get_manyConstraints_keepsThoseUsedLastWithinItsBytes() {
    GrammarCache cache = new GrammarCache(2 << 20, GrammarCacheTest::compiled);
    Regex used = new Regex("used");
    Grammar first = cache.get(used);
    for (int i = 0; i < 20_000; i++) {
      cache.get(new Choice(List.of("option " + i, "other " + i)));
      assertThat(cache.bytes()).isLessThanOrEqualTo(2 << 20);
      if (i % 50 == 0) {
        assertThat(cache.get(used)).isSameAs(first);
      }
    }
    assertThat(cache.size()).isBetween(50, 2000);
  }

  @Test
  void get_largerThanTheCache_isCompiledAndNotKept() {
    GrammarCache cache = new GrammarCache(1, GrammarCacheTest::compiled);
    assertThat(cache.get(new Regex("a")).states()).isEqualTo(2);
    assertThat(cache.size()).isZero();
    assertThat(cache.bytes()).isZero();
  }

  @Test
  void get_failure_isNotRemembered() {
    AtomicInteger asked = new AtomicInteger();
    GrammarCache cache =
        new GrammarCache(
            1 << 20,
            constraint -> {
              if (asked.getAndIncrement() == 0) {
                throw new GrammarException("not now");
              }
              return compiled(constraint);
            });
    assertThatThrownBy(() -> cache.get(new Regex("a")))
        .isInstanceOf(GrammarException.class)
        .hasMessage("not now");
    assertThat(cache.size()).isZero();
    assertThat(cache.get(new Regex("a"))).isNotNull();
  }

  @Test
  void get_sameFromManyThreads_compilesOnce() throws Exception {
    AtomicInteger asked = new AtomicInteger();
    CountDownLatch all = new CountDownLatch(8);
    GrammarCache cache =
        new GrammarCache(
            1 << 20,
            constraint -> {
              asked.incrementAndGet();
              return compiled(constraint);
            });
    try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
      List<Future<Grammar>> grammars =
          IntStream.range(0, 8)
              .mapToObj(
                  i ->
                      threads.submit(
                          () -> {
                            all.countDown();
                            all.await();
                            return cache.get(new Regex("[a-z]{2,400}"));
                          }))
              .toList();
      for (Future<Grammar> grammar : grammars) {
        assertThat(grammar.get()).isSameAs(grammars.getFirst().get());
      }
    }
    assertThat(asked).hasValue(1);
  }
}
