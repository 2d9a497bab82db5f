package io.verdier.cache.artifact;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.cache.outbound.OutboundClient;
import io.verdier.cache.outbound.OutboundClient.Answer;
import io.verdier.cache.outbound.OutboundClient.Ask;
import io.verdier.cache.outbound.OutboundPolicy;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A file that {@code GOOGLE_APPLICATION_CREDENTIALS} names, of any of these types. Immutable but
 * for its client; thread-safe.
 *
 * <pre>
 *   service_account               signs an assertion ────▶ token
 *   authorized_user               refresh token ─────────▶ token
 *   external_account              token of another cloud or cluster, from a file or an address
 *                                 ──▶ Google's token for it ──▶ (token of a service account)
 *   impersonated_service_account  token of one of the first two ──▶ token of a service account
 * </pre>
 *
 * <p>All addresses are the file's, and so the operator's: they may be private, as those of metadata
 * servers of other clouds are. Whoever answers there redirects nowhere.
 */
final class CredentialsFile implements Closeable {
  private static final String SCOPE = "https://www.googleapis.com/auth/devstorage.read_only";

  /** What it takes to become a service account. */
  private static final String BROAD_SCOPE = "https://www.googleapis.com/auth/cloud-platform";

  private static final String TOKEN_URI = "https://oauth2.googleapis.com/token";
  private static final String EXCHANGE_URI = "https://sts.googleapis.com/v1/token";
  private static final String TOKEN_TYPE = "urn:ietf:params:oauth:token-type:";
  private static final String IMPERSONATION = "service_account_impersonation_url";
  private static final Pattern IMPERSONATED =
      Pattern.compile("/serviceAccounts/([^/:]+):generateAccessToken$");

  private static final int BYTES_MAX = 64 << 10; // of answers and of tokens
  private static final Duration LIFE = Duration.ofHours(1);
  private static final int SILENCE_SECONDS = 20;
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path file;
  private final JsonNode content;
  private final OutboundClient http;

  /** A token and when it ends. Immutable. */
  record Token(String text, Instant expiry) {}

  private CredentialsFile(Path file, JsonNode content, OutboundClient http) {
    this.file = file;
    this.content = content;
    this.http = http;
  }

  /**
   * Reads it.
   *
   * @throws ArtifactException if it is no credentials file that can be used
   */
  static CredentialsFile read(Path file, OutboundPolicy policy) {
    JsonNode content;
    try {
      content = JSON.readTree(Files.readAllBytes(file));
    } catch (IOException unreadable) {
      throw new ArtifactException(
          "GOOGLE_APPLICATION_CREDENTIALS: %s is not a readable JSON file".formatted(file),
          unreadable);
    }
    OutboundPolicy widened = policy;
    for (JsonNode part : new JsonNode[] {content, content.path("source_credentials")}) {
      widened = widened.with(address(file, part, "token_uri", TOKEN_URI));
    }
    widened = widened.with(address(file, content, "token_url", EXCHANGE_URI));
    if (content.hasNonNull(IMPERSONATION)) {
      widened = widened.with(address(file, content, IMPERSONATION, ""));
    }
    JsonNode source = content.path("credential_source");
    if (source.hasNonNull("url")) {
      widened = widened.with(address(file, source, "url", ""));
    }
    return new CredentialsFile(file, content, new OutboundClient(widened, SILENCE_SECONDS));
  }

  private static URI address(Path file, JsonNode part, String field, String standard) {
    try {
      URI address = URI.create(part.path(field).asText(standard));
      if (address.getHost() != null) {
        return address;
      }
    } catch (IllegalArgumentException malformed) {
      // Said below.
    }
    throw new ArtifactException(
        "GOOGLE_APPLICATION_CREDENTIALS: %s has a %s that is no address".formatted(file, field));
  }

  /** Whose tokens these are, for error texts. */
  String account() {
    String mail = impersonated().orElse(content.path("client_email").asText(""));
    return mail.isEmpty() ? "the account of " + file.getFileName() : mail;
  }

  private Optional<String> impersonated() {
    Matcher address = IMPERSONATED.matcher(content.path(IMPERSONATION).asText(""));
    return address.find() ? Optional.of(address.group(1)) : Optional.empty();
  }

  /**
   * Asks for a token. One try.
   *
   * @throws ArtifactException if the credentials are refused, or cannot be used
   */
  Token token(InstantSource clock) throws IOException {
    String type = content.path("type").asText("");
    Instant now = clock.instant();
    return switch (type) {
      case "service_account", "authorized_user" -> own(content, SCOPE, now);
      case "external_account" ->
          content.hasNonNull(IMPERSONATION)
              ? impersonate(exchange(BROAD_SCOPE, now))
              : exchange(SCOPE, now);
      case "impersonated_service_account" ->
          impersonate(own(content.path("source_credentials"), BROAD_SCOPE, now));
      default -> throw unsupported(type);
    };
  }

  private static ArtifactException unsupported(String type) {
    return new ArtifactException(
        "GOOGLE_APPLICATION_CREDENTIALS: credentials of type %s are not supported; use those of a service account, a user or a workload identity federation, or the machine's own."
            .formatted(type.isEmpty() ? "(none)" : type.replaceAll("\\W", "?")));
  }

  // ---- Credentials that Google has given ------------------------------------------------------

  private Token own(JsonNode credentials, String scope, Instant now) throws IOException {
    String type = credentials.path("type").asText("");
    Map<String, String> form =
        switch (type) {
          case "service_account" ->
              Map.of(
                  "grant_type",
                  "urn:ietf:params:oauth:grant-type:jwt-bearer",
                  "assertion",
                  assertion(credentials, scope, now.getEpochSecond()));
          case "authorized_user" ->
              Map.of(
                  "grant_type", "refresh_token",
                  "client_id", credentials.path("client_id").asText(""),
                  "client_secret", credentials.path("client_secret").asText(""),
                  "refresh_token", credentials.path("refresh_token").asText(""));
          default -> throw unsupported(type);
        };
    URI address = address(file, credentials, "token_uri", TOKEN_URI);
    JsonNode answer = ask(new Ask("POST", address, Map.of(), encoded(form)), "");
    return token(answer, now);
  }

  /** A JSON web token that the account signs for itself (RFC 7523). */
  private String assertion(JsonNode credentials, String scope, long now) {
    var head = JSON.createObjectNode().put("alg", "RS256").put("typ", "JWT");
    String keyId = credentials.path("private_key_id").asText("");
    if (!keyId.isEmpty()) {
      head.put("kid", keyId);
    }
    var claims =
        JSON.createObjectNode()
            .put("iss", credentials.path("client_email").asText(""))
            .put("scope", scope)
            .put("aud", credentials.path("token_uri").asText(TOKEN_URI))
            .put("iat", now)
            .put("exp", now + LIFE.toSeconds());
    String text = base64(head.toString()) + "." + base64(claims.toString());
    return text + "." + signature(credentials, text);
  }

  private static String base64(String json) {
    return base64(json.getBytes(StandardCharsets.UTF_8));
  }

  private static String base64(byte[] bytes) {
    return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
  }

  private String signature(JsonNode credentials, String text) {
    try {
      Signature signature = Signature.getInstance("SHA256withRSA");
      signature.initSign(key(credentials.path("private_key").asText("")));
      signature.update(text.getBytes(StandardCharsets.US_ASCII));
      return base64(signature.sign());
    } catch (GeneralSecurityException | IllegalArgumentException unusable) {
      // Without the cause: its text may quote the key.
      throw new ArtifactException(
          "GOOGLE_APPLICATION_CREDENTIALS: the private key in %s cannot be used"
              .formatted(file.getFileName()));
    }
  }

  private static PrivateKey key(String pem) throws GeneralSecurityException {
    String base64 = pem.replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
    byte[] der = Base64.getDecoder().decode(base64);
    return KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(der));
  }

  // ---- Credentials of another cloud, cluster or login -----------------------------------------

  /** Google's token for somebody else's (RFC 8693). */
  private Token exchange(String scope, Instant now) throws IOException {
    Map<String, String> form = new HashMap<>();
    form.put("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
    form.put("requested_token_type", TOKEN_TYPE + "access_token");
    form.put("audience", content.path("audience").asText(""));
    form.put("scope", scope);
    form.put("subject_token_type", content.path("subject_token_type").asText(TOKEN_TYPE + "jwt"));
    form.put("subject_token", subjectToken());
    Map<String, String> headers = new HashMap<>();
    if (content.hasNonNull("client_id")) {
      String login =
          content.path("client_id").asText() + ":" + content.path("client_secret").asText("");
      byte[] bytes = login.getBytes(StandardCharsets.UTF_8);
      headers.put("Authorization", "Basic " + Base64.getEncoder().encodeToString(bytes));
    }
    URI address = address(file, content, "token_url", EXCHANGE_URI);
    return token(ask(new Ask("POST", address, headers, encoded(form)), ""), now);
  }

  /** Read anew for each exchange: whoever puts it there renews it. */
  private String subjectToken() throws IOException {
    JsonNode source = content.path("credential_source");
    String text;
    if (source.hasNonNull("file")) {
      text = tokenFile(source.path("file").asText());
    } else if (source.hasNonNull("url") && !source.has("environment_id")) {
      Map<String, String> headers = new HashMap<>();
      source
          .path("headers")
          .properties()
          .forEach(it -> headers.put(it.getKey(), it.getValue().asText()));
      URI address = address(file, source, "url", "");
      try (Answer answer = http.sendOnce(Ask.get(address, headers))) {
        Retry.requireNotBusy(answer);
        if (answer.status() != 200) {
          throw noSubject(
              "%s answers with status %d".formatted(address.getAuthority(), answer.status()));
        }
        text = new String(answer.bytes(BYTES_MAX), StandardCharsets.UTF_8);
      }
    } else {
      throw new ArtifactException(
          "GOOGLE_APPLICATION_CREDENTIALS: %s takes its token from a source that is not supported; use one with a file or an address."
              .formatted(file.getFileName()));
    }
    return format(text, source.path("format"));
  }

  private String tokenFile(String name) {
    try (InputStream in = Files.newInputStream(Path.of(name))) {
      return new String(in.readNBytes(BYTES_MAX), StandardCharsets.UTF_8);
    } catch (IOException | InvalidPathException unreadable) {
      throw noSubject(name + " cannot be read");
    }
  }

  private String format(String text, JsonNode format) {
    String token = text.strip();
    if (format.path("type").asText("text").equals("json")) {
      String field = format.path("subject_token_field_name").asText("");
      try {
        token = JSON.readTree(text).path(field).asText("");
      } catch (IOException notJson) {
        throw noSubject("it is no JSON");
      }
    }
    if (token.isEmpty()) {
      throw noSubject("there is none where it should be");
    }
    return token;
  }

  private ArtifactException noSubject(String reason) {
    return new ArtifactException(
        "GOOGLE_APPLICATION_CREDENTIALS: the token that %s exchanges cannot be had: %s."
            .formatted(file.getFileName(), reason));
  }

  // ---- Service accounts that others become ----------------------------------------------------

  private Token impersonate(Token token) throws IOException {
    var asked = JSON.createObjectNode();
    asked.putArray("scope").add(SCOPE);
    if (content.path("delegates").isArray()) {
      asked.set("delegates", content.path("delegates"));
    }
    long seconds =
        content
            .path("service_account_impersonation")
            .path("token_lifetime_seconds")
            .asLong(LIFE.toSeconds());
    asked.put("lifetime", seconds + "s");
    Map<String, String> headers =
        Map.of("Authorization", "Bearer " + token.text, "Content-Type", "application/json");
    URI address = address(file, content, IMPERSONATION, "");
    byte[] body = asked.toString().getBytes(StandardCharsets.UTF_8);
    JsonNode answer =
        ask(
            new Ask("POST", address, headers, body),
            " May it act as %s? That takes roles/iam.workloadIdentityUser or roles/iam.serviceAccountTokenCreator on it."
                .formatted(account()));
    try {
      return new Token(
          required(answer, "accessToken"), Instant.parse(answer.path("expireTime").asText("")));
    } catch (DateTimeException malformed) {
      throw new ArtifactException("the token server does not say when its token ends", malformed);
    }
  }

  // ---- Requests -------------------------------------------------------------------------------

  private JsonNode ask(Ask ask, String advice) throws IOException {
    try (Answer answer = http.sendOnce(ask)) {
      Retry.requireNotBusy(answer);
      if (answer.status() != 200) {
        String what =
            advice.isEmpty() ? " Has the key been deleted, or the login expired?" : advice;
        throw new ArtifactException(
            "GOOGLE_APPLICATION_CREDENTIALS: Google refuses the credentials of %s (status %d).%s"
                .formatted(account(), answer.status(), what));
      }
      return JSON.readTree(answer.bytes(BYTES_MAX));
    }
  }

  /** As token servers answer (RFC 6749, section 5.1), that of a machine among them. */
  static Token token(JsonNode answer, Instant now) {
    long seconds = answer.path("expires_in").asLong(0);
    return new Token(required(answer, "access_token"), now.plusSeconds(seconds));
  }

  private static String required(JsonNode answer, String field) {
    String text = answer.path(field).asText("");
    if (text.isEmpty()) {
      throw new ArtifactException("the token server's answer holds no token");
    }
    return text;
  }

  private static byte[] encoded(Map<String, String> form) {
    StringBuilder text = new StringBuilder();
    form.forEach(
        (name, value) ->
            text.append(text.isEmpty() ? "" : "&")
                .append(name)
                .append('=')
                .append(URLEncoder.encode(value, StandardCharsets.UTF_8)));
    return text.toString().getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public void close() {
    http.close();
  }
}
