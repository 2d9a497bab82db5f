package io.verdier.verticles.grammar;

import io.verdier.engine.grammar.Budget;
import io.verdier.engine.grammar.Constraint;
import java.util.ArrayDeque;
import java.util.EnumMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Who is compiled next, and for how long. Owned by the grammar actor.
 *
 * <p>Nearly every constraint is compiled within some milliseconds, and some, by mistake or malice,
 * take all the time there is; which ones nobody knows beforehand. So each gets a short turn first.
 * What is not done by then begins again later, with a longer one: all that have had fewer turns go
 * before it. Whoever comes behind many slow ones waits for their first turns, and not for them. The
 * price are turns in vain, for those that take longer: about as much as they take in the end.
 *
 * <p>One of the two {@linkplain Runner runners} takes no long turns, so that there is always one
 * that is free soon.
 */
final class CompileQueue {
  private static final long MILLI = 1_000_000;

  private final Map<Turn, ArrayDeque<Job>> waiting = new EnumMap<>(Turn.class);

  /** How long one may take at a time. */
  enum Turn {
    FIRST(30 * MILLI, 1024, Long.MAX_VALUE),
    SECOND(120 * MILLI, 64, 4000 * MILLI),
    LAST(Budget.Limits.defaults().nanos(), 16, 4000 * MILLI);

    private final long nanos; // with the turns before it
    private final int jobsMax; // that wait for it
    private final long waitNanosMax; // since a job came

    Turn(long nanos, int jobsMax, long waitNanosMax) {
      this.nanos = nanos;
      this.jobsMax = jobsMax;
      this.waitNanosMax = waitNanosMax;
    }

    Turn next() {
      return switch (this) {
        case FIRST -> SECOND;
        case SECOND -> LAST;
        case LAST -> throw new IllegalStateException("nothing follows the last turn");
      };
    }
  }

  /** Who compiles. */
  enum Runner {
    SHORT_TURNS,
    ALL_TURNS
  }

  /**
   * A constraint that is to be compiled.
   *
   * @param spentNanos in the turns that it had
   */
  record Job(Constraint constraint, long arrivedNanos, Turn turn, long spentNanos) {
    static Job first(Constraint constraint, long arrivedNanos) {
      return new Job(constraint, arrivedNanos, Turn.FIRST, 0);
    }

    boolean isLast() {
      return turn == Turn.LAST;
    }

    /** What it may take now; all its turns together take no more than one constraint may. */
    long nanos() {
      return turn.nanos - (isLast() ? spentNanos : 0);
    }

    /** The next turn of one that was not done. */
    Job again(long tookNanos) {
      return new Job(constraint, arrivedNanos, turn.next(), spentNanos + tookNanos);
    }

    /** Whether it has waited so long that its client is told to come again. */
    boolean isOverdue(long nowNanos) {
      return nowNanos - arrivedNanos > turn.waitNanosMax;
    }
  }

  CompileQueue() {
    for (Turn turn : Turn.values()) {
      waiting.put(turn, new ArrayDeque<>());
    }
  }

  /** False: too many wait already. */
  boolean add(Job job) {
    ArrayDeque<Job> jobs = jobs(job.turn);
    return jobs.size() < job.turn.jobsMax && jobs.add(job);
  }

  private ArrayDeque<Job> jobs(Turn turn) {
    return waiting.computeIfAbsent(turn, t -> new ArrayDeque<>());
  }

  /** The job that a runner is to take; null: there is none for it. */
  @Nullable Job next(Runner runner) {
    for (Turn turn : Turn.values()) {
      boolean isForBoth = turn != Turn.LAST;
      if ((isForBoth || runner == Runner.ALL_TURNS) && !jobs(turn).isEmpty()) {
        return jobs(turn).remove();
      }
    }
    return null;
  }
}
