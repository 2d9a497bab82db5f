package io.verdier.cache.artifact;

import static io.verdier.cache.artifact.RemoteFixture.GCS;
import static io.verdier.cache.artifact.RemoteFixture.HUB;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.artifact.FakeCloud.Fault;
import io.verdier.cache.outbound.OutboundClient.Answer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Models from Cloud Storage and the Hub, on good days and on bad ones. */
class RemoteModelTest {
  @TempDir Path directory;
  private RemoteFixture fixture;
  private FakeCloud cloud;

  @BeforeEach
  void start() {
    fixture = new RemoteFixture(directory);
    cloud = fixture.cloud;
  }

  @AfterEach
  void stop() {
    fixture.close();
  }

  private static ArtifactUri uri(String name) {
    return name.equals("gcs") ? GCS : HUB;
  }

  private Path open(ArtifactUri uri, String... flags) {
    try (Artifact model = fixture.store(flags).open(uri, FileChoice.MODEL)) {
      return model.directory();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"gcs", "hub"})
  void open_twice_fetchesTheNeededFilesOnce(String source) {
    Path model = open(uri(source));
    assertThat(RemoteFixture.tree(model)).isEqualTo(fixture.expected());
    long sent = cloud.bytesSent.get();
    assertThat(open(uri(source))).isEqualTo(model);
    assertThat(cloud.bytesSent.get()).isEqualTo(sent);
    assertThat(cloud.count(Pattern.compile("\\.(bin|pth|py|md)"))).isZero();
  }

  /** Whoever loads begins with the first shard: the second is not sent before it was told. */
  @ParameterizedTest
  @ValueSource(strings = {"gcs", "hub"})
  void open_watched_shardsAreToldAsTheyCome(String source) {
    CountDownLatch first = new CountDownLatch(1);
    cloud.faults =
        request -> {
          if (request.isMedia() && request.path().contains("model-00002")) {
            awaitQuietly(first);
          }
          return Fault.NONE;
        };
    List<String> told = new CopyOnWriteArrayList<>();
    ArrivalWatch watch =
        new ArrivalWatch() {
          @Override
          public void onComing(Path model, List<Path> weights, long bytes) {
            assertThat(model.resolve("config.json")).exists();
            assertThat(model.resolve("tokenizer.json")).exists();
            assertThat(weights).allMatch(file -> file.startsWith(model)).noneMatch(Files::exists);
            told.add(weights.size() + " of " + bytes);
          }

          @Override
          public void onArrived(Path file) {
            assertThat(file).exists();
            told.add(String.valueOf(file.getFileName()));
            first.countDown();
          }
        };
    try (Artifact model = fixture.store().open(uri(source), FileChoice.MODEL, watch)) {
      assertThat(RemoteFixture.tree(model.directory())).isEqualTo(fixture.expected());
    }
    assertThat(told)
        .containsExactly(
            "2 of 450000", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    told.clear();
    fixture.store().open(uri(source), FileChoice.MODEL, watch).close();
    assertThat(told).as("all is there").isEmpty();
  }

  private static void awaitQuietly(CountDownLatch latch) {
    try {
      assertThat(latch.await(20, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException stopped) {
      Thread.currentThread().interrupt();
    }
  }

  @Test
  void open_hub_leavesPythonsLayout() throws IOException {
    Path model = open(HUB);
    Path repository = directory.resolve("downloads/models--org--demo");
    assertThat(model).isEqualTo(repository.resolve("snapshots").resolve(cloud.commit));
    assertThat(repository.resolve("refs/main")).hasContent(cloud.commit);
    String sha256 = FakeCloud.digest("SHA-256", cloud.file("tokenizer.json"));
    assertThat(Files.readSymbolicLink(model.resolve("tokenizer.json")))
        .isEqualTo(Path.of("../../blobs", sha256));
    String git = FakeCloud.gitId(cloud.file("config.json"));
    assertThat(Files.readSymbolicLink(model.resolve("config.json")))
        .isEqualTo(Path.of("../../blobs", git));
    try (var left = Files.walk(repository)) {
      assertThat(left.map(Path::toString)).noneMatch(it -> it.contains("verdier"));
    }
  }

  /** Containers that share the Hub's cache and nothing else must find each other's lock. */
  @Test
  void open_hub_locksTheRepositoryInTheCacheThatIsShared() {
    Path lock = directory.resolve("downloads/.locks/verdier/models--org--demo.lock");
    AtomicBoolean isTaken = new AtomicBoolean();
    cloud.faults =
        request -> {
          if (request.path().endsWith("model-00002-of-00002.safetensors") && !request.ofCdn()) {
            isTaken.set(isTakenElsewhere(lock));
          }
          return Fault.NONE;
        };
    open(HUB, "--cache-dir=" + directory.resolve("own"));
    assertThat(isTaken).as("while it is fetched").isTrue();
    assertThat(isTakenElsewhere(lock)).as("afterwards").isFalse();
  }

  private static boolean isTakenElsewhere(Path lock) {
    try {
      return EntryLocksTest.isTakenElsewhere(lock);
    } catch (Exception failed) {
      throw new IllegalStateException(failed);
    }
  }

  /** As a process does that looks for locks elsewhere. */
  @Test
  void publish_partialWasPublishedByAnother_isWhatItIs() throws IOException {
    RemoteFile file = new RemoteFile("a.json", 2, new Checksum(Checksum.Kind.NONE, "tag"), "tag");
    HubPlace place = new HubPlace(directory.resolve("models--a--b"), cloud.commit, "main");
    try (PartialFile partial = PartialFile.open(place.partial(file), file)) {
      Files.delete(partial.data());
      assertThatThrownBy(() -> place.publish(file, partial))
          .isInstanceOf(NoSuchFileException.class);
      Files.writeString(directory.resolve("models--a--b/blobs/tag"), "{}");
      place.publish(file, partial);
    }
    assertThat(place.has(file)).isTrue();
  }

  @Test
  void open_hubWhatPythonFetched_fetchesNothing() throws IOException {
    Path model = open(HUB);
    Path copy = directory.resolve("elsewhere/hub/models--org--demo");
    for (String name : RemoteFixture.expectedNames()) {
      Path file = copy.resolve("snapshots").resolve(cloud.commit).resolve(name);
      Files.createDirectories(file.getParent());
      Files.copy(model.resolve(name), file);
    }
    Files.createDirectories(copy.resolve("refs"));
    Files.writeString(copy.resolve("refs/main"), cloud.commit);
    long sent = cloud.bytesSent.get();
    String cache = "--download-dir=" + directory.resolve("elsewhere/hub");
    assertThat(open(HUB, cache).toString()).contains("elsewhere/hub");
    int asked = cloud.requests.size();
    assertThat(open(HUB, cache, "--hf-hub-offline").toString()).contains("elsewhere/hub");
    assertThat(cloud.bytesSent.get()).isEqualTo(sent);
    assertThat(cloud.requests).hasSize(asked);
  }

  @Test
  void open_hubThatListsNamesOnly_asksForEachFile() {
    cloud.listsSizes = false;
    assertThat(RemoteFixture.tree(open(HUB))).isEqualTo(fixture.expected());
  }

  @Test
  void open_hubUnreachableLater_servesItsCache() {
    Path model = open(HUB);
    cloud.faults = request -> Fault.status(503);
    assertThat(open(HUB)).isEqualTo(model);
    assertThatThrownBy(() -> open(ArtifactUri.parse("org/other", Optional.empty())))
        .hasMessageContaining("the Hub cannot be asked: the server answers with status 503");
  }

  @Test
  void open_hub_tokenGoesToTheHubAlone() {
    open(HUB, "--hf-token=s3cr3t");
    assertThat(cloud.requests)
        .filteredOn(request -> !request.ofCdn())
        .allMatch(request -> request.header("Authorization").equals(Optional.of("Bearer s3cr3t")));
    assertThat(cloud.requests)
        .filteredOn(FakeCloud.Request::ofCdn)
        .isNotEmpty()
        .noneMatch(request -> request.header("Authorization").isPresent());
  }

  /** A repository that was renamed is found; whom else the Hub points to does not get the token. */
  @Test
  void open_hubThatListsNamesOnly_tokenStaysWhenItPointsElsewhere() {
    cloud.listsSizes = false;
    cloud.faults =
        request ->
            request.method().equals("HEAD") && request.path().startsWith("/org/demo/")
                ? Fault.status(307, "Location", "//" + cloud.cdnAuthority() + request.path())
                : Fault.NONE;
    assertThatThrownBy(() -> open(HUB, "--hf-token=s3cr3t")).isInstanceOf(ArtifactException.class);
    assertThat(cloud.requests).noneMatch(FakeCloud.Request::ofCdn);
    cloud.faults =
        request ->
            request.method().equals("HEAD") && !request.query().equals("x")
                ? Fault.status(307, "Location", request.path() + "?x")
                : Fault.NONE;
    assertThat(RemoteFixture.tree(open(HUB, "--hf-token=s3cr3t"))).isEqualTo(fixture.expected());
  }

  /** The second to notice finds that the first has dropped the address already. */
  @Test
  void open_addressExpiresUnderTwoThreads_bothAskTheHubAgain() throws Exception {
    AtomicInteger expired = new AtomicInteger();
    CountDownLatch both = new CountDownLatch(2);
    Retry retry = Retry.standard();
    Sources sources = new Sources(fixture.config().artifacts(), retry, InstantSource.system());
    try (Source source = sources.hub((ArtifactUri.Hub) HUB);
        ExecutorService threads = Executors.newFixedThreadPool(2)) {
      RemoteFile shard = source.list().file("model-00001-of-00002.safetensors").orElseThrow();
      source.open(shard, 0, 10).close();
      cloud.faults =
          request -> {
            if (!request.ofCdn() || expired.incrementAndGet() > 2) {
              return Fault.NONE;
            }
            both.countDown();
            awaitQuietly(both);
            return Fault.status(403);
          };
      List<Future<Integer>> statuses = new ArrayList<>();
      for (int i = 0; i < 2; i++) {
        statuses.add(
            threads.submit(
                () -> {
                  try (Answer answer = source.open(shard, 0, 10)) {
                    return answer.status();
                  }
                }));
      }
      for (Future<Integer> status : statuses) {
        assertThat(status.get()).isEqualTo(206);
      }
    }
  }

  @Test
  void open_cdnNotAllowed_isRefused() {
    assertThatThrownBy(() -> open(HUB, "--allowed-outbound-hosts=127.0.0.1:1"))
        .isInstanceOf(ArtifactException.class)
        .hasMessageContaining("only https addresses are fetched");
    assertThat(cloud.requests).noneMatch(FakeCloud.Request::ofCdn);
  }

  @ParameterizedTest
  @ValueSource(strings = {"gcs", "hub"})
  void open_everyAnswerBreaksOnce_isWholeInTheEnd(String source) {
    var broken = ConcurrentHashMap.<String>newKeySet();
    cloud.faults =
        request ->
            request.isMedia() && broken.add(request.path() + request.headers().get("range"))
                ? Fault.cut(40_000)
                : Fault.NONE;
    assertThat(RemoteFixture.tree(open(uri(source)))).isEqualTo(fixture.expected());
    assertThat(cloud.bytesSent.get()).as("goes on where it broke").isLessThan(700_000);
  }

  @ParameterizedTest
  @CsvSource({"429, 7", "503, 3", "500, ''", "408, ''"})
  void open_serverBusy_waitsAsLongAsAsked(int status, String seconds) {
    var asked = ConcurrentHashMap.<String>newKeySet();
    Fault busy =
        seconds.isEmpty() ? Fault.status(status) : Fault.status(status, "Retry-After", seconds);
    cloud.faults = request -> asked.add(request.path()) ? busy : Fault.NONE;
    assertThat(RemoteFixture.tree(open(GCS))).isEqualTo(fixture.expected());
    assertThat(fixture.pauses)
        .contains(
            seconds.isEmpty()
                ? Duration.ofMillis(100)
                : Duration.ofSeconds(Long.parseLong(seconds)));
  }

  @Test
  void open_serverBusyForEver_saysSoAndKeepsTheRest() {
    cloud.faults =
        request -> request.path().contains("model-00002") ? Fault.status(503) : Fault.NONE;
    assertThatThrownBy(() -> open(GCS, "--download-streams=1"))
        .hasMessageContaining(
            "model-00002-of-00002.safetensors: the server answers with status 503")
        .hasMessageContaining("start again to go on");
    long sent = cloud.bytesSent.get();
    cloud.faults = request -> Fault.NONE;
    assertThat(RemoteFixture.tree(open(GCS, "--download-streams=1"))).isEqualTo(fixture.expected());
    assertThat(cloud.bytesSent.get() - sent).as("only what is missing").isLessThan(160_000);
  }

  @ParameterizedTest
  @ValueSource(strings = {"gcs", "hub"})
  void open_serverWithoutRanges_isStillWhole(String source) {
    cloud.faults = request -> Fault.NO_RANGES;
    assertThat(RemoteFixture.tree(open(uri(source)))).isEqualTo(fixture.expected());
  }

  @ParameterizedTest
  @CsvSource({"gcs, crc32c", "hub, sha256"})
  void open_damagedAtItsSource_isRefusedAfterASecondTry(String source, String checksum) {
    String shard = "model-00001-of-00002.safetensors";
    byte[] other = cloud.file(shard).clone();
    other[77]++;
    cloud.damaged.put(shard, other);
    assertThatThrownBy(() -> open(uri(source)))
        .hasMessageContaining(shard)
        .hasMessageContaining("another checksum (" + checksum + ")");
    try (var files = Files.walk(directory)) {
      assertThat(files.map(it -> it.getFileName().toString())).doesNotContain(shard);
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
    cloud.damaged.clear();
    assertThat(RemoteFixture.tree(open(uri(source)))).isEqualTo(fixture.expected());
  }

  @Test
  void open_shorterThanListed_saysThatItChanged() {
    byte[] half = new byte[1000];
    cloud.damaged.put("model-00001-of-00002.safetensors", half);
    assertThatThrownBy(() -> open(GCS)).hasMessageContaining("the file changed at its source");
  }

  @Test
  void open_alwaysCutAtTheSamePlace_saysTruncated() {
    cloud.faults = request -> request.path().contains("00001") ? Fault.cut(0) : Fault.NONE;
    assertThatThrownBy(() -> open(GCS))
        .hasMessageContaining(
            "model-00001-of-00002.safetensors: the file ends after 0 of 300000 bytes");
  }

  @Test
  void open_manyAtOnce_fetchesOnce() throws Exception {
    ArtifactStore store = fixture.store();
    List<Future<Path>> all = new ArrayList<>();
    try (ExecutorService threads = Executors.newFixedThreadPool(16)) {
      for (int i = 0; i < 16; i++) {
        all.add(threads.submit(() -> store.open(GCS, FileChoice.MODEL).directory()));
      }
    }
    for (Future<Path> one : all) {
      assertThat(RemoteFixture.tree(one.get())).isEqualTo(fixture.expected());
    }
    assertThat(cloud.bytesSent.get()).isLessThan(451_000);
  }

  @Test
  void open_newGeneration_replacesTheOld() {
    Path old = open(GCS);
    cloud.generation = 2;
    cloud.files.put("config.json", "{}".getBytes(java.nio.charset.StandardCharsets.UTF_8));
    Path fresh = open(GCS);
    assertThat(RemoteFixture.tree(fresh)).isEqualTo(fixture.expected());
    assertThat(old).doesNotExist();
  }

  /** A clock that runs fast: each look at it is a minute later. */
  @Test
  void open_serverDrips_countsAsBroken() {
    AtomicLong nanos = new AtomicLong();
    cloud.pauseNanos = 1;
    assertThatThrownBy(
            () -> fixture.store(() -> nanos.addAndGet(60_000_000_000L)).open(GCS, FileChoice.MODEL))
        .hasMessageContaining("the connection brings less than a kilobyte a second");
  }

  /** A second copy of the weights is not fetched, and needs no room. */
  @Test
  void open_quotaForWhatIsFetched_isEnough() {
    cloud.files.put("consolidated.safetensors", RemoteFixture.bytes(3, 900_000));
    assertThat(RemoteFixture.tree(open(GCS, "--download-quota=1M"))).isEqualTo(fixture.expected());
    cloud.files.put("model.safetensors", RemoteFixture.bytes(4, 500_000)); // in place of shards
    Path model = open(GCS, "--download-quota=1M");
    assertThat(model.resolve("model.safetensors")).hasSize(500_000);
  }

  /** Names that are none on every disk belong to files that nobody fetches. */
  @ParameterizedTest
  @ValueSource(strings = {"gcs", "hub"})
  void open_oddNamesBeside_arePassedOver(String source) {
    Map<String, String> expected = fixture.expected();
    for (String name : List.of("runs/2026-11-01T10:00:00/e.json", "a//b", "a\\b.json", "x/./y")) {
      cloud.files.put(name, new byte[10]);
    }
    assertThat(RemoteFixture.tree(open(uri(source)))).isEqualTo(expected);
  }

  @Test
  void open_tokenizerOnly_fetchesNoWeights() {
    Path files = fixture.store().open(GCS, FileChoice.TOKENIZER).directory();
    assertThat(files.resolve("tokenizer.json")).exists();
    assertThat(cloud.count(Pattern.compile("safetensors$"))).isZero();
  }
}
