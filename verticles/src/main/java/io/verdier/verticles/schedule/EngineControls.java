package io.verdier.verticles.schedule;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.schedule.Gate.Flow;
import io.verdier.engine.schedule.Reach;
import io.verdier.engine.schedule.Scheduler;
import io.verdier.engine.schedule.StepInput.Cancellation;
import io.verdier.verticles.bus.Control;
import io.verdier.verticles.bus.Control.Mode;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.observe.EngineMetrics;
import io.verdier.verticles.observe.EngineMetrics.Halt;
import io.vertx.core.Future;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/**
 * What operators want of the engine, one after the other. Owned by the scheduler thread.
 *
 * <p>A wish begins before a step is planned, by what the scheduler lets run from then on, and is
 * fulfilled behind a step, when nothing runs any more that must not: no step is ever cut off, so
 * that whatever goes on later goes on with the same tokens.
 */
final class EngineControls {
  private static final String WEIGHTS = "weights";
  private static final String KV_CACHE = "kv_cache";
  private static final String SCHEDULING = "scheduling";

  private final Scheduler scheduler;
  private final Memory memory;
  private final EngineMetrics metrics;
  private final Deque<Wish> wishes = new ArrayDeque<>(); // the first one is begun, if any is
  private final Set<String> asleep = new HashSet<>(); // what sleep gave up
  private boolean isBegun;
  private boolean isPaused;
  private boolean isDraining;

  /** The executor's. What is asked here comes before whatever is planned later. */
  interface Memory {
    /** Gives back what the cache and weights take. */
    Future<?> giveUp();

    /** Has the weights again. */
    Future<?> recall();
  }

  /**
   * @param answer hears a {@link Control.State}, or why there is none
   */
  private record Wish(Control control, Consumer<Object> answer) {}

  /**
   * @param metrics hears how the engine stands
   */
  EngineControls(Scheduler scheduler, Memory memory, EngineMetrics metrics) {
    this.scheduler = scheduler;
    this.memory = memory;
    this.metrics = metrics;
  }

  void add(Control control, Consumer<Object> answer) {
    wishes.add(new Wish(control, answer));
  }

  /**
   * The server ends: nobody will let the engine go on any more. What stands goes on to its end, as
   * what runs does; where the cache is given up it ends with what it has, for its memory may be
   * somebody else's by now.
   */
  void drain() {
    isDraining = true;
  }

  /** A step is about to be planned: returns what is to end with it. */
  List<Cancellation> begin() {
    List<Cancellation> ends = new ArrayList<>(drained());
    Wish wish = wishes.peek();
    if (wish != null && !isBegun) {
      isBegun = true;
      ends.addAll(begun(wish.control));
    }
    return ends;
  }

  private List<Cancellation> drained() {
    if (!isDraining || !isPaused || isBegun) {
      return List.of();
    }
    if (asleep.isEmpty()) {
      goOn();
      return List.of();
    }
    return all();
  }

  private List<Cancellation> begun(Control control) {
    return switch (control) {
      case Control.Pause pause -> beginHalt(pause.mode());
      case Control.Sleep sleep -> beginHalt(sleep.mode());
      case Control.Forget ignored -> stop(Mode.KEEP);
      case Control.Resume ignored -> List.of();
      case Control.WakeUp ignored -> List.of();
      case Control.Ask ignored -> List.of();
    };
  }

  private List<Cancellation> beginHalt(Mode mode) {
    if (!isPaused) {
      metrics.onHalt(Halt.BEGUN);
    }
    return stop(mode);
  }

  private List<Cancellation> stop(Mode mode) {
    scheduler.let(mode == Mode.WAIT && !isPaused ? Flow.DRAINING : Flow.SHUT);
    return mode == Mode.ABORT ? all() : List.of();
  }

  private List<Cancellation> all() {
    return Arrays.stream(scheduler.liveKeys())
        .mapToObj(key -> new Cancellation(key, FinishReason.ABORT, false))
        .toList();
  }

  /** A step was planned: fulfils what can be; true: there may be more to do at once. */
  boolean settle() {
    Wish wish = wishes.peek();
    if (wish == null || !isBegun) {
      boolean mustEnd = isDraining && !asleep.isEmpty() && scheduler.liveKeys().length > 0;
      return wish != null || mustEnd;
    }
    switch (wish.control) {
      case Control.Pause pause -> {
        if (!scheduler.isStill()) {
          return false;
        }
        halt();
        if (pause.forgetsPrefixes() && pause.mode() != Mode.KEEP) {
          scheduler.forgetPrefixes(Reach.DEVICE);
        }
        finish(wish, true);
      }
      case Control.Sleep sleep -> {
        if (!scheduler.isStill()) {
          return false;
        }
        halt();
        sleep(sleep.level(), wish);
      }
      case Control.Forget forget -> {
        if (!scheduler.isStill()) {
          return false;
        }
        if (forget.preempts()) {
          scheduler.preemptAll();
        }
        boolean isDone = scheduler.forgetPrefixes(forget.reach());
        scheduler.let(isPaused ? Flow.SHUT : Flow.OPEN);
        finish(wish, isDone);
      }
      case Control.Resume ignored -> resume(wish);
      case Control.WakeUp wake -> wake(wake.tags(), wish);
      case Control.Ask ignored -> finish(wish, true);
    }
    return true;
  }

  private void halt() {
    scheduler.let(Flow.SHUT);
    isPaused = true;
    metrics.onHalt(Halt.WHOLE);
  }

  private void sleep(int level, Wish wish) {
    if (level == 0) {
      finish(wish, true);
      return;
    }
    scheduler.preemptAll();
    scheduler.forgetPrefixes(Reach.DEVICE);
    asleep.addAll(List.of(WEIGHTS, KV_CACHE));
    metrics.onSleep(level);
    end();
    // Steps stay shut until somebody wakes it, so nobody can want the memory meanwhile.
    memory.giveUp().onComplete(done -> wish.answer.accept(state(done.succeeded())));
  }

  private void resume(Wish wish) {
    if (!asleep.isEmpty()) {
      refuse(wish, "The engine sleeps. Wake it up with /wake_up.");
      return;
    }
    goOn();
    finish(wish, true);
  }

  private void wake(Set<String> tags, Wish wish) {
    if (!Set.of(WEIGHTS, KV_CACHE, SCHEDULING).containsAll(tags)) {
      refuse(wish, "tags must be weights, kv_cache or scheduling.");
      return;
    }
    Set<String> woken = tags.isEmpty() ? Set.of(WEIGHTS, KV_CACHE) : tags;
    boolean recalls = woken.contains(WEIGHTS) && asleep.contains(WEIGHTS);
    Future<?> weights = recalls ? memory.recall() : Future.succeededFuture();
    asleep.removeAll(woken);
    if (asleep.isEmpty()) {
      metrics.onSleep(0);
      goOn();
    }
    end();
    Control.State woke = state(true);
    weights.onComplete(
        done -> wish.answer.accept(done.succeeded() ? woke : Refused.of(done.cause())));
  }

  private void goOn() {
    scheduler.let(Flow.OPEN);
    isPaused = false;
    metrics.onHalt(Halt.NONE);
  }

  private void finish(Wish wish, boolean isDone) {
    answer(wish, state(isDone));
  }

  private void refuse(Wish wish, String text) {
    answer(wish, new Refused(ErrorCode.INVALID_ARGUMENT, text, null));
  }

  private void answer(Wish wish, Object answer) {
    end();
    wish.answer.accept(answer);
  }

  /** The first wish is fulfilled. */
  private void end() {
    wishes.remove();
    isBegun = false;
  }

  private Control.State state(boolean isDone) {
    return new Control.State(isPaused, !asleep.isEmpty(), isDone);
  }
}
