package io.verdier.verticles.launch;

import io.verdier.cache.artifact.ArtifactException;
import io.verdier.cache.kv.KvCacheManager;
import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.BackendKind;
import io.verdier.conf.ServerConfig.DataType;
import io.verdier.engine.RejectedException;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.DeviceException;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackends;
import io.verdier.engine.backend.cuda.Cuda;
import io.verdier.engine.backend.cuda.CudaBackend;
import io.verdier.engine.backend.cuda.CudaException;
import io.verdier.engine.grammar.TokenTrie;
import io.verdier.engine.lora.AdapterSlots;
import io.verdier.engine.model.GenerationDefaults;
import io.verdier.engine.model.KvPlan;
import io.verdier.engine.model.LoadProgress;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelException;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.model.ModelLoader.Description;
import io.verdier.engine.model.ModelSpec;
import io.verdier.engine.model.RankBackends;
import io.verdier.engine.run.ModelRunner;
import io.verdier.engine.run.NullRunner;
import io.verdier.engine.run.StepRunner;
import io.verdier.engine.run.TierSetup;
import io.verdier.engine.sample.SamplingSchema;
import io.verdier.engine.schedule.Scheduler;
import io.verdier.engine.schedule.SchedulerSettings;
import io.verdier.engine.text.ChatTemplate;
import io.verdier.engine.text.Tokenizer;
import io.verdier.engine.text.template.RenderLimits;
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
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The plain objects inside the actors of one engine, as a model's directory and the configuration
 * give them. Immutable; each part is handed over to the thread that owns it.
 */
record EngineParts(
    ModelCard card,
    Tokenizer tokenizer,
    PromptEncoder encoder,
    Scheduler scheduler,
    StepRunner runner,
    Supplier<TokenTrie> vocabulary,
    Map<String, String> cacheFacts,
    Optional<AdapterSlots> adapters,
    Optional<TierSetup> tiers) {
  private static final Logger LOG = LoggerFactory.getLogger(EngineParts.class);

  /** Name of the embedded model where the operator gave no other. */
  private static final String DEMO = "verdier-demo";

  /** Printable ASCII tokens are enough for a backend without a model. */
  private static final int NULL_VOCABULARY = 64;

  /** The same with another runner. */
  EngineParts withRunner(StepRunner other) {
    return new EngineParts(
        card, tokenizer, encoder, scheduler, other, vocabulary, cacheFacts, adapters, tiers);
  }

  /** The same with another encoder. */
  EngineParts withEncoder(PromptEncoder other) {
    return new EngineParts(
        card, tokenizer, other, scheduler, runner, vocabulary, cacheFacts, adapters, tiers);
  }

  /**
   * The model asked for, without a signature that its address may hold; empty: the embedded one.
   */
  static Optional<String> source(ServerConfig config) {
    return config.model().source().map(EngineParts::shownSource);
  }

  static String shownSource(String source) {
    return source.contains("://") ? source.replaceFirst("\\?.*", "") : source;
  }

  /** Names that answers and {@code /v1/models} show; the first one counts. */
  static List<String> servedNames(ServerConfig config) {
    List<String> names = config.model().servedNames();
    return names.isEmpty() ? List.of(source(config).orElse(DEMO)) : names;
  }

  /** Tokenizer and weights are read at the same time, each on a worker thread. */
  static Future<EngineParts> load(Vertx vertx, ServerConfig config, ResolveModel.Reply files) {
    Path directory = files.directory();
    if (source(config).isEmpty()) {
      LOG.info("No --model was given: serving the embedded demo model");
    }
    Future<Tokenizer> tokenizer =
        vertx.executeBlocking(() -> tokenizer(config, files.tokenizer()), false);
    Future<Loaded> loaded = vertx.executeBlocking(() -> model(config, files), false);
    return Future.all(tokenizer, loaded)
        .map(ignored -> assemble(config, directory, tokenizer.result(), loaded.result()));
  }

  /**
   * A model with its backend, or what is known of one that only the null backend pretends to run.
   */
  private record Loaded(
      Description description,
      KvPlan plan,
      Optional<ModelRunner> runner,
      Optional<TierSetup> tiers) {}

  private static Tokenizer tokenizer(ServerConfig config, Path files) throws IOException {
    return Tokenizer.load(files, config.cache().directory().resolve("native"));
  }

  private static Loaded model(ServerConfig config, ResolveModel.Reply files) {
    Path directory = files.directory();
    Description description = ModelLoader.describe(directory, config);
    if (config.backend().kind() == BackendKind.NULL) {
      return new Loaded(
          description, planOfNothing(description, config), Optional.empty(), Optional.empty());
    }
    DType type = description.weightType();
    RankBackends backends = rank -> backend(config, type, CpuBackend.KernelForm.WARMING, rank);
    LoadedModel model = ModelLoader.load(directory, config, backends, progress());
    ServerConfig.Scheduling scheduling = config.scheduling();
    Optional<TierSetup> tiers = tiers(config, directory, model);
    ModelRunner runner =
        new ModelRunner(
            model,
            scheduling.batchedTokensMax(),
            scheduling.sequencesMax(),
            tiers.map(TierSetup::host).orElse(null));
    try {
      model.transformer().prepare(scheduling.sequencesMax(), model.cache());
      AdapterSlots slots = runner.adapters();
      if (slots != null) {
        slots.reserve(config.adapters().hostRooms());
      }
      model.memoryTaken().ifPresent(LOG::info);
      return new Loaded(description, model.kvPlan(), Optional.of(runner), tiers);
    } catch (RuntimeException | Error e) {
      runner.close();
      throw e;
    }
  }

  private static Optional<TierSetup> tiers(ServerConfig config, Path directory, LoadedModel model) {
    try {
      return TierSetup.of(config, directory, model, Version.TEXT);
    } catch (RuntimeException | Error e) {
      model.close();
      throw e;
    }
  }

  /** Nothing is stored; the books are kept as if a host with memory to spare did. */
  private static KvPlan planOfNothing(Description description, ServerConfig config) {
    ModelSpec spec = description.spec();
    long tokenBytes = 2L * spec.layers() * spec.kvHeads() * spec.headDim() * Float.BYTES;
    return ModelLoader.kvPlan(description, config, tokenBytes, Backend.KV_HOST_BYTES_MAX);
  }

  /**
   * The device that the configuration asks for; closed by whoever gets it.
   *
   * @param weights type of the checkpoint's matrices
   * @param form kernels of the CPU backend, if it computes in Java
   * @param rank which of several devices, or whose share of the CPU's threads
   */
  static Backend backend(
      ServerConfig config, DType weights, CpuBackend.KernelForm form, Rank rank) {
    if (usesGpu(config)) {
      Optional<Backend> gpu = gpu(config, rank);
      if (gpu.isPresent()) {
        noticeRounding(config, weights);
        return gpu.get();
      }
    }
    noticeGpuFlags(config);
    try {
      Backend backend = CpuBackends.open(config.backend(), weights, form, rank);
      LOG.info("CPU backend: {} threads{}, {}", backend.threads(), of(rank), backend.description());
      return backend;
    } catch (IllegalArgumentException refused) {
      throw new ModelException(String.valueOf(refused.getMessage()), refused);
    }
  }

  /** Never silently: more bits were stored, or asked for, than a GPU computes with. */
  private static void noticeRounding(ServerConfig config, DType weights) {
    if (weights != DType.BF16) {
      LOG.warn(
          "{} {} on a GPU: it computes in bfloat16, with sums in float32. Weights with more bits"
              + " are rounded at load.",
          config.model().dtype() == DataType.AUTO ? "The checkpoint's" : "--dtype",
          weights.word());
    }
  }

  /** Where the configuration itself could not know that there is no GPU. */
  private static void noticeGpuFlags(ServerConfig config) {
    CudaBackend.Options usual = CudaBackend.Options.defaults();
    if (config.backend().kind() != BackendKind.AUTO) {
      return;
    }
    if (config.backend().gpu().memoryShare() != usual.memoryShare()) {
      LOG.info("--gpu-memory-utilization has no effect without a GPU");
    }
    if (config.backend().gpu().eager() != usual.eager()) {
      LOG.info("--enforce-eager has no effect without a GPU");
    }
  }

  private static String of(Rank rank) {
    return rank.isAlone() ? "" : " for " + rank;
  }

  private static boolean usesGpu(ServerConfig config) {
    if (config.backend().kind() == BackendKind.AUTO) {
      Optional<String> obstacle = Cuda.obstacle();
      obstacle.ifPresent(reason -> LOG.debug("No GPU is used: {}", reason));
      return obstacle.isEmpty();
    }
    return config.backend().kind() == BackendKind.CUDA;
  }

  /** Empty where none can be used and none was asked for by name. */
  private static Optional<Backend> gpu(ServerConfig config, Rank rank) {
    try {
      Path natives = config.cache().directory().resolve("native");
      CudaBackend.Options options = CudaBackend.Options.of(config.backend());
      List<Integer> devices = config.backend().gpu().devices();
      int device = devices.isEmpty() ? rank.index() : devices.get(rank.index());
      Backend backend = Cuda.open(device, natives, options);
      LOG.info("GPU backend{}: {}", of(rank), backend.description());
      return Optional.of(backend);
    } catch (CudaException refused) {
      // Who asks for several GPUs or a certain one would not call the CPU a way out.
      boolean asked = !rank.isAlone() || !config.backend().gpu().devices().isEmpty();
      if (config.backend().kind() == BackendKind.AUTO && !asked) {
        LOG.warn("{} Computing on the CPU instead.", refused.getMessage());
        return Optional.empty();
      }
      throw new ModelException(
          refused.getMessage() + " Start with --backend cpu to do without.", refused);
    }
  }

  /** A line each quarter of the way, for models that take long enough to wonder. */
  private static LoadProgress progress() {
    return (done, total) -> {
      int quarter = Math.max(1, total / 4);
      if (done % quarter == 0 && total > 8) {
        LOG.info("Weights: {} of {} layers", done, total);
      }
    };
  }

  private static EngineParts assemble(
      ServerConfig config, Path directory, Tokenizer tokenizer, Loaded loaded) {
    GenerationDefaults defaults = loaded.description.generation();
    int lengthMax = loaded.description.lengthMax();
    KvPlan plan = loaded.plan;
    LOG.info(
        "KV cache: {} blocks of {} tokens ({} MiB)",
        plan.blocks(),
        plan.blockTokens(),
        plan.bytes() >> 20);
    StepRunner runner = runner(config, loaded, tokenizer, defaults);
    ServerConfig.Scheduling scheduling = config.scheduling();
    SchedulerSettings settings =
        new SchedulerSettings(
            scheduling.batchedTokensMax(),
            scheduling.sequencesMax(),
            scheduling.longPrefillTokens(),
            scheduling.policy(),
            lengthMax,
            defaults.endTokenIds(),
            config.cache().prefixCaching(),
            runner.plansMax(scheduling.planAhead()),
            config.adapters().slots());
    KvCacheManager kv = new KvCacheManager(plan.blocks(), plan.blockTokens());
    Scheduler scheduler =
        new Scheduler(settings, kv, loaded.tiers.map(it -> it.books(kv)).orElse(null));
    int newTokensMax = defaults.maxNewTokens().orElse(Integer.MAX_VALUE);
    return new EngineParts(
        card(config, loaded),
        tokenizer,
        new PromptEncoder(
            tokenizer,
            renderer(config, directory),
            lengthMax,
            newTokensMax,
            loaded.description.spec().hidden()),
        scheduler,
        runner,
        () -> vocabulary(tokenizer, loaded.description.spec().vocabSize(), defaults),
        cacheFacts(config, plan, cacheType(loaded), lengthMax),
        loaded.runner.map(ModelRunner::adapters),
        loaded.tiers);
  }

  /** What constraints see of the tokens: neither special ones nor those that end an answer. */
  private static TokenTrie vocabulary(
      Tokenizer tokenizer, int vocabSize, GenerationDefaults defaults) {
    int[] ends = defaults.endTokenIds();
    long start = System.nanoTime();
    TokenTrie trie =
        TokenTrie.of(
            vocabSize,
            id ->
                tokenizer.contains(id)
                        && !tokenizer.isSpecial(id)
                        && IntStream.of(ends).noneMatch(end -> end == id)
                    ? tokenizer.tokenBytes(id)
                    : null,
            text -> tokenizer.encode(text, false));
    LOG.info(
        "Vocabulary for constraints: {} tokens in {} ms",
        vocabSize,
        (System.nanoTime() - start) / 1_000_000);
    return trie;
  }

  private static ChatRenderer renderer(ServerConfig config, Path directory) {
    ChatTemplate template = ChatTemplate.load(directory, config.model().chatTemplate());
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
    return new ChatRenderer(template, limits, Clock.system(ZoneId.systemDefault()));
  }

  private static StepRunner runner(
      ServerConfig config, Loaded loaded, Tokenizer tokenizer, GenerationDefaults defaults) {
    return loaded
        .runner
        .<StepRunner>map(it -> it)
        .orElseGet(
            () -> new NullRunner(printable(tokenizer, defaults), config.backend().nullStep()));
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

  private static String cacheType(Loaded loaded) {
    return loaded.runner.map(it -> it.model().backend().kvCacheType()).orElse("float32");
  }

  /** As vLLM names and spells them: what reads them was written for Python. */
  private static Map<String, String> cacheFacts(
      ServerConfig config, KvPlan plan, String cacheType, int lengthMax) {
    Map<String, String> facts = new TreeMap<>();
    long tokens = (long) plan.blocks() * plan.blockTokens();
    OptionalInt override = config.cache().blocksOverride();
    facts.put("block_size", Integer.toString(plan.blockTokens()));
    facts.put("cache_dtype", cacheType);
    facts.put("enable_prefix_caching", config.cache().prefixCaching() ? "True" : "False");
    facts.put("gpu_memory_utilization", Double.toString(config.backend().gpu().memoryShare()));
    facts.put("kv_cache_max_concurrency", Double.toString((double) tokens / lengthMax));
    facts.put("kv_cache_size_tokens", Long.toString(tokens));
    facts.put("num_cpu_blocks", "None");
    facts.put("num_gpu_blocks", Integer.toString(plan.blocks()));
    facts.put(
        "num_gpu_blocks_override",
        override.isPresent() ? Integer.toString(override.getAsInt()) : "None");
    facts.put("sliding_window", "None");
    return facts;
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
