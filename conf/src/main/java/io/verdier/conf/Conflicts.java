package io.verdier.conf;

import io.verdier.conf.ServerConfig.BackendKind;
import io.verdier.conf.ServerConfig.Quantization;
import java.util.List;
import java.util.Map;

/**
 * What no single flag can know: values that do not fit together, and values that lose to others.
 * Owned by the thread that loads.
 */
final class Conflicts {
  private static final int ENGINES_MAX = 256;

  private final Settings settings;
  private final ServerConfig config;
  private final Findings findings;

  Conflicts(Settings settings, ServerConfig config, Findings findings) {
    this.settings = settings;
    this.config = config;
    this.findings = findings;
  }

  void find(Map<String, String> environment) {
    findInvalid();
    noticeVertex(environment.getOrDefault("AIP_HTTP_PORT", "").strip());
    noticeSizes();
    noticeBackend();
    noticeLoadFormat();
    noticeAdapters();
    noticeTiers();
  }

  private void findInvalid() {
    int blockTokens = config.cache().blockTokens();
    if (Integer.bitCount(blockTokens) != 1) {
      problem("--block-size", blockTokens + " is not a power of two; use 8, 16 or 32");
    }
    if (config.http().host().matches(".*[\\s/].*")) {
      problem("--host", "'" + Shown.text(config.http().host()) + "' is not a host or address");
    }
    if (config.http().apiKeys().stream().anyMatch(key -> !key.matches("[\\x21-\\x7e]+"))) {
      problem("--api-key", "a key holds a character that a header cannot carry");
    }
    if (config.http().adminKeys().stream().anyMatch(key -> !key.matches("[\\x21-\\x7e]+"))) {
      problem("--admin-api-key", "a key holds a character that a header cannot carry");
    }
    if (!config.http().rootPath().isEmpty()) {
      findBadPath("--root-path", config.http().rootPath());
    }
    if (settings.text("--kv-cache-dtype").equals("fp8_e5m2")) {
      problem("--kv-cache-dtype", "fp8_e5m2 is not there; fp8 (e4m3) is as small and more precise");
    }
    ServerConfig.Parsing parsing = config.parsing();
    boolean formatKnown = parsing.toolParser().isPresent() || config.model().source().isEmpty();
    if (parsing.autoToolChoice() && !formatKnown) {
      problem(
          "--enable-auto-tool-choice",
          "needs --tool-call-parser, the format in which the model writes its calls");
    }
    findTooFewDevices();
    findInvalidStages();
    Pooler.Runner runner = config.pooler().runner();
    boolean pools = runner == Pooler.Runner.POOLING || runner == Pooler.Runner.CLASSIFYING;
    if (pools && config.backend().kind() == BackendKind.NULL) {
      problem("--runner", "the null backend has no hidden states to pool");
    }
    ServerConfig.Adapters adapters = config.adapters();
    if (adapters.enabled() && adapters.hostRooms() < adapters.slots()) {
      problem(
          "--max-cpu-loras",
          "%d is less than --max-loras %d: what a slot has lies in host memory, too"
              .formatted(adapters.hostRooms(), adapters.slots()));
    }
    for (String source : adapters.sources().allowed()) {
      if (!source.matches("/.*|(gs|hf|https?)://.*")) {
        problem(
            "--allowed-lora-sources",
            "'%s' must begin with gs://, hf://, https:// or / (a directory)"
                .formatted(Shown.text(source)));
      }
    }
    config.vertex().predictRoute().ifPresent(path -> findBadPath("--aip-predict-route", path));
    config.vertex().healthRoute().ifPresent(path -> findBadPath("--aip-health-route", path));
  }

  private void findTooFewDevices() {
    int ranks = config.backend().ranks();
    int engines = config.backend().engines();
    String of = engines == 1 ? "" : " of %d engines".formatted(engines);
    if (engines > ENGINES_MAX) {
      problem(
          List.of("--num-instances", "--model-replicas", "--data-parallel-size").stream()
              .filter(settings::given)
              .findFirst()
              .orElseThrow(),
          "%d engines are asked for; a process has at most %d".formatted(engines, ENGINES_MAX));
    }
    int devices = config.backend().gpu().devices().size();
    if (devices > 0 && devices < (long) engines * ranks) {
      problem(
          "--device-ids",
          "%d for --tensor-parallel-size %d%s; each rank needs a device of its own"
              .formatted(devices, ranks, of));
    }
    long total = settings.optionalNumber("--total-gpus").orElse(0L);
    if (total > 0 && total < (long) engines * ranks) {
      problem(
          "--total-gpus",
          "%d for --tensor-parallel-size %d%s; each rank needs a GPU of its own"
              .formatted(total, ranks, of));
    }
  }

  /** Who has which layers of the model. */
  private void findInvalidStages() {
    int devices = config.backend().gpu().devices().size();
    int ranks = config.backend().ranks();
    PipelineConfig pipeline = config.cluster().pipeline();
    if (!pipeline.isWanted()) {
      return;
    }
    if (devices > 0 && devices < pipeline.stagesHere()) {
      problem(
          "--device-ids",
          "%d for %d stages of the model on this node; each needs a device of its own"
              .formatted(devices, pipeline.stagesHere()));
    }
    if (ranks > 1) {
      problem(
          "--pipeline-parallel-size",
          "%d with --tensor-parallel-size %d: stages of several ranks are not there yet; give one of the two"
              .formatted(pipeline.stages(), ranks));
    }
    if (config.backend().engines() > 1) {
      problem(
          "--pipeline-parallel-size",
          "%d with %d engines in this process: engines in stages are not there yet; give one of the two"
              .formatted(pipeline.stages(), config.backend().engines()));
    }
    if (config.adapters().enabled()) {
      problem(
          "--pipeline-parallel-size",
          pipeline.stages()
              + " with --enable-lora: adapters of several stages are not there yet; give one of the"
              + " two");
    }
    if (pipeline.spansNodes() && config.backend().kind() == BackendKind.NULL) {
      problem("--nnodes", "the null backend has no layers that other nodes could have");
    }
  }

  private void findBadPath(String flag, String path) {
    if (!path.startsWith("/") || path.matches(".*[\\s?#].*")) {
      String shown = Shown.text(path);
      problem(flag, "'" + shown + "' must start with / and hold no blank, ? or #");
    }
  }

  private void problem(String flag, String message) {
    findings.problem(settings.origin(flag), flag + ": " + message);
  }

  private void noticeVertex(String platformPort) {
    boolean active = config.vertex().active();
    String port = String.valueOf(config.http().port());
    if (active && !platformPort.isEmpty() && !platformPort.equals(port)) {
      findings.notice(
          "--port "
              + port
              + " differs from AIP_HTTP_PORT "
              + Shown.text(platformPort)
              + ": Vertex AI will not reach this server; use the same port in both");
    }
    boolean storage = config.vertex().storageUri().isPresent();
    if (settings.given("--model") && storage) {
      findings.notice("AIP_STORAGE_URI is not read because --model is given");
    }
    if (active && config.model().source().isEmpty()) {
      findings.notice(
          "neither --model nor AIP_STORAGE_URI names a model: the embedded demo model is served");
    }
  }

  private void noticeSizes() {
    int tokens = config.scheduling().batchedTokensMax();
    int sequences = config.scheduling().sequencesMax();
    if (tokens < sequences) {
      findings.notice(
          "--max-num-batched-tokens "
              + tokens
              + " is less than --max-num-seqs "
              + sequences
              + ": not every running sequence gets a token in every step");
    }
    boolean bytes = config.cache().kvBytes().isPresent();
    if (bytes && config.cache().blocksOverride().isPresent()) {
      findings.notice("--kv-cache-memory-bytes has no effect: --num-gpu-blocks-override wins");
    }
  }

  private void noticeBackend() {
    BackendKind kind = config.backend().kind();
    if (settings.given("--null-step-ms") && kind != BackendKind.NULL) {
      findings.notice("--null-step-ms has no effect without --backend null");
    }
    if (config.backend().ranks() > 1 && kind == BackendKind.NULL) {
      findings.notice("--tensor-parallel-size has no effect with the null backend");
    }
    if (config.cluster().pipeline().isWanted() && kind == BackendKind.NULL) {
      findings.notice("--pipeline-parallel-size has no effect with the null backend");
    }
    boolean gpu = List.of(BackendKind.AUTO, BackendKind.CUDA).contains(kind);
    if (settings.given("--device-ids") && !gpu) {
      findings.notice("--device-ids has no effect without a GPU");
    }
    boolean cpu = List.of(BackendKind.AUTO, BackendKind.CPU).contains(kind);
    for (String flag : List.of("--gpu-memory-utilization", "--enforce-eager")) {
      if (settings.given(flag) && List.of(BackendKind.CPU, BackendKind.NULL).contains(kind)) {
        findings.notice(flag + " has no effect without a GPU");
      }
    }
    if (kind == BackendKind.CPU && config.scheduling().planAhead().orElse(false)) {
      findings.notice(
          "--async-scheduling gains nothing with --backend cpu: a step is computed when it is"
              + " begun, and its tokens then wait for the next one");
    }
    if (settings.given("--threads") && !cpu) {
      findings.notice("--threads has no effect without the CPU backend");
    }
    if (settings.given("--cpu-kernels") && !cpu) {
      findings.notice("--cpu-kernels has no effect without the CPU backend");
    }
    if (settings.given("--packed-weights") && !cpu) {
      findings.notice("--packed-weights has no effect without the CPU backend");
    }
    String method = settings.text("--quantization");
    if (!method.equals("none") && config.backend().quantization() == Quantization.NONE) {
      findings.notice(
          "--quantization "
              + method
              + " has no effect: weights must be float32, bfloat16 or float16;"
              + " fp8, int8 and int4 quantize them at load");
    }
  }

  private void noticeAdapters() {
    if (config.adapters().enabled()) {
      if (config.backend().kind() == BackendKind.NULL) {
        findings.notice("--enable-lora has no effect with the null backend");
      }
      return;
    }
    for (String flag :
        List.of(
            "--max-loras",
            "--max-cpu-loras",
            "--max-lora-rank",
            "--lora-modules",
            "--allow-runtime-lora-updating",
            "--allowed-lora-sources",
            "--max-lora-size",
            "--lora-fetch-timeout")) {
      if (settings.given(flag)) {
        findings.notice(flag + " has no effect without --enable-lora");
      }
    }
  }

  private void noticeTiers() {
    List<String> flags =
        List.of(
            "--host-prefix-kv-cache-utilization-target",
            "--kv-offloading-size",
            "--prefix-cache-dir");
    ServerConfig.PrefixTiers tiers = config.cache().tiers();
    for (String flag : flags) {
      if (settings.given(flag) && tiers.isWanted() && !config.cache().prefixCaching()) {
        findings.notice(flag + " has no effect with --no-enable-prefix-caching");
      } else if (settings.given(flag) && config.backend().kind() == BackendKind.NULL) {
        findings.notice(flag + " has no effect with the null backend");
      } else if (settings.given(flag) && config.cluster().pipeline().isWanted()) {
        findings.notice(
            flag
                + " has no effect with --pipeline-parallel-size above 1 yet: prefixes are kept in"
                + " the KV cache alone");
      }
    }
    if (settings.given("--kv-offloading-size")
        && settings.given("--host-prefix-kv-cache-utilization-target")) {
      findings.notice(
          "--host-prefix-kv-cache-utilization-target has no effect: --kv-offloading-size wins");
    }
    if (settings.given("--prefix-cache-size") && tiers.directory().isEmpty()) {
      findings.notice("--prefix-cache-size has no effect without --prefix-cache-dir");
    }
  }

  private void noticeLoadFormat() {
    String format = settings.text("--load-format");
    if (!List.of("auto", "safetensors", "dummy").contains(format)) {
      findings.notice(
          "--load-format " + format + " has no effect: the model's safetensors files are read");
    }
  }
}
