package io.verdier.verticles.bus;

import io.verdier.engine.schedule.Reach;
import java.util.List;
import java.util.Set;

/**
 * An operator stops the engine, or lets it go on; answered with its {@link State} when that is
 * done, or a {@link Refused}. A closed choice. Immutable.
 */
public sealed interface Control {

  /** Steps end. What arrives waits. */
  record Pause(Mode mode, boolean forgetsPrefixes) implements Control {}

  /** Steps go on. */
  record Resume() implements Control {}

  /**
   * As {@link Pause}, and the cache is given up with its memory.
   *
   * @param level 0: only the steps end
   */
  record Sleep(int level, Mode mode) implements Control {}

  /**
   * Takes back what sleep gave up, and steps go on where that is all.
   *
   * @param tags parts of it; empty: all
   */
  record WakeUp(Set<String> tags) implements Control {
    public WakeUp {
      tags = Set.copyOf(tags);
    }
  }

  /**
   * Cached prefixes are forgotten.
   *
   * @param preempts whether running sequences give their blocks up for that, and are computed anew
   * @param reach the device alone, or host memory and the disk too
   */
  record Forget(boolean preempts, Reach reach) implements Control {}

  /** Asks for the state. */
  record Ask() implements Control {}

  /** What becomes of running requests. */
  enum Mode {
    /** They end with what they have. */
    ABORT,
    /** They run to their ends first. */
    WAIT,
    /** They stand where they are, and go on later. */
    KEEP
  }

  /**
   * How the engine stands.
   *
   * @param isPaused whether steps have ended
   * @param isSleeping whether the cache is given up
   * @param isDone whether what was asked for could be done
   */
  record State(boolean isPaused, boolean isSleeping, boolean isDone) {

    /**
     * How several engines stand that were told the same.
     *
     * @return what is true of all of them
     */
    public static State of(List<State> engines) {
      return new State(
          engines.stream().allMatch(State::isPaused),
          engines.stream().allMatch(State::isSleeping),
          engines.stream().allMatch(State::isDone));
    }
  }
}
