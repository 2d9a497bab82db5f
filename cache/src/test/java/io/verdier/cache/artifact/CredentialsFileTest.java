package io.verdier.cache.artifact;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.verdier.cache.artifact.CredentialsFile.Token;
import io.verdier.cache.outbound.OutboundPolicy;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Credentials of other clouds, and service accounts that others become. */
class CredentialsFileTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Instant NOW = Instant.parse("2026-11-01T00:00:00Z");
  private static final String ROBOT = "robot@p.iam.gserviceaccount.com";
  private static final String SCOPES = "https://www.googleapis.com/auth/";
  @TempDir Path directory;
  private HttpServer server;
  private final List<Asked> asked = new CopyOnWriteArrayList<>();
  private volatile int impersonationStatus = 200;

  private record Asked(String path, String authorization, String type, String flavor, String body) {
    Map<String, String> form() {
      Map<String, String> form = new HashMap<>();
      for (String pair : body.split("&")) {
        int equals = pair.indexOf('=');
        form.put(
            pair.substring(0, equals),
            URLDecoder.decode(pair.substring(equals + 1), StandardCharsets.UTF_8));
      }
      return form;
    }
  }

  @BeforeEach
  void start() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", this::handle);
    server.start();
  }

  @AfterEach
  void stop() {
    server.stop(0);
  }

  private void handle(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().getPath();
    asked.add(
        new Asked(
            path,
            String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")),
            String.valueOf(exchange.getRequestHeaders().getFirst("Content-Type")),
            String.valueOf(exchange.getRequestHeaders().getFirst("Metadata")),
            new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8)));
    boolean impersonates = path.contains("/serviceAccounts/");
    String answer =
        impersonates
            ? "{\"accessToken\": \"as-robot\", \"expireTime\": \"2026-11-01T00:30:00Z\"}"
            : path.equals("/subject")
                ? "{\"value\": \"subject-of-url\"}"
                : "{\"access_token\": \"of%s\", \"expires_in\": 1800}"
                    .formatted(path.replace('/', '-'));
    byte[] bytes = answer.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(impersonates ? impersonationStatus : 200, bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }

  private String base() {
    return "http://127.0.0.1:" + server.getAddress().getPort();
  }

  /** Where it says BASE the server is meant. */
  private CredentialsFile read(String json) throws IOException {
    Path file = directory.resolve("key.json");
    Files.writeString(file, json.replace("BASE", base()));
    return CredentialsFile.read(file, new OutboundPolicy(Set.of()));
  }

  private Token token(String json) throws IOException {
    try (CredentialsFile file = read(json)) {
      return file.token(() -> NOW);
    }
  }

  private String external(String source, String more) {
    return """
    {"type": "external_account", "audience": "//iam.googleapis.com/pools/p/providers/x",
     "subject_token_type": "urn:ietf:params:oauth:token-type:id_token", "token_url": "BASE/sts",
     "credential_source": {%s}%s}\
    """
        .formatted(source, more);
  }

  private static String impersonating() {
    return ", \"service_account_impersonation_url\":"
        + " \"BASE/v1/projects/-/serviceAccounts/%s:generateAccessToken\"".formatted(ROBOT);
  }

  @Test
  void token_ofAFileOfAnotherCluster_isExchanged() throws IOException {
    Path subject = Files.writeString(directory.resolve("subject"), "subject-1\n");
    String json = external("\"file\": \"%s\"".formatted(subject), "");
    try (CredentialsFile file = read(json)) {
      assertThat(file.token(() -> NOW)).isEqualTo(new Token("of-sts", NOW.plusSeconds(1800)));
      Files.writeString(subject, "subject-2"); // renewed by whoever put it there
      file.token(() -> NOW);
      assertThat(file.account()).isEqualTo("the account of key.json");
    }
    assertThat(asked).extracting(Asked::path).containsExactly("/sts", "/sts");
    assertThat(asked.getFirst().form())
        .isEqualTo(
            Map.of(
                "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange",
                "requested_token_type", "urn:ietf:params:oauth:token-type:access_token",
                "subject_token_type", "urn:ietf:params:oauth:token-type:id_token",
                "audience", "//iam.googleapis.com/pools/p/providers/x",
                "scope", SCOPES + "devstorage.read_only",
                "subject_token", "subject-1"));
    assertThat(asked.getFirst().type).startsWith("application/x-www-form-urlencoded");
    assertThat(asked.getFirst().authorization).isEqualTo("null");
    assertThat(asked.get(1).form()).containsEntry("subject_token", "subject-2");
  }

  @Test
  void token_ofAnAddressOfAnotherCloud_becomesTheServiceAccount() throws IOException {
    String source =
        "\"url\": \"BASE/subject\", \"headers\": {\"Metadata\": \"True\"},"
            + " \"format\": {\"type\": \"json\", \"subject_token_field_name\": \"value\"}";
    String lifetime = ", \"service_account_impersonation\": {\"token_lifetime_seconds\": 1800}";
    assertThat(token(external(source, impersonating() + lifetime)))
        .isEqualTo(new Token("as-robot", NOW.plus(Duration.ofMinutes(30))));
    assertThat(asked.get(0).flavor).isEqualTo("True");
    assertThat(asked.get(1).form())
        .containsEntry("subject_token", "subject-of-url")
        .containsEntry("scope", SCOPES + "cloud-platform");
    Asked last = asked.get(2);
    assertThat(last.authorization).isEqualTo("Bearer of-sts");
    assertThat(last.type).startsWith("application/json");
    JsonNode body = JSON.readTree(last.body);
    assertThat(body.path("lifetime").asText()).isEqualTo("1800s");
    assertThat(body.at("/scope/0").asText()).isEqualTo(SCOPES + "devstorage.read_only");
  }

  @Test
  void token_ofAUserWhoActsAsTheServiceAccount_isItsOwn() throws IOException {
    String json =
        """
        {"type": "impersonated_service_account", "delegates": ["other@p"],
         "source_credentials": {"type": "authorized_user", "client_id": "c", "client_secret": "s",
           "refresh_token": "r", "token_uri": "BASE/user"}%s}\
        """
            .formatted(impersonating());
    assertThat(token(json).text()).isEqualTo("as-robot");
    assertThat(asked.get(0).form()).containsEntry("refresh_token", "r");
    assertThat(asked.get(1).authorization).isEqualTo("Bearer of-user");
    JsonNode body = JSON.readTree(asked.get(1).body);
    assertThat(body.path("lifetime").asText()).isEqualTo("3600s");
    assertThat(body.at("/delegates/0").asText()).isEqualTo("other@p");
  }

  @Test
  void token_whoMayNotActAsTheServiceAccount_readsWhichRoleItTakes() throws IOException {
    impersonationStatus = 403;
    Path subject = Files.writeString(directory.resolve("subject"), "s3cr3t");
    String json = external("\"file\": \"%s\"".formatted(subject), impersonating());
    assertThatThrownBy(() -> token(json))
        .isInstanceOf(ArtifactException.class)
        .hasMessageContaining("refuses the credentials of " + ROBOT + " (status 403)")
        .hasMessageContaining("roles/iam.workloadIdentityUser")
        .hasMessageNotContaining("s3cr3t");
  }

  @Test
  void token_subjectThatCannotBeHad_saysWhy() throws IOException {
    assertThatThrownBy(() -> token(external("\"file\": \"/no/such/token\"", "")))
        .hasMessageContaining("the token that key.json exchanges cannot be had")
        .hasMessageContaining("/no/such/token cannot be read");
    Path empty = Files.writeString(directory.resolve("empty"), "\n");
    assertThatThrownBy(() -> token(external("\"file\": \"%s\"".formatted(empty), "")))
        .hasMessageContaining("there is none where it should be");
    String field = "\"url\": \"BASE/subject\", \"format\": {\"type\": \"json\"}";
    assertThatThrownBy(() -> token(external(field, "")))
        .hasMessageContaining("there is none where it should be");
    for (String source :
        List.of(
            "\"environment_id\": \"aws1\", \"url\": \"BASE/subject\"",
            "\"executable\": {\"command\": \"/bin/x\"}",
            "")) {
      assertThatThrownBy(() -> token(external(source, "")))
          .hasMessageContaining("takes its token from a source that is not supported");
    }
    assertThat(asked).extracting(Asked::path).containsOnly("/subject");
  }

  @Test
  void read_addressesThatAreNone_areRefusedByName() {
    String both = external("\"file\": \"x\"", "").replace("BASE/sts", "no address");
    assertThatThrownBy(() -> read(both)).hasMessageContaining("a token_url that is no address");
    String source = external("\"url\": \"/subject\"", "");
    assertThatThrownBy(() -> read(source)).hasMessageContaining("a url that is no address");
  }
}
