package io.verdier.engine.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.schedule.History.Arrival;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.LongConsumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Random histories against the properties of {@link Simulation}. {@code -Dseed=} replays one.
 *
 * <p>The seeds are fixed, so a run is repeatable; {@code -Dhistories=} widens the search.
 */
class SchedulerPropertyTest {

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void step_randomHistories_keepsAllProperties(int plans) {
    Map<String, Long> seen = new TreeMap<>();
    overSeeds(
        4000,
        seed -> {
          Simulation simulation = new Simulation(History.of(seed).withPlans(plans)).run();
          count(seen, "preemptions", simulation.stats().preemptions());
          count(seen, "hits", simulation.stats().prefixHitTokens());
          count(seen, "calls", simulation.calls());
          for (Stream stream : simulation.streams().values()) {
            count(seen, stream.finish == null ? "silenced" : stream.finish.reason().name(), 1);
            count(seen, "failed", stream.failed ? 1 : 0);
            count(seen, "scores", stream.scores.size());
            count(seen, "runs", stream.runs);
            count(seen, "moved", stream.request.key() >= 1000 ? 1 : 0);
          }
        });
    if (Long.getLong("seed") == null) {
      assertThat(seen).as("the histories exercise everything").hasSize(12);
      assertThat(seen).allSatisfy((what, count) -> assertThat(count).as(what).isGreaterThan(1000));
    }
  }

  /** With a host, a disk and a cache node behind the device that fail now and then. */
  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void step_randomHistoriesWithTiers_keepsAllProperties(int plans) {
    Map<String, Long> seen = new TreeMap<>();
    overSeeds(
        4000,
        seed -> {
          Simulation simulation =
              new Simulation(History.of(seed).withPlans(plans).withTiers()).run();
          count(seen, "host in", simulation.stats().host().blocksIn());
          count(seen, "host out", simulation.stats().host().blocksOut());
          count(seen, "host evictions", simulation.stats().host().evictions());
          count(seen, "host dropped", simulation.stats().host().dropped());
          count(seen, "disk in", simulation.stats().disk().blocksIn());
          count(seen, "disk out", simulation.stats().disk().blocksOut());
          count(seen, "disk evictions", simulation.stats().disk().evictions());
          count(seen, "disk dropped", simulation.stats().disk().dropped());
          count(seen, "remote in", simulation.stats().remote().blocksIn());
          count(seen, "remote out", simulation.stats().remote().blocksOut());
          count(seen, "remote dropped", simulation.stats().remote().dropped());
          count(seen, "preemptions", simulation.stats().preemptions());
        });
    if (Long.getLong("seed") == null) {
      assertThat(seen).as("the histories exercise everything").hasSize(12);
      assertThat(seen).allSatisfy((what, count) -> assertThat(count).as(what).isGreaterThan(100));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void step_tiersOrNone_givesTheSameTokens(int plans) {
    overSeeds(
        500,
        seed -> {
          History history = History.of(seed).withPlans(plans);
          Simulation with = new Simulation(history.withTiers()).run();
          Simulation without = new Simulation(history).run();
          compare(with, without, "P11 cache");
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void step_sameHistoryTwice_plansTheSame(int plans) {
    overSeeds(
        500,
        seed -> {
          History history = History.of(seed).withPlans(plans).withTiers();
          Simulation first = new Simulation(history).run();
          Simulation second = new Simulation(history).run();
          first.check(first.digest() == second.digest(), "P8 determinism", "plans differ");
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void step_prefixCachingOnAndOff_givesTheSameTokens(int plans) {
    overSeeds(
        500,
        seed -> {
          History history = History.of(seed).withPlans(plans);
          Simulation on = new Simulation(history.withPrefixCaching(true)).run();
          Simulation off = new Simulation(history.withPrefixCaching(false)).run();
          compare(on, off, "P11 cache");
        });
  }

  @Test
  void step_onePlanUnderWayAndTwo_givesTheSameTokens() {
    overSeeds(
        1000,
        seed -> {
          Simulation one = new Simulation(History.of(seed).withPlans(1)).run();
          Simulation two = new Simulation(History.of(seed).withPlans(2)).run();
          compare(one, two, "P7 independence");
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void step_requestAlone_givesTheSameTokens(int plans) {
    overSeeds(
        300,
        seed -> {
          History history = History.of(seed).withPlans(plans);
          Simulation together = new Simulation(history).run();
          for (Arrival arrival : history.arrivals()) {
            compare(new Simulation(history.alone(arrival)).run(), together, "P7 independence");
          }
        });
  }

  private static void compare(Simulation one, Simulation other, String property) {
    one.streams()
        .forEach(
            (key, stream) -> {
              Stream twin = other.streams().get(key);
              if (isNatural(stream) && twin != null && isNatural(twin)) {
                one.check(
                    stream.tokens.equals(twin.tokens) || key >= 1000,
                    property,
                    "tokens of " + key + " differ");
              }
            });
  }

  private static boolean isNatural(Stream stream) {
    return stream.finish != null
        && (stream.finish.reason() == FinishReason.STOP
            || stream.finish.reason() == FinishReason.LENGTH);
  }

  private static void count(Map<String, Long> seen, String what, long by) {
    seen.merge(what, by, Long::sum);
  }

  private static void overSeeds(int count, LongConsumer property) {
    Long only = Long.getLong("seed");
    long first = only == null ? 1 : only;
    long last = only == null ? Integer.getInteger("histories", count) : only;
    for (long seed = first; seed <= last; seed++) {
      try {
        property.accept(seed);
      } catch (RuntimeException | AssertionError e) {
        throw new AssertionError("seed %d: %s".formatted(seed, e.getMessage()), e);
      }
    }
  }
}
