package io.verdier.engine.run;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.model.RankBackends;
import io.verdier.engine.model.StageBackends;
import io.verdier.engine.model.StageLoader;
import io.verdier.engine.run.pipeline.Pipeline;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import io.verdier.engine.weights.CheckpointFiles;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Random;

/**
 * Makes plans by hand, as a scheduler would: sequences, their blocks, slices of a chosen length.
 * Blocks are dealt in a shuffled order, so that no test can rely on their numbers.
 */
final class Driver implements AutoCloseable {
  static final int BLOCKS = 512;
  private static final int[] END_TOKENS = {4065, 4072, 4073};

  final ModelRunner runner;
  private final List<Integer> freeBlocks = new ArrayList<>();
  private final Map<Long, Sequence> sequences = new HashMap<>();
  private final List<StepPlan.Start> started = new ArrayList<>();
  private final List<Long> forgotten = new ArrayList<>();
  private long step;
  private long nextKey = 1;

  /** One sequence, as a client would see it. */
  static final class Sequence {
    final long key;
    final int promptTokens;
    final int tokensMax;
    final SamplingParams params;
    final String adapter;
    final List<Integer> tokens = new ArrayList<>();
    final List<TokenLogprobs> logprobs = new ArrayList<>();
    final Map<Integer, TokenLogprobs> promptScores = new HashMap<>();
    final List<Integer> blocks = new ArrayList<>();
    final List<Integer> newBlocks = new ArrayList<>();
    int computed;
    String failure = "";

    Sequence(long key, int[] prompt, SamplingParams params, String adapter) {
      this.adapter = adapter;
      this.key = key;
      this.promptTokens = prompt.length;
      this.tokensMax = prompt.length + params.maxTokens();
      this.params = params;
      Arrays.stream(prompt).forEach(tokens::add);
    }

    boolean done() {
      int last = tokens.getLast();
      boolean ended =
          tokens.size() > promptTokens && Arrays.stream(END_TOKENS).anyMatch(id -> id == last);
      return !failure.isEmpty() || ended || tokens.size() >= tokensMax;
    }

    int[] generated() {
      return tokens.stream().skip(promptTokens).mapToInt(i -> i).toArray();
    }
  }

  Driver(ModelRunner runner, long seed) {
    this.runner = runner;
    for (int i = 0; i < BLOCKS; i++) {
      freeBlocks.add(i);
    }
    java.util.Collections.shuffle(freeBlocks, new Random(seed));
  }

  static Driver load(Path directory, int threads, CpuBackend.KernelForm form, long seed) {
    return load(directory, new CpuBackend(OptionalInt.of(threads), form), seed);
  }

  static Driver load(Path directory, Backend backend, long seed) {
    return load(
        directory,
        TestConfig.of(2048, 64, OptionalInt.of(1024), OptionalInt.of(BLOCKS)),
        backend,
        seed);
  }

  /**
   * @param config of 2048 tokens and 64 sequences at once, and enough blocks
   */
  static Driver load(Path directory, ServerConfig config, Backend backend, long seed) {
    LoadedModel model = ModelLoader.load(directory, config, backend, (done, total) -> {});
    return new Driver(new ModelRunner(model, 2048, 64), seed);
  }

  /**
   * Loads a model that several ranks share.
   *
   * @param flags further ones, as the command line has them
   */
  static Driver load(Path directory, int ranks, RankBackends backends, long seed, String... flags) {
    return new Driver(new ModelRunner(model(directory, ranks, backends, flags), 2048, 64), seed);
  }

  /** The same without a driver. */
  static LoadedModel model(Path directory, int ranks, RankBackends backends, String... flags) {
    List<String> argv =
        new ArrayList<>(
            List.of(
                "--tensor-parallel-size=" + ranks,
                "--max-num-batched-tokens=2048",
                "--max-num-seqs=64",
                "--max-model-len=1024",
                "--num-gpu-blocks-override=" + BLOCKS));
    argv.addAll(List.of(flags));
    ServerConfig config = TestConfig.of(argv.toArray(String[]::new));
    return ModelLoader.load(directory, config, backends, (done, total) -> {});
  }

  /**
   * Loads a model in stages, all in this process.
   *
   * @param partRowsMin smallest part of a step that has several
   * @param flags further ones, as the command line has them
   */
  static Driver loadStages(
      Path directory, StageBackends backends, long seed, int partRowsMin, String... flags) {
    List<String> argv =
        new ArrayList<>(
            List.of(
                "--max-num-batched-tokens=2048",
                "--max-num-seqs=64",
                "--max-model-len=1024",
                "--num-gpu-blocks-override=" + BLOCKS));
    argv.addAll(List.of(flags));
    ServerConfig config = TestConfig.of(argv.toArray(String[]::new));
    List<LoadedModel> stages;
    try (StageLoader loader = new StageLoader(CheckpointFiles.in(directory), config, backends)) {
      stages = loader.load(loader.blocks(), (done, total) -> {});
    }
    Pipeline pipeline =
        Pipeline.start(
            stages.size(),
            new LocalStages(stages.subList(1, stages.size()), config, null),
            Duration.ofSeconds(30));
    return new Driver(new ModelRunner(stages.getFirst(), 2048, 64, pipeline, partRowsMin), seed);
  }

  Sequence add(int[] prompt, SamplingParams params) {
    return add(prompt, params, "");
  }

  /**
   * @param adapter its identity
   */
  Sequence add(int[] prompt, SamplingParams params, String adapter) {
    Sequence sequence = new Sequence(nextKey++, prompt, params, adapter);
    sequences.put(sequence.key, sequence);
    start(sequence);
    return sequence;
  }

  private void start(Sequence s) {
    int[] tokens = s.tokens.stream().mapToInt(i -> i).toArray();
    started.add(new StepPlan.Start(s.key, tokens, s.promptTokens, s.params, s.adapter));
  }

  /** Forgets a sequence and starts it anew with all its tokens, as preemption does. */
  void preempt(Sequence s) {
    release(s);
    s.computed = 0;
    start(s);
  }

  void release(Sequence s) {
    forgotten.add(s.key);
    freeBlocks.addAll(s.blocks);
    s.blocks.clear();
  }

  /** One step with at most {@code chunk} tokens of each sequence. */
  void step(List<Sequence> batch, int chunk) {
    List<StepPlan.Slice> slices = new ArrayList<>();
    for (Sequence s : batch) {
      if (!s.done()) {
        slices.add(slice(s, chunk));
      }
    }
    long[] gone = forgotten.stream().mapToLong(i -> i).toArray();
    StepPlan plan = new StepPlan(++step, gone, List.copyOf(started), slices);
    started.clear();
    forgotten.clear();
    take(runner.run(plan));
  }

  private StepPlan.Slice slice(Sequence s, int chunk) {
    int count = Math.min(chunk, s.tokens.size() - s.computed);
    s.newBlocks.clear();
    while (s.blocks.size() * 16 < s.computed + count) {
      int block = freeBlocks.removeFirst();
      s.blocks.add(block);
      s.newBlocks.add(block);
    }
    int[] blocks = s.newBlocks.stream().mapToInt(i -> i).toArray();
    boolean samples = s.computed + count == s.tokens.size();
    StepPlan.Slice slice = new StepPlan.Slice(s.key, s.computed, count, blocks, samples);
    s.computed += count;
    return slice;
  }

  private void take(StepOutcome outcome) {
    for (int i = 0; i < outcome.keys().length; i++) {
      Sequence s = sequence(outcome.keys()[i]);
      s.tokens.add(outcome.tokens()[i][0]);
      TokenLogprobs logprobs = outcome.logprobs()[i];
      if (logprobs != null) {
        s.logprobs.add(logprobs);
      }
    }
    for (StepOutcome.PromptLogprobs scores : outcome.promptLogprobs()) {
      for (int i = 0; i < scores.scores().size(); i++) {
        sequence(scores.key()).promptScores.put(scores.firstPosition() + i, scores.scores().get(i));
      }
    }
    for (StepOutcome.Failure failure : outcome.failures()) {
      sequence(failure.key()).failure = failure.text();
    }
  }

  private Sequence sequence(long key) {
    Sequence sequence = sequences.get(key);
    if (sequence == null) {
      throw new AssertionError("outcome names unknown sequence " + key);
    }
    return sequence;
  }

  /** Runs the sequences together until all are done. */
  void finish(List<Sequence> batch, int chunk) {
    while (batch.stream().anyMatch(s -> !s.done())) {
      step(batch, chunk);
    }
    batch.forEach(this::release);
  }

  @Override
  public void close() {
    runner.close();
  }
}
