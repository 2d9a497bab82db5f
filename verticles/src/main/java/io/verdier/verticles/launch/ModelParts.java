package io.verdier.verticles.launch;

import io.verdier.cache.artifact.ArtifactException;
import io.verdier.cache.kv.KvCacheManager;
import io.verdier.conf.ChatConfig;
import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.BackendKind;
import io.verdier.engine.RejectedException;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.DeviceException;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuTopology;
import io.verdier.engine.grammar.TokenTrie;
import io.verdier.engine.lora.AdapterSlots;
import io.verdier.engine.model.EngineLoader;
import io.verdier.engine.model.GenerationDefaults;
import io.verdier.engine.model.KvPlan;
import io.verdier.engine.model.LoadProgress;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelException;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.model.ModelLoader.Description;
import io.verdier.engine.model.ModelSpec;
import io.verdier.engine.run.HostTier;
import io.verdier.engine.run.ModelRunner;
import io.verdier.engine.run.NullRunner;
import io.verdier.engine.run.StepRunner;
import io.verdier.engine.run.TierSetup;
import io.verdier.engine.run.WorkMeter;
import io.verdier.engine.sample.SamplingSchema;
import io.verdier.engine.schedule.Scheduler;
import io.verdier.engine.schedule.SchedulerSettings;
import io.verdier.engine.text.ChatTemplate;
import io.verdier.engine.text.Tokenizer;
import io.verdier.engine.text.template.RenderLimits;
import io.verdier.engine.text.toolcall.ToolCallFormat;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.WeightsException;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.ResolveModel;
import io.verdier.verticles.token.ChatRenderer;
import io.verdier.verticles.token.PromptEncoder;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Clock;
import java.time.ZoneId;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.IntPredicate;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The plain objects inside the actors of one model, as its directory and the configuration give
 * them. Immutable; each part is handed over to the thread that owns it.
 *
 * @param engines that serve the model, each with all of it; never empty
 */
record ModelParts(
    ModelCard card,
    Tokenizer tokenizer,
    PromptEncoder encoder,
    Supplier<TokenTrie> vocabulary,
    List<Engine> engines) {
  private static final Logger LOG = LoggerFactory.getLogger(ModelParts.class);

  /** Name of the embedded model where the operator gave no other. */
  private static final String DEMO = "verdier-demo";

  /** Printable ASCII tokens are enough for a backend without a model. */
  private static final int NULL_VOCABULARY = 64;

  /**
   * What one engine has for itself.
   *
   * @param kv the scheduler's, whose observer may be set before it is deployed
   * @param device what each of its devices has of the model
   * @param adapters empty: they are not served
   * @param cacheFacts for the metrics
   */
  record Engine(
      Scheduler scheduler,
      KvCacheManager kv,
      ModelSpec spec,
      WorkMeter.Device device,
      StepRunner runner,
      Optional<AdapterSlots> adapters,
      Optional<TierSetup> tiers,
      Map<String, String> cacheFacts) {

    private Engine with(StepRunner other) {
      return new Engine(scheduler, kv, spec, device, other, adapters, tiers, cacheFacts);
    }
  }

  /** The same with another runner around each engine's. */
  ModelParts withRunners(UnaryOperator<StepRunner> around) {
    List<Engine> changed =
        engines.stream().map(engine -> engine.with(around.apply(engine.runner()))).toList();
    return new ModelParts(card, tokenizer, encoder, vocabulary, changed);
  }

  /** The same with another encoder. */
  ModelParts withEncoder(PromptEncoder other) {
    return new ModelParts(card, tokenizer, other, vocabulary, engines);
  }

  /**
   * The model asked for, without a signature that its address may hold; empty: the embedded one.
   */
  static Optional<String> source(ServerConfig config) {
    return config.model().source().map(ModelParts::shownSource);
  }

  static String shownSource(String source) {
    return source.contains("://") ? source.replaceFirst("\\?.*", "") : source;
  }

  /** Names that answers and {@code /v1/models} show; the first one counts. */
  static List<String> servedNames(ServerConfig config) {
    List<String> names = config.model().servedNames();
    return names.isEmpty() ? List.of(source(config).orElse(DEMO)) : names;
  }

  /** The first of them. */
  static String name(ServerConfig config) {
    return servedNames(config).getFirst();
  }

  /** Tokenizer and weights are read at the same time, each on a worker thread. */
  static Future<ModelParts> load(Vertx vertx, ServerConfig config, ResolveModel.Reply files) {
    Path directory = files.model().directory();
    if (source(config).isEmpty()) {
      LOG.info("No --model was given: serving the embedded demo model");
    }
    Future<Tokenizer> tokenizer =
        vertx.executeBlocking(() -> tokenizer(config, files.model().tokenizer()), false);
    Future<Loaded> loaded = vertx.executeBlocking(() -> model(config, files), false);
    return Future.all(tokenizer, loaded)
        .map(ignored -> assemble(config, directory, tokenizer.result(), loaded.result()));
  }

  /**
   * A model with its backends, or what is known of one that only the null backend pretends to run.
   *
   * @param engines none with the null backend
   * @param fingerprint empty where no other node asks for it
   */
  private record Loaded(Description description, List<Computing> engines, String fingerprint) {}

  /** A model on its backend. */
  private record Computing(ModelRunner runner, Optional<TierSetup> tiers) {}

  private static Tokenizer tokenizer(ServerConfig config, Path files) throws IOException {
    return Tokenizer.load(files, config.cache().directory().resolve("native"));
  }

  private static Loaded model(ServerConfig config, ResolveModel.Reply files) throws IOException {
    Description description = ModelLoader.describe(files.model(), config);
    if (config.backend().kind() == BackendKind.NULL) {
      return new Loaded(description, List.of(), fingerprint(config, files, Optional.empty()));
    }
    if (config.cluster().pipeline().isWanted()) {
      ModelRunner runner = StagedModel.load(config, files.model(), progress());
      return new Loaded(
          description,
          List.of(new Computing(runner, Optional.empty())),
          fingerprint(config, files, Optional.of(runner.model())));
    }
    DType type = description.weightType();
    List<LoadedModel> models =
        EngineLoader.load(
            files.model(),
            config,
            CpuTopology.cores(),
            (own, rank) ->
                BackendOpener.open(config, own, type, CpuBackend.KernelForm.WARMING, rank),
            progress());
    List<Computing> engines = new ArrayList<>();
    try {
      for (LoadedModel model : models) {
        engines.add(computing(config, files.model().directory(), model, engines.size()));
      }
      return new Loaded(
          description, engines, fingerprint(config, files, Optional.of(models.getFirst())));
    } catch (IOException | RuntimeException | Error e) {
      engines.forEach(engine -> close(engine.runner(), e));
      models.stream().skip(engines.size() + 1L).forEach(model -> close(model, e));
      throw e;
    }
  }

  /** A device that is lost may refuse: that comes second, and must not keep others open. */
  private static void close(AutoCloseable part, Throwable reason) {
    try {
      part.close();
    } catch (Exception refused) {
      reason.addSuppressed(refused);
    }
  }

  private static String fingerprint(
      ServerConfig config, ResolveModel.Reply files, Optional<LoadedModel> model)
      throws IOException {
    return config.cluster().enabled() ? Fingerprint.of(config, files, model) : "";
  }

  /** Takes over the model, also when it fails. */
  private static Computing computing(
      ServerConfig config, Path directory, LoadedModel model, int engine) {
    ServerConfig.Scheduling scheduling = config.scheduling();
    Deque<AutoCloseable> opened = new ArrayDeque<>(List.of(model)); // to be closed in this order
    try {
      Optional<TierSetup> tiers = TierSetup.of(config, directory, model, engine, Version.TEXT);
      Optional<HostTier> host = tiers.map(TierSetup::host);
      host.ifPresent(opened::push);
      ModelRunner runner =
          new ModelRunner(
              model, scheduling.batchedTokensMax(), scheduling.sequencesMax(), host.orElse(null));
      opened.clear();
      opened.push(runner); // which closes them
      model.transformer().prepare(scheduling.sequencesMax(), model.cache());
      AdapterSlots slots = runner.adapters();
      if (slots != null) {
        slots.reserve(config.adapters().hostRooms());
      }
      model.memoryTaken().ifPresent(LOG::info);
      return new Computing(runner, tiers);
    } catch (RuntimeException | Error e) {
      opened.forEach(part -> close(part, e));
      throw e;
    }
  }

  /** Nothing is stored; the books are kept as if a host with memory to spare did. */
  private static KvPlan planOfNothing(Description description, ServerConfig config) {
    ModelSpec spec = description.spec();
    long tokenBytes = 2L * spec.layers() * spec.kvHeads() * spec.headDim() * Float.BYTES;
    return ModelLoader.kvPlan(description, config, tokenBytes, Backend.KV_HOST_BYTES_MAX);
  }

  /** A line each quarter of the way, for models that take long enough to wonder. */
  static LoadProgress progress() {
    return (done, total) -> {
      int quarter = Math.max(1, total / 4);
      if (done % quarter == 0 && total > 8) {
        LOG.info("Weights: {} of {} layers", done, total);
      }
    };
  }

  private static ModelParts assemble(
      ServerConfig config, Path directory, Tokenizer tokenizer, Loaded loaded) {
    GenerationDefaults defaults = loaded.description.generation();
    int newTokensMax = defaults.maxNewTokens().orElse(Integer.MAX_VALUE);
    return new ModelParts(
        card(config, loaded),
        tokenizer,
        new PromptEncoder(
            tokenizer,
            renderer(config, directory),
            loaded.description.lengthMax(),
            newTokensMax,
            loaded.description.spec().hidden()),
        () -> vocabulary(tokenizer, loaded.description.spec().vocabSize(), defaults),
        loaded.engines.isEmpty()
            ? nullEngines(config, loaded.description, tokenizer)
            : loaded.engines.stream()
                .map(
                    engine ->
                        engine(
                            config,
                            loaded.description,
                            engine.runner,
                            engine.runner.model().kvPlan(),
                            engine.tiers))
                .toList());
  }

  private static List<Engine> nullEngines(
      ServerConfig config, Description description, Tokenizer tokenizer) {
    int[] printable = printable(tokenizer, description.generation());
    KvPlan plan = planOfNothing(description, config);
    return Stream.generate(() -> new NullRunner(printable, config.backend().nullStep()))
        .limit(config.backend().engines())
        .map(runner -> engine(config, description, runner, plan, Optional.empty()))
        .toList();
  }

  private static Engine engine(
      ServerConfig config,
      Description description,
      StepRunner runner,
      KvPlan plan,
      Optional<TierSetup> tiers) {
    LOG.info(
        "KV cache: {} blocks of {} tokens ({} MiB)",
        plan.blocks(),
        plan.blockTokens(),
        plan.bytes() >> 20);
    ServerConfig.Scheduling scheduling = config.scheduling();
    SchedulerSettings settings =
        new SchedulerSettings(
            scheduling.batchedTokensMax(),
            scheduling.sequencesMax(),
            scheduling.longPrefillTokens(),
            scheduling.policy(),
            description.lengthMax(),
            description.generation().endTokenIds(),
            config.cache().prefixCaching(),
            runner.plansMax(scheduling.planAhead()),
            config.adapters().slots());
    KvCacheManager kv = new KvCacheManager(plan.blocks(), plan.blockTokens());
    String cacheType =
        runner instanceof ModelRunner computing
            ? computing.model().backend().kvCacheType()
            : "float32";
    return new Engine(
        new Scheduler(settings, kv, tiers.map(it -> it.books(kv)).orElse(null)),
        kv,
        description.spec(),
        device(config, description, plan),
        runner,
        Optional.ofNullable(runner.adapters()),
        tiers,
        CacheFacts.of(config, plan, cacheType, description));
  }

  private static WorkMeter.Device device(
      ServerConfig config, Description description, KvPlan plan) {
    int bytes = description.weightType().bytes();
    double weightBytes =
        switch (config.backend().quantization()) {
          case NONE -> bytes;
          case FP8, INT8 -> 1;
          case INT4 -> 0.5;
        };
    return new WorkMeter.Device(
        config.backend().ranks(),
        config.cluster().pipeline().stages(),
        weightBytes,
        bytes,
        (double) plan.bytes() / plan.blocks() / plan.blockTokens());
  }

  /**
   * What constraints see of the tokens: none that end an answer, and of the special ones those that
   * mark calls.
   */
  private static TokenTrie vocabulary(
      Tokenizer tokenizer, int vocabSize, GenerationDefaults defaults) {
    int[] ends = defaults.endTokenIds();
    IntPredicate isUsed =
        id -> tokenizer.contains(id) && IntStream.of(ends).noneMatch(end -> end == id);
    long start = System.nanoTime();
    TokenTrie trie =
        TokenTrie.of(
            vocabSize,
            id -> isUsed.test(id) && !tokenizer.isSpecial(id) ? tokenizer.tokenBytes(id) : null,
            id -> isUsed.test(id) && tokenizer.isSpecial(id) ? mark(tokenizer.spelling(id)) : null,
            text -> tokenizer.encode(text, false));
    LOG.info(
        "Vocabulary for constraints: {} tokens in {} ms",
        vocabSize,
        (System.nanoTime() - start) / 1_000_000);
    return trie;
  }

  /** A spelling, if it is one that calls are marked with. */
  private static @Nullable String mark(String spelling) {
    boolean isMark =
        Arrays.stream(ToolCallFormat.values())
            .anyMatch(format -> format.visibleTokens().contains(spelling));
    return isMark ? spelling : null;
  }

  private static ChatRenderer renderer(ServerConfig config, Path directory) {
    ChatConfig chat = config.model().chat();
    ChatTemplate template =
        ChatTemplate.load(directory, chat.template()).formatted(chat.contentFormat());
    template
        .problem()
        .ifPresent(problem -> LOG.warn("The model's chat template does not parse: {}", problem));
    if (!template.exists()) {
      LOG.warn(
          "The model has no chat template: chat requests are refused. Start with --chat-template"
              + " to serve them.");
    }
    RenderLimits limits =
        new RenderLimits(config.limits().templateSteps(), config.limits().templateCharsMax());
    return new ChatRenderer(
        template, chat.variables(), limits, Clock.system(ZoneId.systemDefault()));
  }

  private static int[] printable(Tokenizer tokenizer, GenerationDefaults defaults) {
    return IntStream.range(0, tokenizer.vocabSize())
        .filter(tokenizer::contains)
        .filter(id -> !tokenizer.isSpecial(id))
        .filter(id -> IntStream.of(defaults.endTokenIds()).noneMatch(end -> end == id))
        .filter(id -> tokenizer.tokenText(id).matches("[ a-z]{2,}"))
        .limit(NULL_VOCABULARY)
        .toArray();
  }

  private static List<String> names(ServerConfig config) {
    return Stream.concat(servedNames(config).stream(), config.model().idAlias().stream())
        .distinct()
        .toList();
  }

  private static ModelCard card(ServerConfig config, Loaded loaded) {
    Description description = loaded.description;
    Map<String, Double> defaults = samplingDefaults(config, description.generation());
    int vocabulary = description.spec().vocabSize();
    checkDefaults(config, vocabulary, defaults);
    return new ModelCard(
        names(config),
        aliases(config),
        source(config).orElse(DEMO),
        vocabulary,
        description.lengthMax(),
        System.currentTimeMillis() / 1000,
        defaults,
        description.embedding(),
        ModelCard.parsing(config),
        loaded.fingerprint,
        List.of());
  }

  /** A model's bad default ends the start, not every request. */
  private static void checkDefaults(
      ServerConfig config, int vocabulary, Map<String, Double> defaults) {
    new SamplingSchema(
        new SamplingSchema.Bounds(
            vocabulary,
            config.model().logprobsMax(),
            config.limits().choicesMax(),
            config.limits().logitBiasMax()),
        defaults);
  }

  private static List<String> aliases(ServerConfig config) {
    return Stream.concat(config.model().idAlias().stream(), source(config).stream())
        .distinct()
        .toList();
  }

  /** By API field name; {@code --generation-config=vllm} leaves the model's own out. */
  private static Map<String, Double> samplingDefaults(
      ServerConfig config, GenerationDefaults model) {
    Map<String, Double> defaults = new HashMap<>();
    if (!config.model().generationConfig().equals(Optional.of("vllm"))) {
      model.temperature().ifPresent(value -> defaults.put("temperature", value));
      model.topP().ifPresent(value -> defaults.put("top_p", value));
      model.topK().ifPresent(value -> defaults.put("top_k", (double) value));
      model.minP().ifPresent(value -> defaults.put("min_p", value));
      model.repetitionPenalty().ifPresent(value -> defaults.put("repetition_penalty", value));
      model.maxNewTokens().ifPresent(value -> defaults.put("max_new_tokens", (double) value));
    }
    defaults.putAll(config.model().generationOverrides());
    return defaults;
  }

  /**
   * Why loading failed, for the operator. Expected reasons speak for themselves; others show their
   * type.
   */
  static String reason(Throwable failed) {
    return switch (failed) {
      case RejectedException rejected -> rejected.text();
      case ArtifactException expected -> expected.text();
      case ModelException expected -> String.valueOf(expected.getMessage());
      case DeviceException expected -> String.valueOf(expected.getMessage());
      case WeightsException expected -> String.valueOf(expected.getMessage());
      case IOException expected -> String.valueOf(expected.getMessage());
      default -> failed.toString();
    };
  }
}
