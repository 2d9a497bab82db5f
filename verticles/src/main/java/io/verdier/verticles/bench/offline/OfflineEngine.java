package io.verdier.verticles.bench.offline;

import io.verdier.cache.kv.KvCacheManager;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.grammar.Guide;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.run.CacheFiller;
import io.verdier.engine.run.ModelRunner;
import io.verdier.engine.run.StepRunner;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.schedule.Scheduler;
import io.verdier.engine.schedule.SchedulerSettings;
import io.verdier.engine.schedule.StepInput;
import io.verdier.engine.schedule.StepOutput;
import io.verdier.engine.schedule.StepPlan;
import io.verdier.engine.schedule.StepPlan.Slice;
import io.verdier.engine.text.TextParams;
import io.verdier.verticles.bench.offline.PhaseTimes.StepTime;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Scheduler and model in one thread, which owns it: a server's engine without its actors. What it
 * measures are real steps, planned by the real scheduler and sampled by the real sampler.
 *
 * <p><b>A batch in two phases.</b> First all prompts are prefilled, and end with their first token;
 * then the same prompts come once more with all their tokens to generate, and find themselves in
 * the prefix cache. So no step holds both a prompt and a decoding sequence, and each figure is that
 * of one kind of work. With a context of their own, decoding sequences find that in the cache,
 * where {@link CacheFiller} has put it. A salt per batch keeps later ones from finding earlier
 * ones' blocks.
 */
final class OfflineEngine implements AutoCloseable {
  private static final int[] NO_TOKENS = {};
  private static final StepInput NOTHING = new StepInput(List.of(), List.of(), null);
  private static final StepPlan NO_PLAN = new StepPlan(0, new long[0], List.of(), List.of());

  private final OfflineOptions options;
  private final int vocabulary;
  private final long seed;
  private final ModelRunner runner;
  private final CacheFiller filler;
  private final Scheduler scheduler;
  private final @Nullable Guide guide; // of all answers
  private final @Nullable OpTimes operations;
  private final List<String> adapters; // identities
  private final int[] endTokenIds;
  private int batches; // run so far
  private long nextKey = 1;

  /** What one run over all prompts took. */
  record Run(PhaseTimes prefill, PhaseTimes decode, int[][] tokens) {}

  /** Hears of every step. */
  private interface StepListener {
    void onStep(StepPlan plan, StepTime time);
  }

  /**
   * @param model closed with this
   * @param guide what all answers are held to; null: nothing
   * @param operations what times the model's backend; null: nothing does
   */
  OfflineEngine(
      LoadedModel model,
      ServerConfig config,
      OfflineOptions options,
      @Nullable Guide guide,
      @Nullable OpTimes operations) {
    this.options = options;
    this.guide = guide;
    this.operations = operations;
    this.vocabulary = model.spec().vocabSize();
    this.endTokenIds = model.generation().endTokenIds();
    this.seed = config.model().seed();
    ServerConfig.Scheduling scheduling = config.scheduling();
    int tokensMax = scheduling.batchedTokensMax();
    this.runner = new ModelRunner(model, tokensMax, scheduling.sequencesMax());
    runner.timeSteps();
    this.adapters = options.loraRows() == 0 ? List.of() : BenchAdapters.add(runner);
    this.filler = new CacheFiller(model, tokensMax, scheduling.sequencesMax());
    this.scheduler =
        new Scheduler(
            new SchedulerSettings(
                tokensMax,
                scheduling.sequencesMax(),
                scheduling.longPrefillTokens(),
                scheduling.policy(),
                model.lengthMax(),
                NO_TOKENS,
                true,
                runner.plansMax(scheduling.planAhead()),
                config.adapters().slots()),
            new KvCacheManager(model.kvPlan().blocks(), model.kvPlan().blockTokens()));
  }

  /** Works through all prompts once. */
  Run run() {
    Run run = new Run(new PhaseTimes(), new PhaseTimes(), new int[options.prompts()][]);
    for (int first = 0; first < options.prompts(); first += options.batch()) {
      runBatch(first, Math.min(options.batch(), options.prompts() - first), run);
    }
    return run;
  }

  @Override
  public void close() {
    runner.close();
  }

  private void runBatch(int first, int count, Run run) {
    String salt = Integer.toString(batches++);
    if (options.inputTokens() > 0) {
      drive(
          runner,
          requests(first, count, options.inputTokens(), 1, salt),
          (plan, time) -> run.prefill.add(tokens(plan), time));
    }
    int context = options.contextTokens();
    if (options.context().isPresent()) {
      salt = salt + " context";
      drive(filler, requests(first, count, context, 1, salt), (plan, time) -> {});
    }
    int[][] tokens =
        drive(
            runner,
            requests(first, count, context, options.outputTokens(), salt),
            (plan, time) -> {
              if (decodes(plan, count, context)) {
                run.decode.add(count, time);
              }
            });
    for (int[] answer : tokens) {
      requireNoEnd(answer);
    }
    System.arraycopy(tokens, 0, run.tokens, first, count);
  }

  /** End tokens end nothing here, and behind one a constraint costs nothing any more. */
  private void requireNoEnd(int[] answer) {
    for (int i = 0; guide != null && i < answer.length; i++) {
      int token = answer[i];
      if (Arrays.stream(endTokenIds).anyMatch(id -> id == token)) {
        throw new OfflineOptions.UsageException(
            List.of(
                "an answer ended after %d of %d tokens; --json-schema must not let any"
                    .formatted(i, answer.length)));
      }
    }
  }

  /** Whether all sequences take part and are behind their first token. */
  private static boolean decodes(StepPlan plan, int count, int context) {
    return plan.slices().size() == count
        && plan.slices().stream().allMatch(s -> s.count() == 1 && s.computed() >= context);
  }

  private static int tokens(StepPlan plan) {
    return plan.slices().stream().mapToInt(Slice::count).sum();
  }

  private List<EngineRequest> requests(
      int first, int count, int length, int outputTokens, String salt) {
    TextParams text = new TextParams(List.of(), false, false, false);
    List<EngineRequest> requests = new ArrayList<>(count);
    for (int i = first; i < first + count; i++) {
      int[] prompt = PromptTokens.of(seed, i, length, vocabulary);
      requests.add(
          new EngineRequest(
              nextKey++,
              prompt,
              length,
              sampling(options, i, outputTokens),
              text,
              0,
              salt,
              adapter(i - first),
              guide));
    }
    return requests;
  }

  /** Of the sequence that has this place in its batch: the first ones have adapters, in turn. */
  private String adapter(int place) {
    return place < options.loraRows() ? adapters.get(place % adapters.size()) : "";
  }

  /** Nothing but the temperature, and no end before the last token. */
  static SamplingParams sampling(OfflineOptions options, long seed, int outputTokens) {
    return new SamplingParams(
        options.temperature(),
        1,
        0,
        0,
        0,
        0,
        1,
        seed,
        outputTokens,
        0,
        true,
        NO_TOKENS,
        NO_TOKENS,
        new float[0],
        NO_TOKENS,
        new int[0][],
        -1,
        -1);
  }

  /** Runs requests to their ends, and returns what each generated. */
  private int[][] drive(StepRunner by, List<EngineRequest> requests, StepListener listener) {
    Answers answers = new Answers(requests);
    Deque<StepPlan> begun = new ArrayDeque<>();
    StepInput input = new StepInput(requests, List.of(), null);
    while (true) {
      long start = System.nanoTime();
      long leftBefore = runner.deviceNanos();
      double deviceBefore = runner.deviceSeconds();
      StepPlan plan = plan(input, answers);
      while (!plan.isEmpty()) {
        by.begin(plan);
        begun.add(plan);
        boolean mayBegin = begun.size() < by.plansMax() && scheduler.mayPlan();
        plan = mayBegin ? plan(NOTHING, answers) : NO_PLAN;
      }
      if (begun.isEmpty()) {
        by.run(plan); // only what is to be forgotten
        return answers.tokens();
      }
      input = new StepInput(List.of(), List.of(), by.finish());
      StepTime time =
          new StepTime(
              System.nanoTime() - start,
              runner.deviceNanos() - leftBefore,
              (long) ((runner.deviceSeconds() - deviceBefore) * 1e9),
              operations == null ? Map.of() : operations.take());
      listener.onStep(begun.remove(), time);
    }
  }

  private StepPlan plan(StepInput input, Answers answers) {
    StepOutput output = scheduler.step(input);
    output.emissions().forEach(answers::take);
    return output.plan();
  }

  /** Owned by the measuring thread. Collects tokens by the order of the requests. */
  private static final class Answers {
    private final long firstKey;
    private final int[][] tokens;
    private final int[] counts;

    Answers(List<EngineRequest> requests) {
      firstKey = requests.getFirst().key();
      counts = new int[requests.size()];
      tokens = new int[requests.size()][];
      Arrays.setAll(tokens, i -> new int[requests.get(i).sampling().maxTokens()]);
    }

    void take(StepOutput.Emission emission) {
      int index = (int) (emission.key() - firstKey);
      for (int token : emission.tokens()) {
        tokens[index][counts[index]++] = token;
      }
      StepOutput.Finish finish = emission.finish();
      StepOutput.@Nullable Fault fault = finish == null ? null : finish.fault();
      if (fault != null) {
        throw new IllegalStateException("a sequence failed: " + fault.text());
      }
    }

    int[][] tokens() {
      for (int i = 0; i < tokens.length; i++) {
        if (counts[i] != tokens[i].length) {
          throw new IllegalStateException(counts[i] + " tokens instead of " + tokens[i].length);
        }
      }
      return tokens;
    }
  }
}
