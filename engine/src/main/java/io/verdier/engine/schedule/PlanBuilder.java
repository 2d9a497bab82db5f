package io.verdier.engine.schedule;

import io.verdier.engine.schedule.StepPlan.Copies;
import io.verdier.engine.schedule.StepPlan.Slice;
import io.verdier.engine.schedule.StepPlan.Start;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/** Collects one step's slices within its token budget. Owned by the scheduler thread. */
final class PlanBuilder {
  private final int sliceTokensMax;
  private final int blockTokens;
  private int tokensLeft;
  private final List<Sequence> sequences;
  private int[] counts;
  private Copies copies = Copies.NONE;

  PlanBuilder(SchedulerSettings settings, int blockTokens, int sequencesExpected) {
    this.sliceTokensMax = settings.sliceTokensMax();
    this.blockTokens = blockTokens;
    this.tokensLeft = settings.batchedTokensMax();
    this.sequences = new ArrayList<>(sequencesExpected);
    this.counts = new int[Math.max(8, sequencesExpected)];
  }

  boolean isFull() {
    return tokensLeft == 0;
  }

  /** How many of the sequence's missing tokens this step can still take. */
  int share(Sequence sequence) {
    return Math.min(Math.min(sequence.missing(), sliceTokensMax), tokensLeft);
  }

  /**
   * Adds the sequence's next tokens; its table covers them. The sequence hears of it at the end.
   */
  void add(Sequence sequence, int count) {
    if (sequences.size() == counts.length) {
      counts = Arrays.copyOf(counts, 2 * counts.length);
    }
    counts[sequences.size()] = count;
    sequences.add(sequence);
    tokensLeft -= count;
  }

  /** Copies to make with the step. */
  void copy(Copies all) {
    copies = all;
  }

  boolean isEmpty() {
    return sequences.isEmpty() && copies.isEmpty();
  }

  /** The planned sequences, in the order of the slices. */
  List<Sequence> sequences() {
    return sequences;
  }

  /** Makes the plan: from here on its tokens count as planned. */
  StepPlan build(long step, long[] forgotten) {
    List<Slice> slices = new ArrayList<>(sequences.size());
    List<Start> starts = new ArrayList<>();
    for (int i = 0; i < sequences.size(); i++) {
      Sequence sequence = sequences.get(i);
      if (!sequence.isStarted()) {
        starts.add(sequence.start());
      }
      int blocks = Math.ceilDiv(sequence.planned() + counts[i], blockTokens);
      slices.add(sequence.plan(counts[i], blocks));
    }
    return new StepPlan(
        step,
        forgotten,
        Collections.unmodifiableList(starts),
        Collections.unmodifiableList(slices),
        copies);
  }
}
