package io.verdier.engine.run;

import io.verdier.engine.lora.AdapterSlots;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Executes plans. Owned by the executor thread: one call at a time.
 *
 * <p>A plan is begun, and finished when its outcome is wanted; where a device works by itself, the
 * next one may be begun in between, and is then queued behind it. Plans are finished in the order
 * in which they were begun.
 *
 * <p>A sequence that fails is reported in the outcome and the others go on. A call that throws
 * failed as a whole: the caller fails every sequence of the plan and goes on with the next.
 */
public interface StepRunner extends AutoCloseable {

  /**
   * Begins a plan. One that throws has not begun.
   *
   * @throws IllegalStateException if as many are under way as may be
   */
  void begin(StepPlan plan);

  /**
   * Runs the plan that was begun first to its end, and returns one token for each slice that
   * samples. The plan is no longer under way then, even if this throws.
   *
   * @throws IllegalStateException if none is under way
   */
  StepOutcome finish();

  /** Plans that may be under way. */
  default int plansMax() {
    return 1;
  }

  /** Whether a second plan is of use: the device works on the first one by itself. */
  default boolean worksByItself() {
    return false;
  }

  /**
   * Plans that a scheduler should have under way.
   *
   * @param planAhead whether more than one was asked for; empty: if it is of use
   */
  default int plansMax(Optional<Boolean> planAhead) {
    return planAhead.orElse(worksByItself()) ? plansMax() : 1;
  }

  /** The adapters that sequences may name; null: none. */
  default @Nullable AdapterSlots adapters() {
    return null;
  }

  /**
   * Gives memory back: the cache's until it is written again, with all that is in it, and that of
   * weights, if they can be had again, until {@link #recall}. No plan is under way, and no sequence
   * has blocks.
   */
  default void vacate() {}

  /**
   * Has the weights again that {@link #vacate} gave up, if it did; before the next plan.
   *
   * @throws java.io.UncheckedIOException if that is not possible: no plan can be run any more
   */
  default void recall() {}

  /**
   * Calls back if it is lost for good while no plan waits for it, as when another process ends that
   * it needs.
   *
   * @param hears the reason, for the operator; on any thread
   */
  default void onLost(Consumer<String> hears) {}

  /** Runs a plan by itself. */
  default StepOutcome run(StepPlan plan) {
    begin(plan);
    return finish();
  }

  @Override
  void close();
}
