package io.verdier.cache.artifact;

import static io.verdier.cache.artifact.RemoteFixture.GCS;
import static io.verdier.cache.artifact.RemoteFixture.HUB;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.artifact.FakeCloud.Fault;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Adapters of the Hub and of Cloud Storage: where they are looked for, and what is there then. */
class RemoteAdapterTest {
  private static final String WEIGHTS = "adapter_model.safetensors";

  @TempDir Path directory;
  private RemoteFixture fixture;
  private FakeCloud cloud;

  @BeforeEach
  void start() {
    fixture = new RemoteFixture(directory);
    cloud = fixture.cloud;
    cloud.files.clear();
    cloud.files.put("adapter_config.json", "{\"r\": 8}".getBytes(StandardCharsets.UTF_8));
    cloud.files.put(WEIGHTS, RemoteFixture.bytes(5, 70_000));
  }

  @AfterEach
  void stop() {
    fixture.close();
  }

  private static ArtifactUri uri(String name) {
    return name.equals("gcs") ? GCS : HUB;
  }

  /** Full weights beside an adapter, as trainers leave them, are not the adapter's. */
  @Test
  void open_sizeLimit_countsTheAdapterAlone() {
    cloud.files.put("model.safetensors", RemoteFixture.bytes(6, 2 << 20));
    assertThat(open(GCS, "--max-lora-size=1M").resolve(WEIGHTS)).hasSize(70_000);
  }

  private Path open(ArtifactUri uri, String... flags) {
    try (Artifact adapter = fixture.store(flags).open(uri, FileChoice.ADAPTER)) {
      return adapter.directory();
    }
  }

  /** As Python's client leaves it, or a server that was told of the adapter as of a model. */
  private Path putIntoTheHubsCache(String commit) throws IOException {
    Path repository = directory.resolve("downloads/models--org--demo");
    Path snapshot = repository.resolve("snapshots").resolve(commit);
    Files.createDirectories(snapshot);
    for (var file : cloud.files.entrySet()) {
      Files.write(snapshot.resolve(file.getKey()), file.getValue());
    }
    Files.createDirectories(repository.resolve("refs"));
    Files.writeString(repository.resolve("refs/main"), commit);
    return snapshot;
  }

  @Test
  void open_hub_isFetchedUnderTheQuota() throws IOException {
    Path adapter = open(HUB, "--download-quota=1M");
    assertThat(adapter).startsWithRaw(directory.resolve("downloads/artifacts"));
    assertThat(RemoteFixture.tree(adapter).keySet())
        .containsExactly("adapter_config.json", WEIGHTS);
    assertThat(directory.resolve("downloads/models--org--demo")).doesNotExist();
    cloud.commit = "f".repeat(40);
    cloud.files.put(WEIGHTS, RemoteFixture.bytes(6, 2 << 20));
    assertThatThrownBy(() -> open(HUB, "--download-quota=1M"))
        .hasMessageContaining("do not fit into --download-quota");
  }

  @Test
  void open_largerThanAnyMayBe_isRefusedAndModelsAreNot() throws IOException {
    cloud.files.put(WEIGHTS, RemoteFixture.bytes(6, 2 << 20));
    for (ArtifactUri uri : List.of(HUB, GCS)) {
      assertThatThrownBy(() -> open(uri, "--max-lora-size=1M"))
          .isInstanceOf(ArtifactException.class)
          .hasMessage(uri.shown() + ": its 2.0 MiB are more than --max-lora-size 1.0 MiB.");
    }
    assertThat(cloud.bytesSent).as("of files").hasValue(0);
    assertThat(open(GCS, "--max-lora-size=3M").resolve(WEIGHTS)).hasSize(2 << 20);
    cloud.files.clear();
    RemoteFixture.addModel(cloud, 2 << 20);
    try (Artifact model = fixture.store("--max-lora-size=1M").open(GCS, FileChoice.MODEL)) {
      assertThat(model.directory()).isDirectory();
    }
  }

  /** Two revisions are two adapters, side by side. */
  @Test
  void open_hubRevisions_areFetchedAndKeptApart() throws IOException {
    Path main = open(HUB);
    byte[] before = cloud.file(WEIGHTS);
    cloud.commit = "f".repeat(40);
    cloud.files.put(WEIGHTS, RemoteFixture.bytes(6, 80_000));
    ArtifactUri tagged = ArtifactUri.parse(HUB.shown() + "@v2", Optional.empty());
    Path second = open(tagged);
    assertThat(cloud.requests)
        .anyMatch(request -> request.path().startsWith("/api/models/org/demo/revision/v2"));
    assertThat(second.resolve(WEIGHTS)).hasBinaryContent(cloud.file(WEIGHTS));
    assertThat(main.resolve(WEIGHTS)).hasBinaryContent(before);
    cloud.close();
    assertThat(open(tagged)).isEqualTo(second);
    assertThat(open(HUB)).isEqualTo(main);
  }

  @Test
  void open_hubWhatPythonFetched_isReadWhereItIs() throws IOException {
    Path snapshot = putIntoTheHubsCache(cloud.commit);
    assertThat(open(HUB)).isEqualTo(snapshot);
    assertThat(cloud.bytesSent).hasValue(0);
    cloud.commit = "f".repeat(40); // what is there is old now
    cloud.files.put(WEIGHTS, RemoteFixture.bytes(6, 80_000));
    assertThat(open(HUB).resolve(WEIGHTS)).hasBinaryContent(cloud.file(WEIGHTS));
  }

  @Test
  void open_hubOffline_asksNobody() throws IOException {
    assertThatThrownBy(() -> open(HUB, "--hf-hub-offline"))
        .hasMessageContaining("HF_HUB_OFFLINE forbids");
    Path own = open(HUB);
    int asked = cloud.requests.size();
    assertThat(open(HUB, "--hf-hub-offline")).isEqualTo(own);
    Path snapshot = putIntoTheHubsCache("e".repeat(40));
    Path note = snapshot.resolve("../../refs/main");
    Files.setLastModifiedTime(note, FileTime.from(Instant.now().plusSeconds(60)));
    assertThat(open(HUB, "--hf-hub-offline")).as("what came later").isEqualTo(snapshot);
    Files.setLastModifiedTime(note, FileTime.from(Instant.EPOCH));
    assertThat(open(HUB, "--hf-hub-offline")).isEqualTo(own);
    assertThat(cloud.requests).hasSize(asked);
  }

  @ParameterizedTest
  @ValueSource(strings = {"gcs", "hub"})
  void open_sourceDownLater_servesWhatIsThere(String source) {
    Path adapter = open(uri(source));
    cloud.faults = request -> Fault.status(503);
    assertThat(open(uri(source))).isEqualTo(adapter);
    cloud.close(); // nobody listens
    assertThat(open(uri(source))).isEqualTo(adapter);
    ArtifactUri other =
        ArtifactUri.parse(source.equals("gcs") ? "gs://bucket/b" : "org/b", Optional.empty());
    assertThatThrownBy(() -> open(other)).hasMessageContaining("cannot be asked");
  }

  @Test
  void open_hubDownButInItsCache_servesThat() throws IOException {
    Path snapshot = putIntoTheHubsCache(cloud.commit);
    cloud.close();
    assertThat(open(HUB)).isEqualTo(snapshot);
  }

  @ParameterizedTest
  @CsvSource({"gcs, 401", "gcs, 403", "gcs, 404", "hub, 401", "hub, 403", "hub, 404"})
  void open_sourceRefusesLater_isRefused(String source, int status) {
    open(uri(source));
    cloud.faults = request -> Fault.status(status);
    assertThatThrownBy(() -> open(uri(source))).isInstanceOf(ArtifactException.class);
  }

  @Test
  void open_modelsSourceDownLater_isSaid() {
    RemoteFixture.addModel(cloud, 10_000);
    fixture.store().open(GCS, FileChoice.MODEL).close();
    cloud.faults = request -> Fault.status(503);
    assertThatThrownBy(() -> fixture.store().open(GCS, FileChoice.MODEL))
        .hasMessageContaining("cannot be asked");
  }

  /** A half-fetched version is nobody's adapter. */
  @Test
  void open_sourceDownBeforeAllWasFetched_isSaid() {
    cloud.faults =
        request ->
            request.isMedia() && request.path().contains(WEIGHTS) ? Fault.status(500) : Fault.NONE;
    assertThatThrownBy(() -> open(GCS)).isInstanceOf(ArtifactException.class);
    cloud.faults = request -> Fault.status(503);
    assertThatThrownBy(() -> open(GCS)).hasMessageContaining("cannot be asked");
  }
}
