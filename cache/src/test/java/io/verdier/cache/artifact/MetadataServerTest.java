package io.verdier.cache.artifact;

import static io.verdier.cache.artifact.RemoteFixture.GCS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpServer;
import io.verdier.cache.outbound.OutboundClient;
import io.verdier.cache.outbound.OutboundPolicy;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A bucket that wants a token, beside a metadata server that is not there, or not there yet. */
class MetadataServerTest {
  private static final OutboundPolicy POLICY = new OutboundPolicy(Set.of());
  private static final int ATTEMPTS = 4;

  @TempDir Path directory;
  private final FakeCloud cloud = new FakeCloud();
  private final AtomicReference<Instant> now =
      new AtomicReference<>(Instant.parse("2026-11-01T00:00:00Z"));
  private final List<Duration> pauses = new CopyOnWriteArrayList<>();
  private final AtomicInteger asked = new AtomicInteger();
  private int port; // of the metadata server, where nobody listens at first
  private int pausesUntilItStarts = Integer.MAX_VALUE;
  private @Nullable HttpServer metadata;

  @BeforeEach
  void start() throws IOException {
    RemoteFixture.addModel(cloud, 100_000);
    cloud.faults =
        request ->
            request.path().startsWith("/storage") && request.header("Authorization").isEmpty()
                ? FakeCloud.Fault.status(401)
                : FakeCloud.Fault.NONE;
    try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      port = free.getLocalPort();
    }
  }

  @AfterEach
  void stop() {
    cloud.close();
    if (metadata != null) {
      metadata.stop(0);
    }
  }

  private void listen() {
    HttpServer server;
    try {
      server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    server.createContext(
        "/computeMetadata/",
        exchange -> {
          asked.incrementAndGet();
          exchange.getResponseHeaders().set("Metadata-Flavor", "Google");
          byte[] answer =
              "{\"access_token\": \"late\", \"expires_in\": 3600}".getBytes(StandardCharsets.UTF_8);
          exchange.sendResponseHeaders(200, answer.length);
          exchange.getResponseBody().write(answer);
          exchange.close();
        });
    server.start();
    metadata = server;
  }

  private Retry retry() {
    return new Retry(
        ATTEMPTS,
        Duration.ofMillis(100),
        time -> {
          pauses.add(time);
          if (pauses.size() == pausesUntilItStarts) {
            listen();
          }
        },
        () -> 1);
  }

  private GcsSource source(boolean isGoogles) {
    URI base = URI.create(cloud.endpoint());
    OutboundClient http = new OutboundClient(POLICY.with(base), 5);
    GoogleTokens tokens =
        GoogleTokens.ofMachine("127.0.0.1:" + port, isGoogles, POLICY, retry(), now::get);
    return new GcsSource(http, base, (ArtifactUri.Gcs) GCS, tokens);
  }

  private byte[] download(Source source) throws IOException {
    Downloader downloader =
        new Downloader(Downloader.Settings.standard(2), retry(), DownloadProgress.SILENT);
    RemoteFile file = retry().call(source::list).file("config.json").orElseThrow();
    Path target = directory.resolve("config.json");
    downloader.fetch(
        source,
        List.of(
            new Downloader.Wanted(
                file, directory.resolve("partial"), partial -> partial.publish(target))),
        directory);
    return Files.readAllBytes(target);
  }

  @Test
  void download_serverOfGooglesMachineStartsLate_waitsForIt() throws IOException {
    pausesUntilItStarts = 2;
    try (Source source = source(true)) {
      assertThat(download(source)).isEqualTo(cloud.file("config.json"));
    }
    assertThat(pauses).containsExactly(Duration.ofMillis(100), Duration.ofMillis(200));
    assertThat(asked).hasValue(1);
  }

  /** Whatever the machine looks like: that a bucket is not public is reason enough to ask again. */
  @Test
  void download_refusedWithoutToken_asksTheServerAgain() throws IOException {
    pausesUntilItStarts = 3;
    try (Source source = source(false)) {
      assertThat(download(source)).isEqualTo(cloud.file("config.json"));
    }
    assertThat(cloud.requests.getFirst().header("Authorization")).isEmpty();
    assertThat(cloud.requests.getLast().header("Authorization")).contains("Bearer late");
  }

  @Test
  void list_serverNeverAnswers_saysThatAndNotThatTheAccountLacksARole() throws IOException {
    for (int status : List.of(401, 403)) {
      cloud.faults = request -> FakeCloud.Fault.status(status);
      cloud.requests.clear();
      pauses.clear();
      try (Source source = source(false)) {
        assertThatThrownBy(() -> retry().call(source::list))
            .isInstanceOf(ArtifactException.class)
            .hasMessageContaining(
                "the metadata server 127.0.0.1:%d did not answer: the server refuses the connection"
                    .formatted(port))
            .hasMessageContaining("GOOGLE_APPLICATION_CREDENTIALS")
            .hasMessageNotContaining("roles/storage.objectViewer");
      }
      assertThat(cloud.requests).hasSize(2);
      assertThat(pauses).as("for the server").hasSize(ATTEMPTS - 1);
    }
  }

  @Test
  void token_publicBucket_serverIsAskedOnceInAWhile() throws IOException {
    cloud.faults = request -> FakeCloud.Fault.NONE;
    try (Source source = source(false)) {
      assertThat(download(source)).isEqualTo(cloud.file("config.json"));
      assertThat(pauses).isEmpty();
      listen();
      download(source);
      assertThat(asked).hasValue(0);
      now.updateAndGet(it -> it.plus(Duration.ofMinutes(6)));
      download(source);
      assertThat(asked).hasValue(1);
    }
    assertThat(cloud.requests.getLast().header("Authorization")).contains("Bearer late");
  }

  @Test
  void isGoogles_asTheFirmwareSays() throws IOException {
    Path product = directory.resolve("product_name");
    assertThat(Sources.isGoogles(product)).isFalse();
    Files.writeString(product, "Google Compute Engine\n");
    assertThat(Sources.isGoogles(product)).isTrue();
    Files.writeString(product, "Standard PC (Q35 + ICH9, 2009)\n");
    assertThat(Sources.isGoogles(product)).isFalse();
  }
}
