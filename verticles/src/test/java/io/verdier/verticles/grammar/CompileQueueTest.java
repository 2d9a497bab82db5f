package io.verdier.verticles.grammar;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.grammar.Constraint;
import io.verdier.verticles.grammar.CompileQueue.Job;
import io.verdier.verticles.grammar.CompileQueue.Runner;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The order in which constraints get their turns, on a clock of its own. */
class CompileQueueTest {
  private static final long MILLI = 1_000_000;
  private static final long BOMB = 10_000 * MILLI;

  private final CompileQueue queue = new CompileQueue();
  private final List<String> order = new ArrayList<>();
  private final List<Long> doneAt = new ArrayList<>();

  /** One that takes so long if it is let. */
  private static Job job(long nanos, long arrived) {
    return Job.first(new Constraint.Regex(Long.toString(nanos)), arrived);
  }

  private static long nanos(Job job) {
    return Long.parseLong(((Constraint.Regex) job.constraint()).pattern());
  }

  /** Both runners work until nothing waits; arrivals are in order. */
  private void run(List<Job> arrivals) {
    ArrayDeque<Job> coming = new ArrayDeque<>(arrivals);
    record Done(long at, Runner runner, Job job) {}
    List<Done> running = new ArrayList<>();
    long now = 0;
    while (true) {
      for (Runner runner : Runner.values()) {
        boolean isFree = running.stream().noneMatch(done -> done.runner == runner);
        Job next = isFree ? queue.next(runner) : null;
        if (next != null) {
          running.add(new Done(now + Math.min(next.nanos(), nanos(next)), runner, next));
        }
      }
      Done first = running.stream().min((a, b) -> Long.compare(a.at, b.at)).orElse(null);
      if (!coming.isEmpty() && (first == null || coming.element().arrivedNanos() <= first.at)) {
        now = Math.max(now, coming.element().arrivedNanos());
        assertThat(queue.add(coming.remove())).isTrue();
        continue;
      }
      if (first == null) {
        return;
      }
      running.remove(first);
      now = first.at;
      boolean isDone = nanos(first.job) <= first.job.nanos() || first.job.isLast();
      if (isDone) {
        order.add(Long.toString(nanos(first.job) / MILLI));
        doneAt.add(now - first.job.arrivedNanos());
      } else {
        assertThat(queue.add(first.job.again(first.job.nanos()))).isTrue();
      }
    }
  }

  @Test
  void next_smallOneBehindEightBombs_waitsForTheirFirstTurns() {
    List<Job> jobs = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      jobs.add(job(BOMB, 0));
    }
    jobs.add(job(5 * MILLI, MILLI));
    run(jobs);
    assertThat(order.getFirst()).isEqualTo("5");
    assertThat(doneAt.getFirst()).isLessThan(150 * MILLI);
  }

  @Test
  void next_smallOnesWhileBombsRun_areSoonDone() {
    Random random = new Random(4);
    List<Job> jobs = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      jobs.add(job(BOMB, i * 10L * MILLI));
    }
    for (int i = 0; i < 100; i++) {
      jobs.add(job((1 + random.nextInt(25)) * MILLI, (200 + 40L * i) * MILLI));
    }
    run(jobs);
    for (int i = 0; i < order.size(); i++) {
      boolean isBomb = order.get(i).equals(Long.toString(BOMB / MILLI));
      assertThat(doneAt.get(i)).isLessThan((isBomb ? 20_000 : 250) * MILLI);
    }
    assertThat(order).hasSize(108);
  }

  @Test
  void nanos_allTurnsTogether_areNoMoreThanOneConstraintMayTake() {
    Job job = job(BOMB, 0);
    long spent = 0;
    while (!job.isLast()) {
      spent += job.nanos();
      job = job.again(job.nanos());
    }
    assertThat(spent + job.nanos()).isEqualTo(2000 * MILLI);
    assertThat(job.isOverdue(3999 * MILLI)).isFalse();
    assertThat(job.isOverdue(4001 * MILLI)).isTrue();
  }

  @Test
  void add_moreThanMayWait_isRefused() {
    int waiting = 0;
    while (queue.add(job(BOMB, 0))) {
      waiting++;
    }
    assertThat(waiting).isEqualTo(1024);
    Job slow = Objects.requireNonNull(queue.next(Runner.ALL_TURNS));
    Job last = slow.again(0).again(0);
    for (int i = 0; i < 16; i++) {
      assertThat(queue.add(last)).isTrue();
    }
    assertThat(queue.add(last)).isFalse();
    while (queue.next(Runner.SHORT_TURNS) != null) {}
    assertThat(queue.next(Runner.ALL_TURNS)).isEqualTo(last);
  }
}
