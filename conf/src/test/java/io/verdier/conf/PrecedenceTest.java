package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PrecedenceTest {
  @TempDir Path directory;

  @Test
  void port_sourcesTakenAwayOneByOne_nextOneWins() throws IOException {
    Path file = Files.writeString(directory.resolve("v.yaml"), "port: 4\n");
    String config = "--config=" + file;
    Map<String, String> environment = new HashMap<>();
    environment.put("VERDIER_PORT", "2");
    environment.put("AIP_HTTP_PORT", "3");

    assertOrigin(Loading.loaded(environment, List.of(config, "--port=1")), 1, "argument 2");
    assertOrigin(
        Loading.loaded(environment, List.of(config)), 2, "environment variable VERDIER_PORT");
    environment.remove("VERDIER_PORT");
    assertOrigin(
        Loading.loaded(environment, List.of(config)), 3, "environment variable AIP_HTTP_PORT");
    environment.clear();
    assertOrigin(Loading.loaded(environment, List.of(config)), 4, file + ", key port");
    assertOrigin(Loading.loaded(), 8000, "default");
  }

  private static void assertOrigin(LoadResult.Loaded loaded, int port, String origin) {
    assertThat(loaded.config().http().port()).isEqualTo(port);
    LoadResult.Effective effective = Objects.requireNonNull(loaded.effective().get("--port"));
    assertThat(effective.value()).isEqualTo(String.valueOf(port));
    assertThat(effective.origin().text()).isEqualTo(origin);
  }

  @Test
  void config_namedByVariable_isRead() throws IOException {
    Path file = Files.writeString(directory.resolve("v.yaml"), "no-enable-prefix-caching: true\n");
    assertThat(Loading.config(Map.of("VERDIER_CONFIG", file.toString())).cache().prefixCaching())
        .isFalse();
  }

  @Test
  void port_differsFromPlatforms_isNoticedOnVertexOnly() {
    Map<String, String> vertex = Map.of("AIP_MODE", "PREDICTION", "AIP_HTTP_PORT", "8080");
    assertThat(Loading.loaded(vertex, List.of("--port=7080", "--model=m")).notices())
        .containsExactly(
            "--port 7080 differs from AIP_HTTP_PORT 8080: Vertex AI will not reach this server; use"
                + " the same port in both");
    assertThat(Loading.loaded(vertex, List.of("--port=8080", "--model=m")).notices()).isEmpty();
    assertThat(Loading.loaded(Map.of("AIP_HTTP_PORT", "8080"), List.of("--port=7080")).notices())
        .isEmpty();
  }

  @Test
  void model_storageUri_standsInForTheFlagOnly() {
    Map<String, String> environment =
        Map.of("AIP_STORAGE_URI", "gs://copy/model", "MODEL_ID", "org/name");
    ServerConfig.Model alone = Loading.config(environment).model();
    assertThat(alone.source()).contains("gs://copy/model");
    assertThat(alone.idAlias()).contains("org/name");
    assertThat(Loading.config(environment, "--model=m").model().source()).contains("m");
    assertThat(Loading.config(Map.of("MODEL_ID", "org/name")).model().source()).isEmpty();
    assertThat(Loading.config(Map.of("AIP_STORAGE_URI", "")).model().source()).isEmpty();
  }

  @Test
  void vertex_withoutAnyModel_isNoticed() {
    assertThat(Loading.loaded(Map.of("AIP_MODE", "PREDICTION"), List.of()).notices())
        .containsExactly(
            "neither --model nor AIP_STORAGE_URI names a model: the embedded demo model is served");
  }

  @Test
  void routes_ofThePlatform_areTaken() {
    ServerConfig.Vertex vertex =
        Loading.config(
                Map.of(
                    "AIP_PREDICT_ROUTE", "/v1/endpoints/1/deployedModels/2:predict",
                    "AIP_HEALTH_ROUTE", "/v1/endpoints/1/deployedModels/2"))
            .vertex();
    assertThat(vertex.predictRoute()).contains("/v1/endpoints/1/deployedModels/2:predict");
    assertThat(vertex.healthRoute()).contains("/v1/endpoints/1/deployedModels/2");
    assertThat(vertex.active()).isFalse();
  }

  @Test
  void foreignVariables_areHonoured() {
    ServerConfig config =
        Loading.config(
            Map.of(
                "HF_TOKEN", "first",
                "HUGGING_FACE_HUB_TOKEN", "second",
                "VLLM_API_KEY", "key",
                "VLLM_LOGGING_LEVEL", "WARNING",
                "VLLM_CPU_KVCACHE_SPACE", "4",
                "VLLM_HTTP_TIMEOUT_KEEP_ALIVE", "5"));
    assertThat(config.artifacts().hub().token()).contains("first");
    assertThat(config.http().apiKeys()).containsExactly("key");
    assertThat(config.logging().level()).isEqualTo(LoggingConfig.Level.WARN);
    assertThat(config.cache().kvBytes()).isEqualTo(OptionalLong.of(4L << 30));
    assertThat(config.limits().keepAliveTimeout()).isEqualTo(Duration.ofSeconds(5));
    assertThat(Loading.config(Map.of("HUGGING_FACE_HUB_TOKEN", "t")).artifacts().hub().token())
        .contains("t");
    assertThat(Loading.config(Map.of("VLLM_CPU_KVCACHE_SPACE", "0")).cache().kvBytes()).isEmpty();
  }

  @Test
  void variables_ofAKubernetesService_areIgnored() {
    LoadResult.Loaded loaded =
        Loading.loaded(
            Map.of("VERDIER_PORT", "tcp://10.0.0.1:8000", "VERDIER_SERVICE_HOST", "10.0.0.1"),
            List.of());
    assertThat(loaded.config().http().port()).isEqualTo(8000);
    assertThat(loaded.notices()).hasSize(1);
    assertThat(loaded.notices().getFirst()).startsWith("VERDIER_PORT is ignored: Kubernetes sets");
  }

  @Test
  void variable_misspelled_isNoticed() {
    assertThat(Loading.loaded(Map.of("VERDIER_MAX_NUM_SEQ", "3"), List.of()).notices())
        .containsExactly(
            "environment variable VERDIER_MAX_NUM_SEQ is unknown; did you mean"
                + " VERDIER_MAX_NUM_SEQS?");
  }

  @Test
  void flagWithoutEffect_fromElsewhere_namesItsOrigin() {
    assertThat(Loading.loaded(Map.of("VERDIER_FULLY_SHARDED_LORAS", "true"), List.of()).notices())
        .containsExactly(
            "--fully-sharded-loras has no effect: adapters are always split as the model is"
                + " (environment variable VERDIER_FULLY_SHARDED_LORAS)");
  }

  @Test
  void valuesThatLose_areNoticed() {
    assertThat(
            Loading.loaded(
                    "--max-num-batched-tokens=7",
                    "--kv-cache-memory-bytes=1G",
                    "--num-gpu-blocks-override=10",
                    "--null-step-ms=1",
                    "--backend=cuda",
                    "--threads=2")
                .notices())
        .containsExactly(
            "--max-num-batched-tokens 7 is less than --max-num-seqs 256: not every running sequence"
                + " gets a token in every step",
            "--kv-cache-memory-bytes has no effect: --num-gpu-blocks-override wins",
            "--null-step-ms has no effect without --backend null",
            "--threads has no effect without the CPU backend");
  }

  @Test
  void gpuFlags_withoutAGpu_areNoticed() {
    for (String kind : List.of("cpu", "null")) {
      assertThat(
              Loading.loaded("--backend", kind, "--gpu-memory-utilization=0.9", "--enforce-eager")
                  .notices())
          .containsExactly(
              "--gpu-memory-utilization has no effect without a GPU",
              "--enforce-eager has no effect without a GPU");
    }
    assertThat(Loading.loaded("--backend=cuda", "--enforce-eager").notices()).isEmpty();
  }

  @Test
  void exampleFile_loads() {
    LoadResult.Loaded loaded = Loading.loaded("--config", "examples/verdier.yaml");
    ServerConfig config = loaded.config();
    assertThat(loaded.notices()).isEmpty();
    assertThat(config.model().servedNames()).containsExactly("greenfinch", "default");
    assertThat(config.model().maxModelLen()).isEqualTo(OptionalInt.of(4096));
    assertThat(config.model().generationOverrides())
        .isEqualTo(Map.of("temperature", 0.7, "top_p", 0.95));
    assertThat(config.cache().kvBytes()).isEqualTo(OptionalLong.of(2L << 30));
    assertThat(config.http().allowedOrigins()).containsExactly("https://chat.example.org");
    assertThat(config.limits().overloadStatus()).isEqualTo(429);
    assertThat(config.limits().bodyBytesMax()).isEqualTo(8L << 20);
    assertThat(config.limits().drainTimeout()).isEqualTo(Duration.ofSeconds(20));
    assertThat(config.logging().format()).isEqualTo(LoggingConfig.Format.JSON);
  }

  @Test
  void hubCache_chain_isFollowed() {
    assertThat(hubCache(Map.of("XDG_CACHE_HOME", "/x"))).isEqualTo(Path.of("/x/huggingface/hub"));
    assertThat(hubCache(Map.of("HF_HOME", "/hf"))).isEqualTo(Path.of("/hf/hub"));
    assertThat(hubCache(Map.of("HF_HOME", "/hf", "HUGGINGFACE_HUB_CACHE", "/old")))
        .isEqualTo(Path.of("/old"));
    Map<String, String> both = Map.of("HF_HUB_CACHE", "/new", "HUGGINGFACE_HUB_CACHE", "/old");
    assertThat(hubCache(both)).isEqualTo(Path.of("/new"));
    assertThat(hubCache(both, "--download-dir=/d")).isEqualTo(Path.of("/d"));
    assertThat(Loading.config("--download-dir=/d").artifacts().directory())
        .isEqualTo(Path.of("/d/artifacts"));
  }

  private static Path hubCache(Map<String, String> environment, String... argv) {
    return Loading.config(environment, argv).artifacts().hub().cache();
  }

  @Test
  void artifactVariables_areHonoured() {
    ServerConfig.Artifacts artifacts =
        Loading.config(
                Map.of(
                    "HF_ENDPOINT", "https://mirror.example.org",
                    "HF_HUB_OFFLINE", "1",
                    "HF_TOKEN_PATH", "/t",
                    "STORAGE_EMULATOR_HOST", "localhost:4443",
                    "GOOGLE_APPLICATION_CREDENTIALS", "/key.json",
                    "GCE_METADATA_HOST", "127.0.0.1:8080"))
            .artifacts();
    assertThat(artifacts.hub().endpoint()).hasToString("https://mirror.example.org");
    assertThat(artifacts.hub().offline()).isTrue();
    assertThat(artifacts.hub().tokenFile()).isEqualTo(Path.of("/t"));
    assertThat(artifacts.google().emulator()).hasToString("Optional[http://localhost:4443]");
    assertThat(artifacts.google().credentials()).contains(Path.of("/key.json"));
    assertThat(artifacts.google().metadataHost()).isEqualTo("127.0.0.1:8080");
    assertThat(Loading.problems("--hf-endpoint=ftp://x").toString())
        .contains("--hf-endpoint: not an http or https address");
    assertThat(Loading.problems("--allowed-outbound-hosts=http://cdn").toString())
        .contains("'http://cdn' must be host:port");
  }

  @Test
  void cacheDirectory_chain_isFollowed() throws IOException {
    assertThat(Loading.config("--cache-dir=/tmp/x").cache().directory())
        .isEqualTo(Path.of("/tmp/x"));
    assertThat(Loading.config(Map.of("VERDIER_CACHE_DIR", "/c")).cache().directory())
        .isEqualTo(Path.of("/c"));
    assertThat(Loading.config(Map.of("XDG_CACHE_HOME", "/x", "HOME", "/h")).cache().directory())
        .isEqualTo(Path.of("/x/verdier"));
    assertThat(Loading.config(Map.of("HOME", directory.toString())).cache().directory())
        .isEqualTo(directory.resolve(".cache/verdier"));
    Path temporary = Loading.config(Map.of("HOME", "/does/not/exist")).cache().directory();
    assertThat(temporary.getFileName().toString()).startsWith("verdier-");
    assertThat(temporary.getParent()).isEqualTo(Path.of(System.getProperty("java.io.tmpdir")));
  }

  @Test
  void file_nullBackend_isTheBackendAndNotAnUnsetKey() throws IOException {
    Path file = Files.writeString(directory.resolve("v.yaml"), "backend: null\nport: null\n");
    ServerConfig config = Loading.config("--config", file.toString());
    assertThat(config.backend().kind()).isEqualTo(ServerConfig.BackendKind.NULL);
    assertThat(config.http().port()).isEqualTo(8000);
  }
}
