package io.verdier.verticles.balance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.RejectedException;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.text.TextParams;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.SequenceKey;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.Truncation;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Which engine of a node gets what. Costs some milliseconds. */
class EnginePoolTest {
  private final int[] waiting = new int[5];
  private long cacheTokens = Long.MAX_VALUE;
  private final EnginePool pool =
      filled(new EnginePool(engine -> waiting[engine], engine -> cacheTokens));

  private static EnginePool filled(EnginePool pool) {
    pool.add("m", EngineAddresses.own(3, 1));
    pool.add("other", EngineAddresses.own(1, 3, 2, 1));
    return pool;
  }

  private static Submit submit(String prompt) {
    return new Submit(
        new long[0],
        new Prompt.Text(prompt, true),
        SamplingParams.greedy(1),
        List.of(),
        Truncation.NONE,
        new TextParams(List.of(), false, true, true),
        0,
        "",
        null,
        null,
        OptionalDouble.empty());
  }

  private int choose(String prompt) {
    return pool.choose(submit(prompt), 1);
  }

  @Test
  void prompt_thatTheCacheCannotHoldAnyMore_isNoReasonToGoBack() {
    cacheTokens = 0;
    String first = "first ".repeat(800); // 1,200 tokens, about
    int engine = choose(first);
    assertThat(choose(first)).as("before a step was done").isEqualTo(engine);
    pool.onEnd(engine);
    cacheTokens = 2000;
    waiting[engine] = 3;
    assertThat(choose(first)).as("still there").isEqualTo(engine);
    pool.onEnd(engine);
    pool.onEnd(engine);
    for (int other = 0; other < 3; other++) {
      waiting[other] = other == engine ? 0 : 100;
    }
    assertThat(choose("second ".repeat(1200))).isEqualTo(engine);
    pool.onEnd(engine);
    for (int other = 0; other < 3; other++) {
      waiting[other] = other == engine ? 1 : 0;
    }
    assertThat(choose(first)).as("read over").isNotEqualTo(engine);
    assertThat(pool.cacheTokens()).isEqualTo(5 * cacheTokens);
  }

  @Test
  void prompts_withoutCommonBeginnings_areSpreadEvenly() {
    Map<Integer, Integer> counts = new HashMap<>();
    for (int i = 0; i < 30; i++) {
      counts.merge(choose("prompt " + i), 1, Integer::sum);
    }
    assertThat(counts).isEqualTo(Map.of(0, 10, 1, 10, 2, 10));
  }

  @Test
  void sequences_thatRunLong_keepOthersAway() {
    int first = pool.choose(submit("a"), 4);
    for (int i = 0; i < 8; i++) {
      assertThat(choose("prompt " + i)).isNotEqualTo(first);
    }
    for (int i = 0; i < 4; i++) {
      pool.onEnd(first);
    }
    for (int i = 0; i < 4; i++) {
      assertThat(choose("again " + i)).as("it has nothing now").isEqualTo(first);
    }
  }

  @Test
  void conversation_goesOnWhereItBegan_unlessThatIsMuchBusier() {
    String conversation = "x".repeat(2000);
    int first = choose(conversation);
    pool.onEnd(first);
    for (int turn = 0; turn < 5; turn++) {
      conversation += "another turn of the conversation, of some length. ".repeat(4);
      int next = choose(conversation);
      assertThat(next).isEqualTo(first);
      pool.onEnd(next);
    }
    waiting[first] = 50;
    assertThat(choose(conversation)).isNotEqualTo(first);
  }

  @Test
  void models_haveEnginesOfTheirOwn() {
    Set<Integer> chosen = new HashSet<>();
    for (int i = 0; i < 4; i++) {
      chosen.add(pool.choose(submit("prompt " + i).of("other"), 1));
    }
    assertThat(chosen).containsExactlyInAnyOrder(3, 4);
    assertThat(pool.schedulers()).hasSize(5);
    assertThat(pool.scheduler(4)).isEqualTo(Addresses.scheduler(4));
    assertThat(pool.tokenizer(SequenceKey.of(4, 0, 1))).isEqualTo(Addresses.tokenizer(1));
    assertThat(pool.adaptersOf(2)).isEqualTo(Addresses.adapters(0));
    assertThat(pool.adaptersOf(3)).isEqualTo(Addresses.adapters(1));
    assertThat(pool.addresses("")).isEqualTo(EngineAddresses.own(3, 1));
    assertThatThrownBy(() -> pool.addresses("nobody")).isInstanceOf(RejectedException.class);
  }

  @Test
  void model_thatGoes_getsNothingAndItsSequencesEnd() {
    EngineAddresses other = EngineAddresses.own(1, 3, 2, 1);
    int chosen = pool.choose(submit("x").of("other"), 2);
    pool.retire(other);
    assertThatThrownBy(() -> pool.choose(submit("x").of("other"), 1))
        .isInstanceOf(RejectedException.class);
    assertThat(pool.live(other)).isEqualTo(2);
    pool.onEnd(chosen);
    pool.onEnd(chosen);
    assertThat(pool.live(other)).isZero();
    assertThat(pool.scheduler(chosen)).isEqualTo(Addresses.scheduler(chosen));
  }

  @Test
  void counts_ofManyThreads_comeBackToNothing() throws Exception {
    try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
      List<Future<?>> done =
          IntStream.range(0, 4)
              .<Future<?>>mapToObj(
                  thread ->
                      threads.submit(
                          () -> {
                            for (int i = 0; i < 500; i++) {
                              pool.onEnd(choose("prompt " + thread + " " + i));
                            }
                          }))
              .toList();
      for (Future<?> one : done) {
        one.get();
      }
    }
    assertThat(IntStream.range(0, 3).map(i -> choose("" + i)).distinct()).hasSize(3);
  }

  @Test
  void one_alone_getsAll() {
    EnginePool alone = EnginePool.of(EngineAddresses.ofCluster());
    for (int i = 0; i < 3; i++) {
      assertThat(alone.choose(submit("x".repeat(1000)), 2)).isZero();
      alone.onEnd(0);
    }
    assertThat(alone.scheduler(0)).isEqualTo(alone.tokenizer(SequenceKey.of(0, 0, 7)));
  }
}
