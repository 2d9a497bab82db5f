package io.verdier.engine.schedule;

import io.verdier.engine.schedule.StepPlan.Slice;
import io.verdier.engine.schedule.StepPlan.Start;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Collects one step's slices within its token budget. Owned by the scheduler thread. */
final class PlanBuilder {
  private final int sliceTokensMax;
  private final int blockTokens;
  private int tokensLeft;
  private final List<Sequence> sequences;
  private final List<Slice> slices;
  private final List<Start> starts = new ArrayList<>();

  PlanBuilder(SchedulerSettings settings, int blockTokens, int sequencesExpected) {
    this.sliceTokensMax = settings.sliceTokensMax();
    this.blockTokens = blockTokens;
    this.tokensLeft = settings.batchedTokensMax();
    this.sequences = new ArrayList<>(sequencesExpected);
    this.slices = new ArrayList<>(sequencesExpected);
  }

  boolean isFull() {
    return tokensLeft == 0;
  }

  /** How many of the sequence's missing tokens this step can still take. */
  int share(Sequence sequence) {
    return Math.min(Math.min(sequence.missing(), sliceTokensMax), tokensLeft);
  }

  /** Adds the sequence's next tokens; its table covers them. */
  void add(Sequence sequence, int count) {
    if (!sequence.isStarted()) {
      starts.add(sequence.start());
    }
    int blocks = Math.ceilDiv(sequence.planned() + count, blockTokens);
    slices.add(sequence.plan(count, blocks));
    sequences.add(sequence);
    tokensLeft -= count;
  }

  boolean isEmpty() {
    return slices.isEmpty();
  }

  /** The planned sequences, in the order of the slices. */
  List<Sequence> sequences() {
    return sequences;
  }

  StepPlan build(long step, long[] forgotten) {
    return new StepPlan(
        step,
        forgotten,
        Collections.unmodifiableList(starts),
        Collections.unmodifiableList(slices));
  }
}
