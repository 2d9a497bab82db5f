package io.verdier.engine.run;

import io.verdier.cache.host.DiskDone;
import io.verdier.cache.kv.KvCacheManager;
import io.verdier.conf.ServerConfig.Policy;
import io.verdier.engine.backend.DiskTier;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.schedule.Scheduler;
import io.verdier.engine.schedule.SchedulerSettings;
import io.verdier.engine.schedule.StepInput;
import io.verdier.engine.schedule.StepInput.Cancellation;
import io.verdier.engine.schedule.StepOutput;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepOutput.Finish;
import io.verdier.engine.schedule.StepOutput.Stats;
import io.verdier.engine.schedule.StepPlan;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The scheduler and a runner, as the server's actors drive them. Owned by the test thread. */
final class Engine {
  private static final StepInput NOTHING = new StepInput(List.of(), List.of(), null);
  private static final StepPlan NO_PLAN = new StepPlan(0, new long[0], List.of(), List.of());

  private final Scheduler scheduler;
  private final StepRunner runner;
  private final Deque<StepPlan> underWay = new ArrayDeque<>();
  private final Map<Long, Heard> heard = new HashMap<>();
  private final @Nullable DiskTier disk;
  private List<DiskDone> diskDone = new ArrayList<>();
  private Stats stats = new Stats(0, 0, 0, 0, 1, 0, 0, 0, 0);
  private int pairs;
  private int plans;
  private long preemptions;

  /** What a client gets, floats as bits. */
  static final class Heard {
    final List<Integer> tokens = new ArrayList<>();
    final List<TokenLogprobs> logprobs = new ArrayList<>();
    float[] pooled = {};
    int cached;
    private final StringBuilder scores = new StringBuilder();
    private String end = "";

    String text() {
      return end + tokens + scores;
    }
  }

  /**
   * @param plans most plans under way
   */
  Engine(StepRunner runner, int tokens, int blocks, int lengthMax, int plans) {
    this(runner, tokens, blocks, lengthMax, plans, null);
  }

  /**
   * @param tiers whose bytes the runner has; null: none
   */
  Engine(
      StepRunner runner,
      int tokens,
      int blocks,
      int lengthMax,
      int plans,
      @Nullable TierSetup tiers) {
    this.runner = runner;
    disk = tiers == null ? null : tiers.host().disk();
    KvCacheManager kv = new KvCacheManager(blocks, 16);
    scheduler =
        new Scheduler(
            new SchedulerSettings(
                tokens,
                64,
                0,
                Policy.FCFS,
                lengthMax,
                new int[] {4065, 4072, 4073},
                true,
                runner.plansMax(Optional.of(plans > 1))),
            kv,
            tiers == null ? null : tiers.books(kv));
  }

  /** A request as another engine takes it up when so many tokens have been said. */
  static EngineRequest continued(EngineRequest request, List<Integer> said) {
    int[] tokens = Arrays.copyOf(request.tokens(), request.promptTokens() + said.size());
    for (int i = 0; i < said.size(); i++) {
      tokens[request.promptTokens() + i] = said.get(i);
    }
    return new EngineRequest(
        request.key(),
        tokens,
        request.promptTokens(),
        request.sampling(),
        request.text(),
        0,
        "",
        "",
        request.guide(),
        null,
        request.thinking());
  }

  /** What was heard of a request. */
  static Heard of(Map<Long, Heard> heard, EngineRequest request) {
    return Objects.requireNonNull(heard.get(request.key()));
  }

  /** Steps that were begun while another was under way. */
  int pairs() {
    return pairs;
  }

  /** Plans that were begun. */
  int plans() {
    return plans;
  }

  long preemptions() {
    return preemptions;
  }

  /** The scheduler's last word. */
  Stats stats() {
    return stats;
  }

  /**
   * Works all requests through.
   *
   * @param cancelled keys that are cancelled, by the number of steps before
   */
  Map<Long, Heard> run(List<EngineRequest> requests, Map<Integer, Long> cancelled) {
    StepInput input = new StepInput(requests, List.of(), null);
    for (int steps = 0; ; steps++) {
      StepPlan plan = step(input);
      while (!plan.isEmpty()) {
        pairs += underWay.isEmpty() ? 0 : 1;
        runner.begin(plan);
        plans++;
        underWay.add(plan);
        plan = scheduler.mayPlan() ? step(NOTHING) : NO_PLAN;
      }
      if (underWay.isEmpty()) {
        runner.run(plan);
        if (diskDone.isEmpty()) {
          return heard;
        }
        input = new StepInput(List.of(), List.of(), null, takeDiskDone(), List.of());
        continue;
      }
      underWay.remove();
      List<Cancellation> cancellations = new ArrayList<>();
      Long key = cancelled.get(steps);
      if (key != null) {
        cancellations.add(new Cancellation(key, FinishReason.ABORT, false));
      }
      input = new StepInput(List.of(), cancellations, runner.finish(), takeDiskDone(), List.of());
    }
  }

  private List<DiskDone> takeDiskDone() {
    List<DiskDone> taken = diskDone;
    diskDone = new ArrayList<>();
    return taken;
  }

  private StepPlan step(StepInput input) {
    StepOutput output = scheduler.step(input);
    output.emissions().forEach(this::hear);
    stats = output.stats();
    preemptions = stats.preemptions();
    DiskTier tier = disk;
    if (tier != null) {
      output.diskWork().forEach(work -> diskDone.add(tier.run(work)));
    }
    return output.plan();
  }

  private void hear(Emission emission) {
    Heard stream = heard.computeIfAbsent(emission.key(), key -> new Heard());
    stream.cached = emission.opened() == null ? stream.cached : emission.cachedTokens();
    for (int token : emission.tokens()) {
      stream.tokens.add(token);
    }
    emission.promptLogprobs().forEach(score -> BitEqualityTest.append(stream.scores, score));
    stream.pooled = emission.pooled();
    for (float value : stream.pooled) {
      stream.scores.append(Float.floatToRawIntBits(value)).append(' ');
    }
    stream.logprobs.addAll(emission.logprobs());
    emission.logprobs().forEach(score -> BitEqualityTest.append(stream.scores, score));
    Finish finish = emission.finish();
    if (finish != null) {
      String fault = finish.fault() == null ? "" : finish.fault().text();
      stream.end =
          "%s %d %d %s "
              .formatted(finish.reason(), finish.stopToken(), finish.generatedTokens(), fault);
    }
  }
}
