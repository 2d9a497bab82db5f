package io.verdier.engine.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.cache.kv.KvCacheManager;
import io.verdier.conf.ServerConfig.Policy;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.sample.ParamsBuilder;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.ReferenceSearch.Found;
import io.verdier.engine.schedule.StepInput.Cancellation;
import io.verdier.engine.schedule.StepOutcome.Failure;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepOutput.Finish;
import io.verdier.engine.schedule.StepPlan.Slice;
import io.verdier.engine.text.TextParams;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * Beam searches on a scheduler, over a model whose log probabilities are few enough numbers to tie
 * often.
 */
class SearchTest {
  private static final int VOCABULARY = 13;
  private static final int END = 12;

  /** A scheduler and what runs its plans. Owned by the test thread. */
  private static final class Rig {
    final KvCacheManager kv;
    final Scheduler scheduler;
    final Map<Long, List<Emission>> heard = new HashMap<>();
    private final Map<Long, int[]> known = new HashMap<>();
    private final List<Long> started = new ArrayList<>();
    private @Nullable StepOutcome told;
    private boolean fails;
    long preemptions;
    int steps;

    Rig(int blocks, int tokens, boolean prefixCaching) {
      kv = new KvCacheManager(blocks, 4);
      scheduler =
          new Scheduler(
              new SchedulerSettings(tokens, 8, 0, Policy.FCFS, 40, new int[] {END}, prefixCaching),
              kv);
    }

    /** Returns whether there was anything to do. */
    boolean step(List<EngineRequest> arrivals, Cancellation... cancellations) {
      StepOutput output = scheduler.step(new StepInput(arrivals, List.of(cancellations), told));
      told = null;
      steps++;
      preemptions = output.stats().preemptions();
      for (Emission emission : output.emissions()) {
        heard.computeIfAbsent(emission.key(), key -> new ArrayList<>()).add(emission);
      }
      StepPlan plan = output.plan();
      for (long key : plan.forgotten()) {
        known.remove(key);
      }
      for (StepPlan.Start start : plan.started()) {
        known.put(start.key(), start.tokens());
        started.add(start.key());
      }
      if (!plan.isEmpty()) {
        told = fails ? failed(plan) : run(plan);
      }
      return told != null;
    }

    private static StepOutcome failed(StepPlan plan) {
      List<Failure> failures =
          plan.slices().stream()
              .map(slice -> new Failure(slice.key(), ErrorCode.INTERNAL, "It broke."))
              .toList();
      return new StepOutcome(
          plan.step(), new long[0], new int[0], new TokenLogprobs[0], List.of(), failures);
    }

    private StepOutcome run(StepPlan plan) {
      List<Slice> sampling = plan.slices().stream().filter(Slice::samples).toList();
      int[] tokens = new int[sampling.size()];
      TokenLogprobs[] scores = new TokenLogprobs[sampling.size()];
      for (int i = 0; i < tokens.length; i++) {
        int[] before = Objects.requireNonNull(known.get(sampling.get(i).key()));
        TokenLogprobs next = scores(Arrays.stream(before).boxed().toList());
        tokens[i] = next.token();
        scores[i] = next;
        int[] after = Arrays.copyOf(before, before.length + 1);
        after[before.length] = next.token();
        known.put(sampling.get(i).key(), after);
      }
      return new StepOutcome(
          plan.step(),
          sampling.stream().mapToLong(Slice::key).toArray(),
          tokens,
          scores,
          List.of(),
          List.of());
    }

    void finish() {
      for (int i = 0; step(List.of()); i++) {
        assertThat(i).as("steps").isLessThan(2000);
      }
    }

    Finish finishOf(long key) {
      return Objects.requireNonNull(Objects.requireNonNull(heard.get(key)).getLast().finish());
    }

    void assertNothingIsHeld() {
      assertThat(kv.usedCount()).isZero();
      assertThat(known).isEmpty();
      assertThat(scheduler.isUnderWay()).isFalse();
    }
  }

  /** Scores by the tokens before, in eighths. */
  private static TokenLogprobs scores(List<Integer> tokens) {
    SplittableRandom random = new SplittableRandom(tokens.hashCode());
    float[] all = new float[VOCABULARY];
    for (int id = 0; id < VOCABULARY; id++) {
      all[id] = -random.nextInt(1, 40) / 8f;
    }
    int[] ids =
        IntStream.range(0, VOCABULARY)
            .boxed()
            .sorted(Comparator.comparingDouble(id -> -all[id]))
            .mapToInt(id -> id)
            .toArray();
    float[] sorted = new float[VOCABULARY];
    for (int i = 0; i < VOCABULARY; i++) {
      sorted[i] = all[ids[i]];
    }
    return new TokenLogprobs(ids[0], sorted[0], 1, ids, sorted);
  }

  private static EngineRequest request(
      long firstKey, int width, int[] prompt, double penalty, SamplingParams sampling) {
    TextParams text = new TextParams(List.of(), false, true, true);
    long[] keys = LongStream.range(firstKey, firstKey + width).toArray();
    return new EngineRequest(firstKey, prompt, prompt.length, sampling, text, 0, "", "")
        .with(new BeamSearch(keys, penalty));
  }

  private static SamplingParams scored(int maxTokens) {
    ParamsBuilder params = new ParamsBuilder();
    params.maxTokens = maxTokens;
    params.logprobs = 3;
    return params.build();
  }

  private static EngineRequest plain(long key, int promptTokens, int maxTokens) {
    TextParams text = new TextParams(List.of(), false, true, true);
    int[] prompt = IntStream.range(0, promptTokens).map(i -> (int) (key + i) % 5).toArray();
    return new EngineRequest(
        key, prompt, prompt.length, SamplingParams.scores(maxTokens, -1, -1), text, 0, "", "");
  }

  /** What the reference finds, as {@link #told} says it. */
  private static List<String> expected(EngineRequest request, int lengthMax) {
    BeamSearch asked = Objects.requireNonNull(request.search());
    ReferenceSearch reference =
        new ReferenceSearch(
            SearchTest::scores,
            token -> token == END,
            asked.keys().length,
            Math.min(lengthMax, request.promptTokens() + request.sampling().maxTokens()),
            asked.lengthPenalty());
    List<String> expected = new ArrayList<>();
    for (Found found : reference.run(request.tokens())) {
      List<Integer> answer = found.tokens().subList(request.promptTokens(), found.tokens().size());
      expected.add(answer + (found.isEnded() ? " STOP " : " LENGTH ") + found.sum());
    }
    return expected;
  }

  private static List<String> told(Rig rig, EngineRequest request) {
    List<String> told = new ArrayList<>();
    for (long key : Objects.requireNonNull(request.search()).keys()) {
      List<Emission> news = Objects.requireNonNull(rig.heard.get(key));
      assertThat(news).hasSize(1);
      Emission only = news.getFirst();
      assertThat(Objects.requireNonNull(only.opened()).key()).isEqualTo(key);
      Finish finish = Objects.requireNonNull(only.finish());
      assertThat(finish.generatedTokens()).isEqualTo(only.tokens().length);
      double sum = 0;
      for (TokenLogprobs score : only.logprobs()) {
        sum += score.logprob();
        assertThat(score.topIds()).hasSize(3);
      }
      told.add(Arrays.toString(only.tokens()) + " " + finish.reason() + " " + sum);
    }
    return told;
  }

  @Test
  void run_anySearches_findWhatTheReferenceFinds() {
    long fixed = Long.getLong("seed", -1);
    long preemptions = 0;
    for (long seed = fixed < 0 ? 0 : fixed; seed < (fixed < 0 ? 120 : fixed + 1); seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      Rig rig = new Rig(10 + random.nextInt(12), 1 + random.nextInt(40), random.nextBoolean());
      List<EngineRequest> requests = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        int[] prompt = random.ints(1 + random.nextInt(20), 0, VOCABULARY).toArray();
        double penalty = random.nextInt(-2, 5) / 2.0;
        SamplingParams sampling = scored(1 + random.nextInt(10));
        requests.add(request(10L * i, 1 + random.nextInt(5), prompt, penalty, sampling));
      }
      rig.step(List.of(plain(100, 3, 25), plain(101, 7, 30), requests.get(0), requests.get(1)));
      rig.step(List.of(requests.get(2)));
      rig.finish();
      for (EngineRequest request : requests) {
        int lengthMax = (int) Math.min(40, rig.kv.capacityTokens());
        assertThat(told(rig, request))
            .as("replay with -Dseed=%d", seed)
            .isEqualTo(expected(request, lengthMax));
      }
      assertThat(rig.finishOf(100).fault()).isNull();
      rig.assertNothingIsHeld();
      preemptions += rig.preemptions;
    }
    assertThat(fixed >= 0 || preemptions > 20).as("%d preemptions", preemptions).isTrue();
  }

  @Test
  void run_answersCannotBeOutdone_endsBeforeItsLength() {
    Rig rig = new Rig(200, 100, true);
    EngineRequest request = request(1, 2, new int[] {1, 2}, 0, scored(38));
    rig.step(List.of(request));
    rig.finish();
    assertThat(told(rig, request)).isEqualTo(expected(request, 40));
    assertThat(rig.steps).isLessThan(20);
  }

  @Test
  void run_endTokensAreIgnored_noAnswerStops() {
    Rig rig = new Rig(100, 100, true);
    SamplingParams sampling = SamplingParams.scores(9, 3, SamplingParams.NO_SCORES);
    rig.step(List.of(request(1, 4, new int[] {3}, 1, sampling)));
    rig.finish();
    for (long key = 1; key <= 4; key++) {
      assertThat(rig.finishOf(key).reason()).isEqualTo(FinishReason.LENGTH);
      assertThat(rig.finishOf(key).generatedTokens()).isEqualTo(9);
    }
  }

  @Test
  void cancel_oneAnswer_othersAreFound() {
    Rig rig = new Rig(100, 100, true);
    EngineRequest request = request(1, 3, new int[] {3, 4}, 1, scored(8));
    rig.step(List.of(request));
    rig.step(List.of(), new Cancellation(2, FinishReason.ABORT, false));
    rig.step(List.of(), new Cancellation(3, FinishReason.ABORT, true));
    rig.finish();
    assertThat(rig.finishOf(2).reason()).isEqualTo(FinishReason.ABORT);
    assertThat(rig.heard).doesNotContainKey(3L);
    assertThat(rig.finishOf(1).reason()).isIn(FinishReason.STOP, FinishReason.LENGTH);
    rig.assertNothingIsHeld();
  }

  @Test
  void cancel_allAnswers_endsTheirSequences() {
    Rig rig = new Rig(100, 100, true);
    SamplingParams sampling = SamplingParams.greedy(30);
    rig.step(List.of(request(1, 2, new int[] {3, 4}, 1, sampling), plain(50, 2, 4)));
    rig.step(List.of());
    rig.step(
        List.of(),
        new Cancellation(1, FinishReason.ABORT, false),
        new Cancellation(2, FinishReason.ABORT, false));
    int steps = rig.steps;
    rig.finish();
    assertThat(rig.steps - steps).isLessThan(6);
    assertThat(rig.finishOf(1).reason()).isEqualTo(FinishReason.ABORT);
    assertThat(rig.finishOf(2).reason()).isEqualTo(FinishReason.ABORT);
    assertThat(rig.finishOf(50).generatedTokens()).isEqualTo(4);
    rig.assertNothingIsHeld();
  }

  @Test
  void cancel_beforeItArrives_endsIt() {
    Rig rig = new Rig(100, 100, true);
    EngineRequest request = request(1, 1, new int[] {3, 4}, 1, SamplingParams.greedy(3));
    rig.step(List.of(request), new Cancellation(1, FinishReason.ABORT, false));
    rig.finish();
    assertThat(rig.finishOf(1).reason()).isEqualTo(FinishReason.ABORT);
    rig.assertNothingIsHeld();
  }

  @Test
  void run_stepFails_allAnswersFail() {
    Rig rig = new Rig(100, 100, true);
    rig.step(List.of(request(1, 3, new int[] {3, 4}, 1, SamplingParams.greedy(9))));
    rig.fails = true;
    rig.step(List.of());
    rig.fails = false;
    rig.step(List.of(plain(9, 4, 3)));
    rig.finish();
    for (long key = 1; key <= 3; key++) {
      assertThat(Objects.requireNonNull(rig.finishOf(key).fault()).text()).isEqualTo("It broke.");
    }
    assertThat(rig.finishOf(9).fault()).isNull();
    rig.assertNothingIsHeld();
  }

  @Test
  void arrive_promptTooLong_allAnswersAreRefused() {
    Rig rig = new Rig(100, 100, true);
    rig.step(List.of(request(1, 2, new int[60], 1, SamplingParams.greedy(9))));
    assertThat(rig.step(List.of())).isFalse();
    for (long key = 1; key <= 2; key++) {
      assertThat(Objects.requireNonNull(rig.finishOf(key).fault()).text()).contains("60 tokens");
    }
    rig.assertNothingIsHeld();
  }

  /** A search's next sequences stand where its request stood, before whoever came later. */
  @Test
  void run_othersWait_keepsItsPlace() {
    Rig rig = new Rig(100, 8, true);
    List<EngineRequest> all = new ArrayList<>();
    all.add(request(1, 2, new int[] {1, 2, 3, 4}, 1, SamplingParams.scores(10, 2, -1)));
    for (int i = 0; i < 20; i++) {
      all.add(plain(20 + i, 8, 5));
    }
    rig.step(all);
    while (!rig.heard.containsKey(1L)) {
      rig.step(List.of());
    }
    assertThat(rig.heard).containsKey(2L).doesNotContainKey(39L);
    rig.finish();
    rig.assertNothingIsHeld();
  }
}
