package io.verdier.verticles.bench.offline;

import io.verdier.cache.host.DiskDone;
import io.verdier.cache.kv.KvCacheManager;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.DiskTier;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.run.ModelRunner;
import io.verdier.engine.run.TierSetup;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.schedule.Scheduler;
import io.verdier.engine.schedule.SchedulerSettings;
import io.verdier.engine.schedule.StepInput;
import io.verdier.engine.schedule.StepOutput;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepPlan;
import io.verdier.engine.text.TextParams;
import io.verdier.verticles.bench.Distribution;
import io.verdier.verticles.bench.offline.OfflineOptions.UsageException;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Times the first token of a prompt that no tier knows, and of the same prompt found on the device,
 * in the host's memory and, where there is one, on the disk. Owned by the thread that runs it,
 * which is scheduler, executor and disk in one.
 *
 * <p>The device has room for one sequence. So another prompt of the same length makes it forget,
 * and enough others the host. Each round has prompts of its own; the answers to one prompt must be
 * the same from every tier.
 */
final class PrefixBench {
  private static final long SEED = 7;
  private static final int[] NO_TOKENS = {};

  /** Where a prompt is found. */
  enum Tier {
    NONE,
    DEVICE,
    HOST,
    DISK
  }

  private final OfflineOptions options;
  private final ServerConfig config;
  private final Path directory;
  private final Map<Tier, List<Double>> firstTokenMs = new EnumMap<>(Tier.class);
  private final String salt = Long.toString(System.nanoTime()); // a disk may know earlier runs'
  private long nextKey = 1;
  private int nextPrompt;

  /**
   * @param directory of the model
   */
  PrefixBench(OfflineOptions options, ServerConfig config, Path directory) {
    this.options = options;
    this.config = config;
    this.directory = directory;
  }

  /** Scheduler and runner of one model. */
  private record Machine(
      Scheduler scheduler, ModelRunner runner, @Nullable DiskTier disk, int hostSlots) {}

  /** One request's answer. */
  private record Answer(double firstTokenMs, int cachedTokens, List<Integer> tokens) {}

  /**
   * @param model closed at the end
   * @return exit code: 1 where a tier gave another answer
   */
  int measure(LoadedModel model, PrintStream out) throws IOException {
    ServerConfig.Scheduling scheduling = config.scheduling();
    TierSetup tiers =
        TierSetup.of(config, directory, model, 0, "bench")
            .orElseThrow(
                () -> new UsageException(List.of("--prefix-tiers: there is no tier to measure")));
    try (ModelRunner runner =
        new ModelRunner(
            model, scheduling.batchedTokensMax(), scheduling.sequencesMax(), tiers.host())) {
      KvCacheManager kv = new KvCacheManager(model.kvPlan().blocks(), model.kvPlan().blockTokens());
      Scheduler scheduler = new Scheduler(settings(model, runner), kv, tiers.books(kv));
      int hostSlots = tiers.host().blocks().slots();
      Machine machine = new Machine(scheduler, runner, tiers.host().disk(), hostSlots);
      round(machine, model); // warms up
      firstTokenMs.clear();
      for (int i = 0; i < options.repeats(); i++) {
        round(machine, model);
      }
    } catch (DifferentAnswerException wrong) {
      out.println(wrong.getMessage());
      return 1;
    }
    report(model, tiers.blockBytes(), out);
    return 0;
  }

  private SchedulerSettings settings(LoadedModel model, ModelRunner runner) {
    ServerConfig.Scheduling scheduling = config.scheduling();
    return new SchedulerSettings(
        scheduling.batchedTokensMax(),
        scheduling.sequencesMax(),
        scheduling.longPrefillTokens(),
        scheduling.policy(),
        model.lengthMax(),
        NO_TOKENS,
        true,
        runner.plansMax(scheduling.planAhead()));
  }

  private void round(Machine machine, LoadedModel model) {
    int[] prompt = prompt(model);
    int blocks = (prompt.length - 1) / model.kvPlan().blockTokens();
    Answer cold = note(Tier.NONE, run(machine, prompt), 0);
    require(Tier.DEVICE, run(machine, prompt), cold, blocks, model);
    note(Tier.NONE, run(machine, prompt(model)), 0); // the device forgets
    require(Tier.HOST, run(machine, prompt), cold, blocks, model);
    if (machine.disk != null) {
      for (int others = 0; others <= machine.hostSlots / blocks; others++) {
        run(machine, prompt(model)); // the host forgets
      }
      require(Tier.DISK, run(machine, prompt), cold, blocks, model);
    }
  }

  private int[] prompt(LoadedModel model) {
    return PromptTokens.of(
        config.model().seed(), nextPrompt++, options.inputTokens(), model.spec().vocabSize());
  }

  private void require(Tier tier, Answer answer, Answer cold, int blocks, LoadedModel model) {
    note(tier, answer, blocks * model.kvPlan().blockTokens());
    if (!answer.tokens.equals(cold.tokens)) {
      throw new DifferentAnswerException(
          "the answer differs from that to the unseen prompt: " + tier);
    }
  }

  private Answer note(Tier tier, Answer answer, int cachedTokens) {
    if (answer.cachedTokens != cachedTokens) {
      throw new DifferentAnswerException(
          "%d tokens were found in tier %s, not %d"
              .formatted(answer.cachedTokens, tier, cachedTokens));
    }
    firstTokenMs.computeIfAbsent(tier, it -> new ArrayList<>()).add(answer.firstTokenMs);
    return answer;
  }

  /** Something was found elsewhere, or came back different. */
  private static final class DifferentAnswerException extends RuntimeException {
    private static final long serialVersionUID = 1;

    DifferentAnswerException(String text) {
      super(text, null, false, false);
    }
  }

  /** Runs one request to its end, and what is to be put away with it. */
  private Answer run(Machine machine, int[] prompt) {
    EngineRequest request = request(prompt);
    List<Integer> tokens = new ArrayList<>();
    double firstMs = 0;
    int cached = 0;
    long start = System.nanoTime();
    List<DiskDone> diskDone = new ArrayList<>();
    StepInput input = new StepInput(List.of(request), List.of(), null);
    while (true) {
      StepOutput output = machine.scheduler.step(input);
      for (Emission emission : output.emissions()) {
        if (emission.opened() != null) {
          cached = emission.cachedTokens();
          firstMs = (System.nanoTime() - start) / 1e6;
        }
        Arrays.stream(emission.tokens()).forEach(tokens::add);
      }
      work(machine, output, diskDone);
      StepPlan plan = output.plan();
      boolean idle = plan.isEmpty() && diskDone.isEmpty();
      if (idle && plan.forgotten().length == 0) {
        return new Answer(firstMs, cached, tokens);
      }
      input =
          new StepInput(
              List.of(), List.of(), machine.runner.run(plan), List.copyOf(diskDone), List.of());
      diskDone.clear();
    }
  }

  private static void work(Machine machine, StepOutput output, List<DiskDone> done) {
    DiskTier disk = machine.disk;
    if (disk != null) {
      output.diskWork().forEach(work -> done.add(disk.run(work)));
    }
  }

  private EngineRequest request(int[] prompt) {
    SamplingParams sampling = OfflineEngine.sampling(options, SEED, options.outputTokens());
    TextParams text = new TextParams(List.of(), false, false, false);
    return new EngineRequest(nextKey++, prompt, prompt.length, sampling, text, 0, salt, "");
  }

  private void report(LoadedModel model, long blockBytes, PrintStream out) throws IOException {
    out.println("Prefix tiers");
    out.printf(Locale.ROOT, "%-36s%s%n", "Model", options.modelConfig());
    out.printf(Locale.ROOT, "%-36s%s%n", "Backend", model.backend().description());
    out.printf(
        Locale.ROOT,
        "%-36s%d tokens, %.1f MB in the cache%n",
        "Prompt",
        options.inputTokens(),
        options.inputTokens() / model.kvPlan().blockTokens() * blockBytes / 1e6);
    double cold = Distribution.of(samples(Tier.NONE)).median();
    JsonObject json =
        new JsonObject()
            .put("model", options.modelConfig())
            .put("backend", model.backend().description())
            .put("input_len", options.inputTokens());
    for (Tier tier : firstTokenMs.keySet()) {
      Distribution times = Distribution.of(samples(tier));
      out.printf(
          Locale.ROOT,
          "%-36s%.1f ms (%.1f to %.1f), %.1f %%%n",
          "First token, " + (tier == Tier.NONE ? "unseen" : tier.name().toLowerCase(Locale.ROOT)),
          times.median(),
          times.percentile(0),
          times.percentile(100),
          100 * times.median() / cold);
      json.put("first_token_ms_" + tier.name().toLowerCase(Locale.ROOT), array(times));
    }
    out.println("All answers to a prompt were the same.");
    if (options.resultFile().isPresent()) {
      Files.writeString(Path.of(options.resultFile().get()), json.encodePrettily() + "\n");
    }
  }

  private static JsonArray array(Distribution times) {
    return new JsonArray(Arrays.stream(times.sorted()).boxed().toList());
  }

  private double[] samples(Tier tier) {
    return firstTokenMs.getOrDefault(tier, List.of()).stream()
        .mapToDouble(Double::doubleValue)
        .toArray();
  }
}
