package io.verdier.conf;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * Everything the operator asked for, validated. Immutable; one record per area. Built by {@link
 * ConfigLoader} alone, so that whoever holds one may trust every value in it.
 */
public record ServerConfig(
    Model model,
    Artifacts artifacts,
    Cache cache,
    Scheduling scheduling,
    Adapters adapters,
    Backend backend,
    Http http,
    Parsing parsing,
    Vertex vertex,
    Limits limits,
    LoggingConfig logging,
    StructuredOutput structuredOutput,
    Pooler pooler,
    TracingConfig tracing,
    MeasureConfig measures,
    ClusterConfig cluster) {

  /** The same on another port: 0 was asked for, and this one was found. */
  public ServerConfig withPort(int port) {
    return with(cache, http.withPort(port));
  }

  /** The same where so many models of a process keep prefixes in one directory. */
  public ServerConfig withPrefixSharers(int models) {
    return with(cache.withSharers(models), http);
  }

  private ServerConfig with(Cache newCache, Http newHttp) {
    return new ServerConfig(
        model,
        artifacts,
        newCache,
        scheduling,
        adapters,
        backend,
        newHttp,
        parsing,
        vertex,
        limits,
        logging,
        structuredOutput,
        pooler,
        tracing,
        measures,
        cluster);
  }

  /**
   * Which model to serve and how to read it.
   *
   * @param source directory, {@code gs://} prefix, Hub id, archive; empty: the embedded demo model
   * @param revision branch, tag or commit of a Hub repository; empty: its main branch
   * @param tokenizer the same as {@code source}; empty: the model's own
   * @param tokenizerRevision as {@code revision}
   * @param idAlias one more name for the model in requests
   * @param servedNames names asked for by the operator; empty: named after the source
   * @param maxModelLen tokens of prompt and answer together, empty: the largest that fits
   * @param chat how conversations become prompts
   * @param generationConfig empty: the model's own; {@code vllm}: none; else a directory
   * @param generationOverrides sampling defaults by their names in {@code generation_config.json}
   * @param configOverrides changes to {@code config.json}: a JSON object, its keys sorted, so that
   *     equal changes are equal texts; empty: none
   * @param loadFormat where the weights come from
   * @param seed seed of requests that bring none
   */
  public record Model(
      Optional<String> source,
      Optional<String> revision,
      Optional<String> idAlias,
      List<String> servedNames,
      Optional<String> tokenizer,
      Optional<String> tokenizerRevision,
      DataType dtype,
      LoadFormat loadFormat,
      OptionalInt maxModelLen,
      ChatConfig chat,
      Optional<String> generationConfig,
      Map<String, Double> generationOverrides,
      Optional<String> configOverrides,
      long seed,
      int logprobsMax) {
    public Model {
      servedNames = List.copyOf(servedNames);
      generationOverrides = Map.copyOf(generationOverrides);
    }

    /** Without what an address may hide. */
    @Override
    public String toString() {
      return "Model[source=" + source.map(Shown::text).orElse("demo") + ", dtype=" + dtype + "]";
    }
  }

  /**
   * How files are fetched from elsewhere, and where they are kept.
   *
   * @param directory of downloads that only this server reads
   * @param quotaBytes that those may take together; empty: nine tenths of what the disk has for
   *     them
   * @param streams connections of a download
   * @param allowedHosts {@code host:port} that may be asked by plain http and at private addresses
   */
  public record Artifacts(
      Path directory,
      OptionalLong quotaBytes,
      int streams,
      List<String> allowedHosts,
      Hub hub,
      Google google) {
    public Artifacts {
      allowedHosts = List.copyOf(allowedHosts);
    }
  }

  /**
   * The Hugging Face Hub.
   *
   * @param cache directory in the layout that Python's tools share
   * @param token secret; never log it
   * @param tokenFile is read where there is no token
   * @param offline whether only the cache is read
   */
  public record Hub(
      URI endpoint, Path cache, Optional<String> token, Path tokenFile, boolean offline) {

    /** Without the token. */
    @Override
    public String toString() {
      return "Hub[endpoint=" + endpoint + ", cache=" + cache + ", offline=" + offline + "]";
    }
  }

  /**
   * Google Cloud Storage.
   *
   * @param credentials file; empty: the machine's own, or none
   * @param emulator base of a server that is asked instead, without credentials
   * @param metadataHost of the machine's metadata server
   */
  public record Google(Optional<Path> credentials, Optional<URI> emulator, String metadataHost) {}

  /** Activation and cache precision asked for; {@code AUTO} follows the checkpoint. */
  public enum DataType {
    AUTO,
    FLOAT32,
    BFLOAT16,
    FLOAT16
  }

  /** {@code AUTO} reads the model's files; {@code DUMMY} makes weights up, to measure sizes. */
  public enum LoadFormat {
    AUTO,
    DUMMY
  }

  /**
   * KV cache sizes, and what is kept on the disk.
   *
   * @param blockTokens tokens per block
   * @param prefixCaching whether full blocks are kept and shared by content
   * @param kvBytes bytes for the KV cache, empty: chosen from free memory
   * @param blocksOverride exact number of blocks, empty: from {@code kvBytes}
   * @param directory where packed weights and the demo model are kept between runs
   * @param packedWeights whether the CPU backend keeps them
   * @param tiers what keeps prefixes that leave the KV cache
   */
  public record Cache(
      int blockTokens,
      boolean prefixCaching,
      OptionalLong kvBytes,
      OptionalInt blocksOverride,
      Path directory,
      PackedWeights packedWeights,
      PrefixTiers tiers) {

    private Cache withSharers(int models) {
      return new Cache(
          blockTokens,
          prefixCaching,
          kvBytes,
          blocksOverride,
          directory,
          packedWeights,
          tiers.withSharers(models));
    }
  }

  /**
   * Where prefixes are kept behind the KV cache.
   *
   * @param hostShare of idle host memory; 0: none
   * @param hostBytes wins over the share
   * @param minTokens of a sequence, from which on its blocks are kept
   * @param directory on the disk; empty: nothing is kept there
   * @param diskBytes that all models together may take in it
   * @param sharers models of this process that divide them among themselves
   */
  public record PrefixTiers(
      double hostShare,
      OptionalLong hostBytes,
      int minTokens,
      Optional<Path> directory,
      long diskBytes,
      int sharers) {

    /** None. */
    public static final PrefixTiers NONE =
        new PrefixTiers(0, OptionalLong.empty(), 1024, Optional.empty(), 64L << 30, 1);

    private PrefixTiers withSharers(int models) {
      return new PrefixTiers(hostShare, hostBytes, minTokens, directory, diskBytes, models);
    }

    /** Whether any is asked for. */
    public boolean isWanted() {
      return hostShare > 0 || hostBytes.orElse(0) > 0 || directory.isPresent();
    }
  }

  /** {@code AUTO} keeps those of models that take longer to pack than to write. */
  public enum PackedWeights {
    AUTO,
    OFF
  }

  /**
   * What one step may hold.
   *
   * @param batchedTokensMax token budget of a step
   * @param sequencesMax sequences running at once
   * @param longPrefillTokens most tokens of one prompt in a step, 0: no bound below the budget
   * @param planAhead whether a step is planned while the one before it runs; empty: where it helps
   */
  public record Scheduling(
      int batchedTokensMax,
      int sequencesMax,
      int longPrefillTokens,
      Policy policy,
      Optional<Boolean> planAhead) {}

  /** Order in which waiting requests are served. */
  public enum Policy {
    FCFS,
    PRIORITY
  }

  /**
   * LoRA adapters.
   *
   * @param enabled whether there is room for any
   * @param slots adapters that a step may have
   * @param hostRooms adapters that host memory may have, at least {@code slots}
   * @param rankMax largest rank
   * @param modules served from the start
   * @param changeable whether requests may add and remove names
   */
  public record Adapters(
      boolean enabled,
      int slots,
      int hostRooms,
      int rankMax,
      List<AdapterModule> modules,
      boolean changeable,
      AdapterSources sources) {
    public Adapters {
      modules = List.copyOf(modules);
    }
  }

  /**
   * An adapter that the operator names.
   *
   * @param name by which requests ask for it
   * @param source directory, {@code gs://} prefix, Hub id or address of an archive
   * @param baseModel shown as its parent; empty: the model that is served
   */
  public record AdapterModule(String name, String source, Optional<String> baseModel) {

    /** Without what an address may hide. */
    @Override
    public String toString() {
      return "AdapterModule[" + Shown.text(name) + "]";
    }
  }

  /**
   * Who computes.
   *
   * @param threads compute threads of the CPU backend, empty: the physical cores
   * @param kernels instructions that the CPU backend computes with
   * @param quantization of weights at load
   * @param kvFormat of keys and values in the cache
   * @param gpu how a GPU is used, if one is
   * @param ranks that share each layer of the model, at least 1
   * @param engines with a whole model each, at least 1
   * @param nullStep time that a step of the null backend takes
   */
  public record Backend(
      BackendKind kind,
      OptionalInt threads,
      CpuKernels kernels,
      Quantization quantization,
      KvFormat kvFormat,
      Gpu gpu,
      int ranks,
      int engines,
      Duration nullStep) {}

  /**
   * How a GPU is used.
   *
   * @param memoryShare of all its memory that weights, activations and cache may take together
   * @param eager whether every operation is launched by itself, no step captured
   * @param devices of the ranks, by their numbers among those that the driver shows; empty: the
   *     first ones
   */
  public record Gpu(double memoryShare, boolean eager, List<Integer> devices) {
    public Gpu {
      devices = List.copyOf(devices);
    }
  }

  /** {@code AUTO} takes the first of the others that the machine and the build have. */
  public enum CpuKernels {
    AUTO,
    AMX,
    AVX512,
    AVX2,
    NEON,
    JAVA
  }

  /** Numbers of the KV cache; {@code OWN} are those that the backend computes with. */
  public enum KvFormat {
    OWN,
    FP8
  }

  /** Bits of a weight where it is not stored as it is. */
  public enum Quantization {
    NONE,
    FP8,
    INT8,
    INT4
  }

  /** {@code AUTO} takes CUDA where a device is found, else the CPU. */
  public enum BackendKind {
    AUTO,
    CPU,
    CUDA,
    NULL
  }

  /** Whose shapes answers have where vLLM's versions differ. */
  public enum ApiDialect {
    /** vLLM 0.9's. */
    V0_9,
    /** Those since then. */
    V1
  }

  /**
   * The listening socket and how answers look.
   *
   * @param apiKeys secret; empty: everybody may call
   * @param adminKeys secret; empty: there are no administrative routes
   * @param rootPath prefix that a proxy in front removes, without a slash at its end
   * @param storeResponses whether complete answers of the Responses API are kept for a while
   * @param tellsLoad whether {@code /load} says more than 0
   * @param apiPages whether the API describes itself ({@code /openapi.json}, {@code /docs})
   * @param logStats whether statistics lines are logged; {@code /metrics} is there in any case
   */
  public record Http(
      String host,
      int port,
      List<String> apiKeys,
      List<String> adminKeys,
      String rootPath,
      List<String> allowedOrigins,
      String responseRole,
      boolean requestIdHeaders,
      boolean forceIncludeUsage,
      boolean promptTokensDetails,
      AnswerDefaults answers,
      boolean trustRequestChatTemplate,
      boolean storeResponses,
      boolean tellsLoad,
      boolean apiPages,
      ApiDialect dialect,
      boolean logStats) {
    public Http {
      apiKeys = List.copyOf(apiKeys);
      adminKeys = List.copyOf(adminKeys);
      allowedOrigins = List.copyOf(allowedOrigins);
    }

    private Http withPort(int newPort) {
      return new Http(
          host,
          newPort,
          apiKeys,
          adminKeys,
          rootPath,
          allowedOrigins,
          responseRole,
          requestIdHeaders,
          forceIncludeUsage,
          promptTokensDetails,
          answers,
          trustRequestChatTemplate,
          storeResponses,
          tellsLoad,
          apiPages,
          dialect,
          logStats);
    }

    /** Without the keys. */
    @Override
    public String toString() {
      return "Http[" + host + ":" + port + ", " + apiKeys.size() + " keys]";
    }
  }

  /**
   * What is read out of the text of chat answers.
   *
   * @param autoToolChoice whether a model may decide by itself to call a tool
   * @param toolParser format of its calls, empty: known of the embedded model, which may then call
   *     without being allowed to; those of other models are not looked for
   * @param reasoningParser format of its reasoning, empty: it stays in the text
   * @param reasoningEnd what is said where it is too long; empty: the format's own mark
   * @param hideUncallableTools whether the template sees no tools where none may be called
   */
  public record Parsing(
      boolean autoToolChoice,
      Optional<String> toolParser,
      Optional<String> reasoningParser,
      String reasoningEnd,
      boolean hideUncallableTools) {}

  /**
   * Vertex AI's custom-container contract: the {@code AIP_*} environment.
   *
   * @param active whether Vertex AI runs this container
   */
  public record Vertex(
      boolean active,
      Optional<String> predictRoute,
      Optional<String> healthRoute,
      Optional<String> storageUri) {}

  /**
   * How answers that must be JSON look, where requests do not say.
   *
   * @param isCompact no space but one behind each comma and colon
   * @param isClosed objects have no properties that their schema does not name
   * @param holdsThoughts whether what a model thinks is held to the request's form too
   */
  public record StructuredOutput(boolean isCompact, boolean isClosed, boolean holdsThoughts) {}
}
