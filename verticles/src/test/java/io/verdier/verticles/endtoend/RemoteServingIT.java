package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.artifact.ArtifactStore;
import io.verdier.cache.artifact.DownloadProgress;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.verticles.bus.ResolveModel;
import io.verdier.verticles.cache.ModelFiles;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model that is fetched serves the very tokens that the same files on the disk do. */
class RemoteServingIT {
  private static final String GCS = "gs://bucket/models/demo";
  private static final int CASES = 4;
  @TempDir Path directory;
  private final ModelCloud cloud = new ModelCloud();

  @AfterEach
  void stop() {
    cloud.close();
  }

  private InProcessServer start(String... flags) {
    return InProcessServer.start(flags(flags));
  }

  private String[] flags(String... flags) {
    List<String> all = new ArrayList<>(List.of(flags));
    all.add("--storage-emulator-host=" + cloud.endpoint());
    all.add("--hf-endpoint=" + cloud.endpoint());
    all.add("--cache-dir=" + directory);
    all.add("--download-dir=" + directory.resolve("downloads"));
    return all.toArray(String[]::new);
  }

  @Test
  void model_ofCloudStorage_servesGoldenTokensAndIsFetchedOnce() {
    try (InProcessServer server = start("--model=" + GCS)) {
      requireGolden(server, GCS);
    }
    long sent = cloud.bytesSent.get();
    try (InProcessServer server = start("--aip-storage-uri=" + GCS + "/")) {
      requireGolden(server, GCS + "/");
    }
    assertThat(cloud.bytesSent.get()).isEqualTo(sent);
  }

  /** Each has a store of its own over one directory, and the second finds what the first uses. */
  @Test
  void models_ofOneProcess_shareWhatIsFetched() throws IOException {
    try (InProcessServer server =
        start(
            "python",
            "-m",
            "vllm.entrypoints.model_cohost_server",
            "--model=" + GCS + "," + GCS,
            "--served-model-name=one,other",
            "--max-model-len=256",
            "--backend=cpu",
            "--threads=1")) {
      Client client = new Client(server.baseUrl());
      List<String> texts = new ArrayList<>();
      for (String name : List.of("one", "other")) {
        Client.Answer answer =
            client.post(
                "/v1/completions",
                Map.of("model", name, "prompt", "A bird", "temperature", 0, "max_tokens", 8));
        assertThat(answer.status()).as(answer.body()).isEqualTo(200);
        texts.add(answer.json().at("/choices/0/text").asText());
      }
      assertThat(texts.getFirst()).isNotEmpty().isEqualTo(texts.getLast());
    }
    try (var entries = Files.list(directory.resolve("downloads/artifacts"))) {
      assertThat(entries).hasSize(1);
    }
  }

  @Test
  void model_ofTheHub_servesGoldenTokensAndThenOffline() {
    try (InProcessServer server = start("--model=org/demo", "--revision=v1")) {
      requireGolden(server, "org/demo");
    }
    long sent = cloud.bytesSent.get();
    try (InProcessServer server = start("--model=org/demo", "--revision=v1", "--hf-hub-offline")) {
      requireGolden(server, "org/demo");
    }
    assertThat(cloud.bytesSent.get()).isEqualTo(sent);
    assertThat(directory.resolve("downloads/models--org--demo/refs/v1")).exists();
  }

  @Test
  void model_ofShards_servesGoldenTokens() {
    cloud.shard();
    for (String source : List.of(GCS, "org/demo")) {
      try (InProcessServer server = start("--model=" + source, "--revision=v1")) {
        requireGolden(server, source);
      }
    }
  }

  /** The second shard is not sent before the first one's layers are packed. */
  @Test
  void load_secondShardHeldBack_packsTheFirstMeanwhile() throws InterruptedException {
    cloud.shard();
    List<String> order = new CopyOnWriteArrayList<>();
    CountDownLatch packed = new CountDownLatch(ModelCloud.LAYERS_OF_FIRST);
    cloud.onAsked =
        name -> {
          if (name.equals(ModelCloud.SHARDS.getLast())) {
            order.add(await(packed) ? "second shard" : "nothing was packed without it");
          }
        };
    ServerConfig config = InProcessServer.config(flags("--model=" + GCS));
    ArtifactStore store =
        new ArtifactStore(config, getClass().getClassLoader(), DownloadProgress.SILENT);
    CompletableFuture<ResolveModel.Reply> early = new CompletableFuture<>();
    Thread fetching =
        Thread.ofVirtual().start(() -> new ModelFiles(store, config).resolve(early::complete));
    try (LoadedModel model =
        ModelLoader.load(
            early.join().model(),
            config,
            rank -> new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.VECTOR),
            (done, total) -> {
              order.add("layer " + done);
              packed.countDown();
            })) {
      fetching.join();
      assertThat(model.spec().layers()).isEqualTo(6);
    }
    assertThat(order)
        .containsExactly(
            "layer 1", "layer 2", "layer 3", "second shard", "layer 4", "layer 5", "layer 6");
  }

  private static boolean await(CountDownLatch latch) {
    try {
      return latch.await(20, TimeUnit.SECONDS);
    } catch (InterruptedException stopped) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  /** The first shard is being packed when the second one turns out not to be there. */
  @Test
  void model_ofShardsOneOfWhichIsGone_endsTheStartWithTheReason() {
    cloud.shard();
    cloud.gone = ModelCloud.SHARDS.getLast();
    assertThatThrownBy(() -> start("--model=" + GCS).close())
        .hasStackTraceContaining("--model " + GCS)
        .hasStackTraceContaining(cloud.gone);
    cloud.gone = "";
    try (InProcessServer server = start("--model=" + GCS)) {
      assertThat(new Client(server.baseUrl()).get("/health").status()).isEqualTo(200);
    }
  }

  @Test
  void tokenizer_ofCloudStorage_isFetchedWithoutWeights() {
    try (InProcessServer server = start("--tokenizer=" + GCS)) {
      requireGolden(server, "verdier-demo");
    }
    assertThat(cloud.asked).contains("tokenizer.json").doesNotContain("model.safetensors");
  }

  @Test
  void model_forTheNullBackend_isFetchedWithoutWeights() {
    try (InProcessServer server = start("--model=" + GCS, "--backend=null")) {
      assertThat(new Client(server.baseUrl()).get("/health").status()).isEqualTo(200);
    }
    assertThat(cloud.asked).contains("config.json").doesNotContain("model.safetensors");
  }

  @Test
  void model_ofWrongRevision_endsTheStartWithTheReason() {
    assertThatThrownBy(() -> start("--model=org/demo", "--revision=v2").close())
        .hasStackTraceContaining("--model org/demo: the repository has no branch, tag or commit v2")
        .hasStackTraceContaining("Correct --revision");
  }

  private static void requireGolden(InProcessServer server, String name) {
    Client client = new Client(server.baseUrl());
    assertThat(client.get("/v1/models").json().at("/data/0/id").asText()).isEqualTo(name);
    GoldenCase.all().stream().limit(CASES).forEach(golden -> golden.require(client));
  }
}
