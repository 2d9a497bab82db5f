package io.verdier.engine.run;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.DeviceClock;
import io.verdier.engine.backend.LoraSlots;
import io.verdier.engine.grammar.Guide;
import io.verdier.engine.lora.AdapterSlots;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.run.pipeline.Pipeline;
import io.verdier.engine.sample.RowResults;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Runs plans on a model. Owned by the executor thread.
 *
 * <p>A step is: bring the remembered sequences up to date; lay all slices end to end; one forward
 * pass; hidden states of the rows that are pooled; logits of the rows that need them, a bounded
 * number at a time; from each row a token, or a score of the prompt token behind it. A sequence in
 * which one of these fails is reported as failed and the others go on as if it were not there.
 *
 * <p><b>Two steps under way.</b> Beginning a step queues all of its work on the device and waits
 * for nothing; finishing it reads what came of it. The step begun in between takes the tokens it
 * does not know from where the device has put them. Where the host has to know them first ({@link
 * RunningStep#holdsUpNext}), the step before is read before the next one is queued; where the
 * device is the host, all of them are. That costs time and changes nothing else.
 */
public final class ModelRunner implements StepRunner {
  private static final int PLANS_MAX = 2;
  private static final int GRAMMARS_MAX = 32;

  private final LoadedModel model;
  private final ForwardPass layers;
  private final RowSampling sampling;
  private final @Nullable AdapterSlots adapters;
  private final @Nullable BlockCopies copies; // null: no tiers are behind the device
  private final AttentionBatch batch; // of the step begun last
  private final RunningSequences running = new RunningSequences();
  private final TokenGrammars grammars = new TokenGrammars(GRAMMARS_MAX);
  private final Deque<RunningStep> idle = new ArrayDeque<>(PLANS_MAX);
  private final Deque<RunningStep> underWay = new ArrayDeque<>(PLANS_MAX); // oldest first
  private final int vocabSize;
  private float[] states = {}; // [rows, hidden], as many as were ever pooled at once
  private Optional<DeviceClock> clock = Optional.empty();
  private long deviceNanos;
  private double deviceSeconds;

  /**
   * @param tokensMax most tokens in a step
   * @param sequencesMax most slices in a step
   */
  public ModelRunner(LoadedModel model, int tokensMax, int sequencesMax) {
    this(model, tokensMax, sequencesMax, RowSampling.of(model, tokensMax));
  }

  /**
   * @param model the first stage
   * @param pipeline the other ones, closed with this
   */
  public ModelRunner(LoadedModel model, int tokensMax, int sequencesMax, Pipeline pipeline) {
    this(model, tokensMax, sequencesMax, pipeline, PipelinedForward.PART_ROWS_MIN);
  }

  /**
   * @param partRowsMin how tests cut small steps
   */
  ModelRunner(
      LoadedModel model, int tokensMax, int sequencesMax, Pipeline pipeline, int partRowsMin) {
    this(
        model,
        tokensMax,
        sequencesMax,
        staged(model, pipeline, new AttentionBatch(tokensMax, sequencesMax), partRowsMin));
  }

  private static Parts staged(
      LoadedModel model, Pipeline pipeline, AttentionBatch part, int partRowsMin) {
    PipelinedSampling sampling = new PipelinedSampling(pipeline, part.rowsMax());
    PipelinedForward layers = new PipelinedForward(model, pipeline, sampling, part, partRowsMin);
    return new Parts(layers, sampling, null);
  }

  /**
   * @param host memory behind the device's cache; null: none
   */
  public ModelRunner(LoadedModel model, int tokensMax, int sequencesMax, @Nullable HostTier host) {
    this(
        model,
        tokensMax,
        sequencesMax,
        new Parts(ForwardPass.of(model), RowSampling.of(model, tokensMax), host));
  }

  /**
   * @param sampling of this model: how tests make a choice fail, or be made elsewhere
   */
  ModelRunner(LoadedModel model, int tokensMax, int sequencesMax, RowSampling sampling) {
    this(model, tokensMax, sequencesMax, new Parts(ForwardPass.of(model), sampling, null));
  }

  /**
   * What differs from runner to runner.
   *
   * @param host memory behind the device's cache; null: none
   */
  private record Parts(ForwardPass layers, RowSampling sampling, @Nullable HostTier host) {}

  private ModelRunner(LoadedModel model, int tokensMax, int sequencesMax, Parts parts) {
    this.model = model;
    HostTier host = parts.host;
    sampling = parts.sampling;
    layers = parts.layers;
    copies = host == null ? null : new BlockCopies(model.cache(), host);
    LoraSlots slots = model.adapters();
    adapters = slots == null ? null : new AdapterSlots(slots);
    vocabSize = model.spec().vocabSize();
    batch = new AttentionBatch(tokensMax, sequencesMax);
    for (int i = 0; i < PLANS_MAX; i++) {
      idle.add(new RunningStep(tokensMax));
    }
  }

  public LoadedModel model() {
    return model;
  }

  @Override
  public @Nullable AdapterSlots adapters() {
    return adapters;
  }

  @Override
  public int plansMax() {
    return PLANS_MAX;
  }

  /**
   * Where operations compute in the calling thread, or several ranks must be told the tokens, a
   * second plan only waits for its turn.
   */
  @Override
  public boolean worksByItself() {
    return model.backend().waitedNanos().isPresent() && layers.takesSampledTokens();
  }

  @Override
  public void begin(StepPlan plan) {
    RunningStep step = idle.peek();
    if (step == null) {
      throw new IllegalStateException(PLANS_MAX + " plans are under way");
    }
    if (copies == null) {
      begin(plan, step);
    } else {
      beginWithCopies(plan, step, copies);
    }
    underWay.add(idle.remove());
  }

  /** Copies of a plan that has not begun must not go on: its blocks will be others'. */
  private void beginWithCopies(StepPlan plan, RunningStep step, BlockCopies all) {
    boolean begun = false;
    try {
      all.begin(plan.copies());
      begin(plan, step);
      begun = true;
    } finally {
      if (!begun) {
        all.abandon();
      }
    }
  }

  private void begin(StepPlan plan, RunningStep step) {
    RunningStep before = underWay.peekLast();
    if (before != null && (before.holdsUpNext() || !layers.takesSampledTokens())) {
      before.read();
    }
    for (long key : plan.forgotten()) {
      forget(running.remove(key));
    }
    for (StepPlan.Start start : plan.started()) {
      forget(running.put(sequence(start)));
    }
    running.rewind();
    step.begin(plan);
    layOut(plan, step);
    long start = System.nanoTime();
    if (batch.rows() > 0) {
      layers.forward(batch);
    }
    pool(step);
    deviceNanos += System.nanoTime() - start;
    sample(step, before);
  }

  private RunningSequence sequence(StepPlan.Start start) {
    Guide guide = start.guide();
    Guidance guidance =
        guide == null
            ? null
            : new Guidance(
                grammars.of(guide),
                model.generation().endTokenIds(),
                guide.thinking(),
                start.promptTokens(),
                start.sampling());
    return new RunningSequence(start, vocabSize, guidance, adapterSlot(start.adapter()));
  }

  private int adapterSlot(String adapter) {
    if (adapters == null) {
      return adapter.isEmpty() ? AttentionBatch.NO_ADAPTER : AdapterSlots.UNKNOWN;
    }
    return adapters.enter(adapter);
  }

  /** Waits for the hidden states that are wanted; steps without any wait for nothing. */
  private void pool(RunningStep step) {
    WantedRows wanted = step.pooledRows();
    int width = model.spec().hidden();
    int rowsMax = Math.min(wanted.count(), layers.statesMax());
    if (states.length < rowsMax * width) {
      states = new float[rowsMax * width];
    }
    for (int from = 0; from < wanted.count(); from += rowsMax) {
      int count = Math.min(rowsMax, wanted.count() - from);
      layers.states(wanted.rows(), from, count, states);
      step.pool(states, width, from, count);
    }
    step.endPooling(width);
  }

  /** Queues the choice of all tokens; only the last two chunks can wait to be read. */
  private void sample(RunningStep step, @Nullable RunningStep before) {
    WantedRows wanted = step.wanted();
    step.prepareMasks(); // while the device computes
    for (int from = 0; from < wanted.count(); from += sampling.rowsMax()) {
      int count = Math.min(sampling.rowsMax(), wanted.count() - from);
      if (from > 0 && before != null) {
        before.read();
      }
      step.read();
      long start = System.nanoTime();
      RowResults chunk = sampling.run(wanted, from, count);
      deviceNanos += System.nanoTime() - start;
      step.add(chunk, from, count);
    }
    if (wanted.count() > 0) {
      clock.ifPresent(DeviceClock::stop);
    }
  }

  @Override
  public StepOutcome finish() {
    RunningStep step = underWay.poll();
    if (step == null) {
      throw new IllegalStateException("no plan is under way");
    }
    idle.add(step);
    if (copies != null) {
      copies.finish();
    }
    step.read();
    if (clock.isPresent() && step.wanted().count() > 0) {
      deviceSeconds += clock.get().seconds();
    }
    return step.outcome();
  }

  @Override
  public void vacate() {
    if (!underWay.isEmpty()) {
      throw new IllegalStateException(underWay.size() + " plans use the cache and the weights");
    }
    layers.vacate();
  }

  @Override
  public void recall() {
    layers.recall();
  }

  @Override
  public void onLost(Consumer<String> hears) {
    layers.onLost(hears);
  }

  private void forget(@Nullable RunningSequence sequence) {
    if (sequence != null) {
      sampling.forget(sequence.history());
      if (adapters != null) {
        adapters.leave(sequence.adapterSlot());
      }
    }
  }

  /**
   * Time that this thread has left to the device in all steps so far: where it only queues work
   * there, what it waited; else what operations took. The rest is the host's.
   */
  public long deviceNanos() {
    return model.backend().waitedNanos().orElse(deviceNanos);
  }

  /** Time that this thread has spent on copies between the device and the host's memory. */
  public long copyNanos() {
    return copies == null ? 0 : copies.nanos();
  }

  /** From now on the device times the steps itself, if it has a clock. None is under way. */
  public void timeSteps() {
    clock = model.backend().clock();
  }

  /** Time that the device has worked for all steps so far, gaps between them left out. */
  public double deviceSeconds() {
    return clock.isEmpty() ? deviceNanos / 1e9 : deviceSeconds;
  }

  @Override
  public void close() {
    running.clear();
    try (var _ = model;
        var _ = layers;
        var _ = copies;
        var _ = adapters) {
      // in the reverse order, each whatever the others throw: a lost device refuses to close
    }
  }

  /** Fills the batch and lists the rows whose logits are needed; sequences that cannot run fail. */
  private void layOut(StepPlan plan, RunningStep step) {
    batch.clear();
    for (StepPlan.Slice slice : plan.slices()) {
      RunningSequence sequence = running.next(slice.key());
      sequence.appendBlocks(slice.newBlocks(), model.kvPlan());
      if (sequence.hasFailed() || sequence.isComplete()) {
        continue; // since the step before, whose outcome tells
      }
      if (slice.awaitsToken()) {
        sequence.awaitToken(slice.computed());
      }
      String problem = sequence.problem(slice, model.kvPlan());
      if (problem != null) {
        step.fail(sequence, ErrorCode.INVALID_ARGUMENT, problem);
        continue;
      }
      int firstRow = batch.rows();
      batch.add(
          sequence, slice.computed(), slice.count(), sequence.blocks(), sequence.adapterSlot());
      want(slice, sequence, firstRow, step.wanted());
      pool(slice, sequence, firstRow, step);
    }
  }

  /** Of a prompt the last row is never scored: there is no token behind it yet. */
  private void want(
      StepPlan.Slice slice, RunningSequence sequence, int firstRow, WantedRows wanted) {
    for (int i = 0; i < slice.count(); i++) {
      int position = slice.computed() + i;
      if (sequence.isScored(position)) {
        int token = sequence.history().get(position + 1);
        wanted.score(firstRow + i, position, sequence, token);
      } else if (slice.samples() && i == slice.count() - 1 && sequence.ends(slice)) {
        wanted.choose(firstRow + i, position, sequence);
      }
    }
  }

  private static void pool(
      StepPlan.Slice slice, RunningSequence sequence, int firstRow, RunningStep step) {
    for (int i = 0; i < slice.count(); i++) {
      if (sequence.isPooled(slice.computed() + i)) {
        step.pooledRows().pool(firstRow + i, slice.computed() + i, sequence);
      }
    }
    if (sequence.endsPooling(slice)) {
      step.endPooling(sequence);
    }
  }
}
