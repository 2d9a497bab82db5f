package io.verdier.engine.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class MeetingTest {
  private static final int ROUNDS = 2000;

  /** What a rank does. */
  private interface Work {
    void run(Rank rank) throws Exception;
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 8})
  void arrive_manyRounds_nobodyIsAheadOrBehind(int size) throws Exception {
    Meeting meeting = new Meeting(size);
    AtomicIntegerArray rounds = new AtomicIntegerArray(size);
    on(
        size,
        rank -> {
          for (int round = 1; round <= ROUNDS; round++) {
            rounds.set(rank.index(), round);
            meeting.arrive(rank, rank.index() * ROUNDS + round);
            for (int i = 0; i < size; i++) {
              assertThat(rounds.get(i)).isEqualTo(round);
              assertThat(meeting.offer(i)).isEqualTo(i * ROUNDS + round);
            }
            meeting.arrive(rank);
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 5})
  void abort_whileOthersWait_endsTheirWaits(int size) {
    Meeting meeting = new Meeting(size);
    IllegalStateException reason = new IllegalStateException("of the test");
    AtomicInteger failures = new AtomicInteger();
    AtomicInteger stopped = new AtomicInteger();
    meeting.onAbort(stopped::incrementAndGet);
    assertThatThrownBy(
            () ->
                on(
                    size,
                    rank -> {
                      if (rank.index() == size - 1) {
                        meeting.arrive(rank);
                        meeting.abort(reason);
                        return;
                      }
                      try {
                        meeting.arrive(rank);
                        meeting.arrive(rank); // the last rank never comes
                      } catch (RankFailure failure) {
                        failures.incrementAndGet();
                        throw failure;
                      }
                    }))
        .hasRootCause(reason);
    assertThat(failures).hasValue(size - 1);
    assertThat(stopped).hasValue(1);
    assertThatThrownBy(() -> meeting.arrive(new Rank(0, size)))
        .isInstanceOf(RankFailure.class)
        .hasMessageContaining("of the test");
  }

  @Test
  void abort_twice_theFirstReasonCounts() {
    Meeting meeting = new Meeting(2);
    meeting.abort(new IllegalStateException("first"));
    meeting.abort(new IllegalStateException("second"));
    AtomicInteger stopped = new AtomicInteger();
    meeting.onAbort(stopped::incrementAndGet);

    assertThat(stopped).hasValue(1);
    assertThatThrownBy(meeting::requireWhole)
        .hasMessageContaining("first")
        .isInstanceOfSatisfying(
            RankFailure.class,
            failure -> assertThat(failure.aftermath()).isEqualTo(DeviceException.Aftermath.LOST));
  }

  @Test
  void share_uneven_firstRanksHaveOneMore() {
    assertThat(new Rank(0, 3).share(7)).isEqualTo(3);
    assertThat(new Rank(1, 3).share(7)).isEqualTo(2);
    assertThat(new Rank(2, 3).share(7)).isEqualTo(2);
    assertThat(Rank.ALONE.share(7)).isEqualTo(7);
    assertThatThrownBy(() -> new Rank(2, 2)).hasMessage("rank 2 of 2");
  }

  private static void on(int size, Work work) throws ExecutionException, InterruptedException {
    try (ExecutorService threads = Executors.newFixedThreadPool(size)) {
      List<Future<?>> all = new ArrayList<>();
      for (int i = 0; i < size; i++) {
        Rank rank = new Rank(i, size);
        all.add(
            threads.submit(
                () -> {
                  work.run(rank);
                  return rank;
                }));
      }
      threads.shutdown();
      assertThat(threads.awaitTermination(50, TimeUnit.SECONDS)).isTrue();
      for (Future<?> each : all) {
        each.get();
      }
    }
  }
}
