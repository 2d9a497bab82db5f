package io.verdier.conf;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.verdier.conf.ServerConfig.ApiDialect;
import io.verdier.conf.ServerConfig.BackendKind;
import io.verdier.conf.ServerConfig.CpuKernels;
import io.verdier.conf.ServerConfig.DataType;
import io.verdier.conf.ServerConfig.KvFormat;
import io.verdier.conf.ServerConfig.LoadFormat;
import io.verdier.conf.ServerConfig.PackedWeights;
import io.verdier.conf.ServerConfig.Policy;
import io.verdier.conf.ServerConfig.Quantization;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.stream.Stream;

/**
 * Fills the records from the settings: the one place that says which flag becomes which value.
 * Owned by the thread that loads.
 */
final class Assembler {
  /** The sampling defaults that a generation config can carry, as vLLM reads them. */
  private static final List<String> GENERATION_KEYS =
      List.of("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_new_tokens");

  private final Settings settings;
  private final CacheDirectory directories;
  private final Findings findings;

  Assembler(Settings settings, CacheDirectory directories, Findings findings) {
    this.settings = settings;
    this.directories = directories;
    this.findings = findings;
  }

  ServerConfig config() {
    return new ServerConfig(
        model(),
        artifacts(),
        cache(),
        scheduling(),
        adapters(),
        backend(),
        http(),
        parsing(),
        vertex(),
        limits(),
        logging(),
        structuredOutput(),
        new PoolerFlags(settings, findings).pooler(),
        new TracingFlags(settings, findings).read(),
        measures(),
        new ClusterFlags(settings, findings).cluster());
  }

  private ServerConfig.Model model() {
    return new ServerConfig.Model(
        settings.optionalText("--model").or(() -> settings.optionalText("--aip-storage-uri")),
        settings.optionalText("--revision"),
        settings.optionalText("--model-id"),
        settings.list("--served-model-name"),
        settings.optionalText("--tokenizer"),
        settings.optionalText("--tokenizer-revision"),
        dataType(settings.text("--dtype")),
        settings.text("--load-format").equals("dummy") ? LoadFormat.DUMMY : LoadFormat.AUTO,
        optionalWhole("--max-model-len"),
        new ChatFlags(settings, findings).chat(),
        settings.optionalText("--generation-config"),
        generationOverrides(),
        new OverrideFlags(settings, findings).read(),
        settings.number("--seed"),
        settings.whole("--max-logprobs"));
  }

  private static DataType dataType(String word) {
    return switch (word) {
      case "half", "float16" -> DataType.FLOAT16;
      case "bfloat16" -> DataType.BFLOAT16;
      case "float", "float32" -> DataType.FLOAT32;
      case "auto" -> DataType.AUTO;
      default -> throw new IllegalStateException("the table allows dtype " + word);
    };
  }

  private Map<String, Double> generationOverrides() {
    String flag = "--override-generation-config";
    Optional<JsonNode> given = settings.json(flag);
    if (given.isEmpty()) {
      return Map.of();
    }
    if (!(given.get() instanceof ObjectNode object)) {
      findings.problem(
          settings.origin(flag), flag + ": must be a JSON object, as {\"temperature\": 0.6}");
      return Map.of();
    }
    Map<String, Double> overrides = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> entry : object.properties()) {
      String key = entry.getKey();
      if (!GENERATION_KEYS.contains(key)) {
        String hint = Nearest.hint(key, GENERATION_KEYS);
        findings.notice(flag + ": key " + Shown.text(key) + " has no effect" + hint);
      } else if (entry.getValue().isNumber()) {
        overrides.put(key, entry.getValue().doubleValue());
      } else {
        String value = Shown.text(entry.getValue().toString());
        findings.problem(
            settings.origin(flag), flag + ": " + key + " must be a number, not " + value);
      }
    }
    return overrides;
  }

  private ServerConfig.Cache cache() {
    Optional<Long> bytes = settings.optionalNumber("--kv-cache-memory-bytes");
    return new ServerConfig.Cache(
        settings.whole("--block-size"),
        settings.on("--enable-prefix-caching"),
        bytes.map(OptionalLong::of).orElse(OptionalLong.empty()),
        optionalWhole("--num-gpu-blocks-override"),
        cacheDirectory(),
        PackedWeights.valueOf(constant("--packed-weights")),
        prefixTiers());
  }

  /** vLLM's flag keeps prefixes of every length, Vertex AI's only long ones. */
  private ServerConfig.PrefixTiers prefixTiers() {
    boolean gigabytes = settings.given("--kv-offloading-size");
    String shortest = "--host-prefix-kv-cache-min-len";
    double bytes = gigabytes ? settings.real("--kv-offloading-size") * (1L << 30) : 0;
    return new ServerConfig.PrefixTiers(
        settings.real("--host-prefix-kv-cache-utilization-target"),
        gigabytes ? OptionalLong.of((long) bytes) : OptionalLong.empty(),
        gigabytes && !settings.given(shortest) ? 0 : settings.whole(shortest),
        path("--prefix-cache-dir"),
        settings.number("--prefix-cache-size"),
        1);
  }

  private Path cacheDirectory() {
    return path("--cache-dir").orElse(directories.path());
  }

  /** Empty where the flag was not given, or is wrong, which is said. */
  private Optional<Path> path(String flag) {
    try {
      return settings.optionalText(flag).map(it -> Path.of(it).toAbsolutePath().normalize());
    } catch (InvalidPathException e) {
      findings.problem(settings.origin(flag), flag + ": not a path");
      return Optional.empty();
    }
  }

  private ServerConfig.Artifacts artifacts() {
    Optional<Path> downloads = path("--download-dir");
    Path home = path("--hf-home").orElse(directories.hubHome(cacheDirectory()));
    Optional<Long> quota = settings.optionalNumber("--download-quota");
    return new ServerConfig.Artifacts(
        downloads.orElse(cacheDirectory()).resolve("artifacts"),
        quota.map(OptionalLong::of).orElse(OptionalLong.empty()),
        settings.whole("--download-streams"),
        allowedHosts(),
        new ServerConfig.Hub(
            address("--hf-endpoint").orElse(URI.create("https://huggingface.co")),
            downloads.or(() -> path("--hf-hub-cache")).orElse(home.resolve("hub")),
            settings.optionalText("--hf-token"),
            path("--hf-token-path").orElse(home.resolve("token")),
            settings.on("--hf-hub-offline")),
        new ServerConfig.Google(
            path("--google-application-credentials").or(directories::gcloudCredentials),
            address("--storage-emulator-host"),
            settings.text("--gce-metadata-host")));
  }

  private List<String> allowedHosts() {
    String flag = "--allowed-outbound-hosts";
    List<String> hosts = settings.list(flag).stream().flatMap(Assembler::entries).toList();
    for (String host : hosts) {
      if (!host.matches("([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+]):[0-9]{1,5}")) {
        findings.problem(
            settings.origin(flag),
            flag + ": '" + Shown.text(host) + "' must be host:port, as cdn.example.org:443");
      }
    }
    return hosts;
  }

  /** Google's own variable may lack the scheme. */
  private Optional<URI> address(String flag) {
    Optional<String> text = settings.optionalText(flag);
    if (text.isEmpty()) {
      return Optional.empty();
    }
    try {
      URI address = new URI(text.get().contains("://") ? text.get() : "http://" + text.get());
      boolean web = List.of("http", "https").contains(String.valueOf(address.getScheme()));
      if (web && address.getHost() != null && address.getRawUserInfo() == null) {
        return Optional.of(address);
      }
    } catch (URISyntaxException malformed) {
      // Said below.
    }
    findings.problem(settings.origin(flag), flag + ": not an http or https address");
    return Optional.empty();
  }

  private ServerConfig.Scheduling scheduling() {
    return new ServerConfig.Scheduling(
        settings.whole("--max-num-batched-tokens"),
        settings.whole("--max-num-seqs"),
        settings.whole("--long-prefill-token-threshold"),
        Policy.valueOf(constant("--scheduling-policy")),
        settings.given("--async-scheduling")
            ? Optional.of(settings.on("--async-scheduling"))
            : Optional.empty());
  }

  private ServerConfig.Adapters adapters() {
    List<ServerConfig.AdapterModule> modules = new AdapterModules(settings, findings).read();
    int slots = settings.whole("--max-loras");
    int rooms = optionalWhole("--max-cpu-loras").orElse(Math.max(slots, modules.size()));
    List<String> sources =
        settings.list("--allowed-lora-sources").stream().flatMap(Assembler::entries).toList();
    return new ServerConfig.Adapters(
        settings.on("--enable-lora"),
        slots,
        rooms,
        settings.whole("--max-lora-rank"),
        modules,
        settings.on("--allow-runtime-lora-updating"),
        new AdapterSources(
            sources.isEmpty() ? List.of("gs://", "hf://", "https://") : sources,
            settings.number("--max-lora-size"),
            settings.duration("--lora-fetch-timeout")));
  }

  private ServerConfig.Backend backend() {
    return new ServerConfig.Backend(
        BackendKind.valueOf(constant("--backend")),
        optionalWhole("--threads"),
        CpuKernels.valueOf(constant("--cpu-kernels")),
        quantization(settings.text("--quantization")),
        settings.text("--kv-cache-dtype").startsWith("fp8") ? KvFormat.FP8 : KvFormat.OWN,
        new ServerConfig.Gpu(memoryShare(), settings.on("--enforce-eager"), devices()),
        Math.max(1, settings.whole("--tensor-parallel-size")),
        engines(),
        settings.duration("--null-step-ms"));
  }

  /** Three names for the same; whoever gives several of them means all. */
  private int engines() {
    return Math.max(1, settings.whole("--data-parallel-size"))
        * settings.whole("--num-instances")
        * settings.whole("--model-replicas");
  }

  private double memoryShare() {
    return settings.given("--gpu-memory-partition")
        ? settings.real("--gpu-memory-partition")
        : settings.real("--gpu-memory-utilization");
  }

  private List<Integer> devices() {
    List<Integer> devices = new ArrayList<>();
    for (String text :
        settings.list("--device-ids").stream().flatMap(Assembler::entries).toList()) {
      if (!text.matches("[0-9]{1,4}") || devices.contains(Integer.valueOf(text))) {
        findings.problem(
            settings.origin("--device-ids"),
            "--device-ids: '" + Shown.text(text) + "' must be a device's number, and named once");
        return List.of();
      }
      devices.add(Integer.valueOf(text));
    }
    return devices;
  }

  /** vLLM separates them by commas, CUDA_VISIBLE_DEVICES does too. */
  private static Stream<String> entries(String text) {
    return Stream.of(text.split(",", -1)).map(String::strip);
  }

  /** Names of methods that only quantized checkpoints have are said to have no effect. */
  private static Quantization quantization(String method) {
    return switch (method) {
      case "fp8" -> Quantization.FP8;
      case "int8" -> Quantization.INT8;
      case "int4" -> Quantization.INT4;
      default -> Quantization.NONE;
    };
  }

  private ServerConfig.Http http() {
    return new ServerConfig.Http(
        settings.text("--host"),
        settings.whole("--port"),
        settings.list("--api-key"),
        settings.list("--admin-api-key"),
        rootPath(),
        settings.list("--allowed-origins"),
        settings.text("--response-role"),
        settings.on("--enable-request-id-headers"),
        settings.on("--enable-force-include-usage"),
        settings.on("--enable-prompt-tokens-details"),
        new AnswerDefaults(
            settings.on("--return-tokens-as-token-ids"), settings.whole("--stream-interval")),
        settings.on("--trust-request-chat-template"),
        settings.on("--enable-responses-api-store"),
        settings.on("--enable-server-load-tracking"),
        !settings.on("--disable-fastapi-docs"),
        settings.text("--api-dialect").equals("v0.9") ? ApiDialect.V0_9 : ApiDialect.V1,
        !settings.on("--disable-log-stats"));
  }

  /** Without a slash at the end, so that routes can be appended. */
  private String rootPath() {
    String path = settings.optionalText("--root-path").orElse("");
    return path.endsWith("/") ? path.substring(0, path.length() - 1) : path;
  }

  private ServerConfig.Parsing parsing() {
    String toolParser = settings.text("--tool-call-parser");
    ReasoningFlags reasoning = new ReasoningFlags(settings, findings);
    return new ServerConfig.Parsing(
        settings.on("--enable-auto-tool-choice"),
        toolParser.equals("auto") ? Optional.empty() : Optional.of(toolParser),
        reasoning.parser(),
        reasoning.end(),
        settings.on("--exclude-tools-when-tool-choice-none"));
  }

  private ServerConfig.Vertex vertex() {
    return new ServerConfig.Vertex(
        settings.optionalText("--aip-mode").map("PREDICTION"::equalsIgnoreCase).orElse(false),
        settings.optionalText("--aip-predict-route"),
        settings.optionalText("--aip-health-route"),
        settings.optionalText("--aip-storage-uri"));
  }

  private Limits limits() {
    return new Limits(
        settings.whole("--max-header-bytes"),
        settings.number("--max-body-bytes"),
        settings.whole("--max-json-depth"),
        settings.whole("--max-json-nodes"),
        settings.whole("--max-messages"),
        settings.whole("--max-prompts"),
        settings.whole("--max-choices"),
        settings.whole("--max-stop-strings"),
        settings.whole("--max-stop-string-chars"),
        settings.whole("--max-logit-bias"),
        settings.whole("--max-tools"),
        settings.whole("--max-queued-requests"),
        Integer.parseInt(settings.text("--overload-status")),
        settings.whole("--max-stream-buffer-bytes"),
        settings.duration("--header-timeout"),
        settings.duration("--body-idle-timeout"),
        settings.duration("--keep-alive-timeout"),
        settings.duration("--request-timeout"),
        settings.duration("--drain-timeout"),
        settings.number("--max-template-steps"),
        settings.whole("--max-template-chars"),
        settings.whole("--max-stored-responses"),
        settings.number("--max-stored-response-bytes"),
        settings.duration("--stored-response-time"));
  }

  private LoggingConfig logging() {
    LoggingConfig.Level level =
        switch (settings.text("--log-level")) {
          case "trace" -> LoggingConfig.Level.TRACE;
          case "debug" -> LoggingConfig.Level.DEBUG;
          case "warn", "warning" -> LoggingConfig.Level.WARN;
          case "error", "critical" -> LoggingConfig.Level.ERROR;
          default -> LoggingConfig.Level.INFO;
        };
    return new LoggingConfig(level, LoggingConfig.Format.valueOf(constant("--log-format")));
  }

  private MeasureConfig measures() {
    return new MeasureConfig(
        settings.on("--kv-cache-metrics"),
        settings.real("--kv-cache-metrics-sample"),
        settings.on("--enable-mfu-metrics"));
  }

  private ServerConfig.StructuredOutput structuredOutput() {
    return new ServerConfig.StructuredOutput(
        structuredOutput("disable_any_whitespace")
            || settings.on("--guided-decoding-disable-any-whitespace"),
        structuredOutput("disable_additional_properties")
            || settings.on("--guided-decoding-disable-additional-properties"),
        structuredOutput("enable_in_reasoning"));
  }

  /** A switch of the flag that has several. */
  private boolean structuredOutput(String key) {
    String flag = "--structured-outputs-config";
    Optional<JsonNode> given = settings.json(flag);
    if (given.isEmpty()) {
      return false;
    }
    JsonNode value = given.get().path(key);
    if (!given.get().isObject() || !(value.isMissingNode() || value.isBoolean())) {
      findings.problem(
          settings.origin(flag),
          flag + ": must be a JSON object in which " + key + " is true or false");
    }
    return value.asBoolean(false);
  }

  private String constant(String flag) {
    return settings.text(flag).toUpperCase(Locale.ROOT);
  }

  private OptionalInt optionalWhole(String flag) {
    Optional<Long> number = settings.optionalNumber(flag);
    return number.isPresent() ? OptionalInt.of(Math.toIntExact(number.get())) : OptionalInt.empty();
  }
}
