package io.verdier.cache.artifact;

import static io.verdier.cache.artifact.RemoteFixture.GCS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.cache.outbound.OutboundClient;
import io.verdier.cache.outbound.OutboundPolicy;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Signature;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Who this server is to Google, by each kind of credentials. */
class GoogleTokensTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final OutboundPolicy POLICY = new OutboundPolicy(Set.of());
  @TempDir Path directory;
  private final AtomicReference<Instant> now =
      new AtomicReference<>(Instant.parse("2026-11-01T00:00:00Z"));
  private final FakeCloud cloud = new FakeCloud();
  private final Retry retry = new Retry(3, Duration.ofMillis(1), time -> {}, () -> 1);

  @BeforeEach
  void addModel() {
    RemoteFixture.addModel(cloud, 10_000);
  }

  @AfterEach
  void stop() {
    cloud.close();
  }

  private GoogleTokens ofFile(String json) throws IOException {
    Path file = Files.writeString(directory.resolve("key.json"), json);
    return GoogleTokens.ofFile(file, POLICY, retry, now::get);
  }

  private GoogleTokens ofMachine() {
    return GoogleTokens.ofMachine(cloud.authority(), false, POLICY, retry, now::get);
  }

  private String serviceAccount(KeyPair keys) {
    String pem =
        "-----BEGIN PRIVATE KEY-----\\n"
            + Base64.getEncoder().encodeToString(keys.getPrivate().getEncoded())
            + "\\n-----END PRIVATE KEY-----\\n";
    return """
    {"type": "service_account", "client_email": "a@b.iam.gserviceaccount.com",
     "private_key_id": "k1", "private_key": "%s", "token_uri": "%s/token"}\
    """
        .formatted(pem, cloud.endpoint());
  }

  @Test
  void token_ofServiceAccount_signsForItself() throws Exception {
    KeyPair keys = KeyPairGenerator.getInstance("RSA").generateKeyPair();
    try (GoogleTokens tokens = ofFile(serviceAccount(keys))) {
      assertThat(tokens.token()).contains("of-file");
      assertThat(tokens.account()).isEqualTo("a@b.iam.gserviceaccount.com");
    }
    String form = cloud.bodies.getFirst();
    assertThat(form).contains("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
    String jwt = form.replaceAll("(?s).*assertion=([^&]*).*", "$1");
    requireSigned(jwt, keys);
    JsonNode claims = JSON.readTree(Base64.getUrlDecoder().decode(jwt.split("\\.")[1]));
    assertThat(claims.path("iss").asText()).isEqualTo("a@b.iam.gserviceaccount.com");
    assertThat(claims.path("aud").asText()).isEqualTo(cloud.endpoint() + "/token");
    assertThat(claims.path("scope").asText()).endsWith("devstorage.read_only");
    assertThat(claims.path("exp").asLong() - claims.path("iat").asLong()).isEqualTo(3600);
  }

  private static void requireSigned(String jwt, KeyPair keys) throws GeneralSecurityException {
    int dot = jwt.lastIndexOf('.');
    Signature signature = Signature.getInstance("SHA256withRSA");
    signature.initVerify(keys.getPublic());
    signature.update(jwt.substring(0, dot).getBytes(StandardCharsets.US_ASCII));
    assertThat(signature.verify(Base64.getUrlDecoder().decode(jwt.substring(dot + 1)))).isTrue();
  }

  @Test
  void token_ofUser_isRefreshed() throws IOException {
    String user =
        """
        {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r/1",
         "token_uri": "%s/token"}\
        """
            .formatted(cloud.endpoint());
    try (GoogleTokens tokens = ofFile(user)) {
      assertThat(tokens.token()).contains("of-file");
    }
    assertThat(List.of(cloud.bodies.getFirst().split("&")))
        .containsExactlyInAnyOrder(
            "grant_type=refresh_token", "client_id=c", "client_secret=s", "refresh_token=r%2F1");
  }

  @Test
  void token_used_isKeptUntilShortlyBeforeItsEnd() throws IOException {
    try (GoogleTokens tokens = ofMachine()) {
      tokens.token();
      now.updateAndGet(it -> it.plus(Duration.ofMinutes(55)));
      tokens.token();
      assertThat(cloud.requests).hasSize(1);
      now.updateAndGet(it -> it.plus(Duration.ofMinutes(2)));
      assertThat(tokens.token()).contains("of-machine");
      assertThat(cloud.requests).hasSize(2);
    }
    assertThat(cloud.requests.getFirst().header("Metadata-Flavor")).contains("Google");
  }

  @Test
  void token_noMetadataServer_asksWithout() throws IOException {
    cloud.hasMetadataServer = false;
    try (GoogleTokens tokens = ofMachine()) {
      assertThat(tokens.token()).isEmpty();
    }
  }

  @Test
  void token_refused_namesTheAccountAndNotTheKey() throws Exception {
    KeyPair keys = KeyPairGenerator.getInstance("RSA").generateKeyPair();
    cloud.faults = request -> FakeCloud.Fault.status(400);
    try (GoogleTokens tokens = ofFile(serviceAccount(keys))) {
      assertThatThrownBy(tokens::token)
          .hasMessageContaining("refuses the credentials of a@b.iam.gserviceaccount.com");
    }
    try (GoogleTokens tokens = ofFile("{\"type\": \"gdch_service_account\"}")) {
      assertThatThrownBy(tokens::token).hasMessageContaining("type gdch_service_account are not");
    }
    try (GoogleTokens tokens =
        ofFile("{\"type\": \"service_account\", \"private_key\": \"s3cr3t\"}")) {
      assertThatThrownBy(tokens::token)
          .hasMessageContaining("the private key in key.json cannot be used")
          .hasMessageNotContaining("s3cr3t");
    }
    assertThatThrownBy(() -> ofFile("not JSON"))
        .hasMessageContaining("GOOGLE_APPLICATION_CREDENTIALS");
  }

  /** The listing was allowed, the object is not: no other token will change that. */
  @ParameterizedTest
  @CsvSource({
    "401, 2, roles/storage.objectViewer",
    "403, 1, roles/storage.objectViewer",
    "404, 1, config.json is not there any more"
  })
  void source_objectRefused_saysWhy(int status, int times, String text) throws IOException {
    URI base = URI.create(cloud.endpoint());
    OutboundClient http = new OutboundClient(POLICY.with(base), 5);
    cloud.faults =
        request -> request.isMedia() ? FakeCloud.Fault.status(status) : FakeCloud.Fault.NONE;
    Downloader downloader =
        new Downloader(Downloader.Settings.standard(2), retry, DownloadProgress.SILENT);
    try (Source source = new GcsSource(http, base, (ArtifactUri.Gcs) GCS, ofMachine())) {
      RemoteFile file = source.list().file("config.json").orElseThrow();
      Downloader.Wanted wanted =
          new Downloader.Wanted(file, directory.resolve("partial"), partial -> {});
      assertThatThrownBy(() -> downloader.fetch(source, List.of(wanted), directory))
          .isInstanceOf(ArtifactException.class)
          .hasMessageContaining(text);
    }
    assertThat(cloud.requests).filteredOn(FakeCloud.Request::isMedia).hasSize(times);
  }

  @Test
  void source_tokenExpired_isRenewedAndGoesAlong() throws IOException {
    URI base = URI.create(cloud.endpoint());
    OutboundClient http = new OutboundClient(POLICY.with(base), 5);
    var refusals = new java.util.concurrent.atomic.AtomicInteger();
    cloud.faults =
        request ->
            request.path().startsWith("/storage") && refusals.getAndIncrement() == 0
                ? FakeCloud.Fault.status(401)
                : FakeCloud.Fault.NONE;
    try (Source source = new GcsSource(http, base, (ArtifactUri.Gcs) GCS, ofMachine())) {
      assertThat(retry.call(source::list).has("config.json")).isTrue();
    }
    assertThat(cloud.requests)
        .filteredOn(request -> request.path().startsWith("/storage"))
        .allMatch(
            request -> request.header("Authorization").equals(Optional.of("Bearer of-machine")));
    assertThat(cloud.requests).filteredOn(it -> it.path().contains("/token")).hasSize(2);
  }
}
