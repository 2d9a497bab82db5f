package io.verdier.cache.artifact;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.cache.outbound.OutboundClient;
import io.verdier.cache.outbound.OutboundClient.Answer;
import io.verdier.cache.outbound.OutboundClient.Ask;
import io.verdier.cache.outbound.OutboundPolicy;
import java.io.Closeable;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Base64;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Access tokens for Google's APIs, in the order of Application Default Credentials: a credentials
 * file, else the metadata server of the machine, else none, which is enough for public buckets.
 * Thread-safe: one thread fetches, the others wait for its token.
 *
 * <p>A metadata server that does not answer is one that is not there, or one that is not there yet:
 * on a node that has just started the pod may be faster. So it is asked with patience on a machine
 * of Google's, and everywhere once Cloud Storage has refused to serve without a token.
 */
final class GoogleTokens implements Closeable {
  private static final String SCOPE = "https://www.googleapis.com/auth/devstorage.read_only";
  private static final String TOKEN_URI = "https://oauth2.googleapis.com/token";
  private static final int ANSWER_BYTES_MAX = 64 << 10;

  /** Tokens are renewed this long before they expire: a range may take a while. */
  private static final Duration MARGIN = Duration.ofMinutes(4);

  private static final Duration ASSERTION_LIFE = Duration.ofHours(1);
  private static final int METADATA_SECONDS = 2;

  /** So long nobody asks a metadata server again that had no token: public buckets need none. */
  private static final Duration WITHOUT = Duration.ofMinutes(5);

  private static final int TOKEN_SECONDS = 20;
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Origin origin;
  private final Retry retry;
  private final InstantSource clock;
  private @Nullable Token cached; // this and all below under the object's lock
  private boolean isGoogles; // the machine, or so it seems
  private boolean isRefused; // Cloud Storage has refused to serve without a token
  private @Nullable Instant withoutUntil; // null: the metadata server is to be asked
  private String whyWithout = "";

  private record Token(String text, Instant expiry) {}

  /** Where tokens come from. */
  private sealed interface Origin extends Closeable {
    /** Whose they are. */
    String account();

    @Override
    void close();
  }

  /** There are none: an emulator, or a public bucket. */
  private record Anonymous() implements Origin {
    @Override
    public String account() {
      return "an anonymous caller (no credentials were found)";
    }

    @Override
    public void close() {}
  }

  /** A file that the operator names. */
  private record CredentialsFile(Path file, JsonNode content, OutboundClient http)
      implements Origin {
    @Override
    public String account() {
      String mail = content.path("client_email").asText("");
      return mail.isEmpty() ? "the account of " + file.getFileName() : mail;
    }

    @Override
    public void close() {
      http.close();
    }
  }

  /** The server that every machine of Google's cloud can ask about itself. */
  private record Metadata(URI base, OutboundClient http) implements Origin {
    @Override
    public String account() {
      return "the service account of this machine";
    }

    @Override
    public void close() {
      http.close();
    }
  }

  private GoogleTokens(Origin origin, Retry retry, InstantSource clock) {
    this.origin = origin;
    this.retry = retry;
    this.clock = clock;
  }

  static GoogleTokens none() {
    return new GoogleTokens(new Anonymous(), Retry.standard(), InstantSource.system());
  }

  /**
   * Of a credentials file.
   *
   * @throws ArtifactException if it cannot be used
   */
  static GoogleTokens ofFile(Path file, OutboundPolicy policy, Retry retry, InstantSource clock) {
    JsonNode content;
    try {
      content = JSON.readTree(Files.readAllBytes(file));
    } catch (IOException unreadable) {
      throw new ArtifactException(
          "GOOGLE_APPLICATION_CREDENTIALS: %s is not a readable JSON file".formatted(file),
          unreadable);
    }
    URI address = tokenUri(file, content);
    OutboundClient http = new OutboundClient(policy.with(address), TOKEN_SECONDS);
    return new GoogleTokens(new CredentialsFile(file, content, http), retry, clock);
  }

  private static URI tokenUri(Path file, JsonNode content) {
    try {
      URI address = URI.create(content.path("token_uri").asText(TOKEN_URI));
      if (address.getHost() != null) {
        return address;
      }
    } catch (IllegalArgumentException malformed) {
      // Said below.
    }
    throw new ArtifactException(
        "GOOGLE_APPLICATION_CREDENTIALS: %s has a token_uri that is no address".formatted(file));
  }

  /**
   * Of the metadata server, and anonymous where there is none.
   *
   * @param host as {@code GCE_METADATA_HOST} has it, with or without a port
   * @param isGoogles whether the machine seems to be one of Google's, and so to have one
   */
  static GoogleTokens ofMachine(
      String host, boolean isGoogles, OutboundPolicy policy, Retry retry, InstantSource clock) {
    URI base = URI.create("http://" + host);
    OutboundClient http = new OutboundClient(policy.with(base), METADATA_SECONDS);
    GoogleTokens tokens = new GoogleTokens(new Metadata(base, http), retry, clock);
    tokens.isGoogles = isGoogles;
    return tokens;
  }

  /** Whose tokens these are, for error texts. */
  String account() {
    return origin.account();
  }

  /**
   * Why there is no token though there might be one, for error texts; empty: there is one, or no
   * machine was asked.
   */
  synchronized Optional<String> whyWithout() {
    return Optional.of(whyWithout).filter(why -> !why.isEmpty());
  }

  /**
   * Drops a token that was refused, or the belief that none is needed; false where another try
   * would be no better.
   */
  synchronized boolean forget() {
    boolean had = cached != null;
    cached = null;
    if (had || !(origin instanceof Metadata)) {
      return had;
    }
    if (withoutUntil == null) {
      return true; // another thread was refused too, and the server is about to be asked
    }
    boolean isFirst = !isRefused;
    isRefused = true;
    if (isFirst) {
      withoutUntil = null;
    }
    return isFirst;
  }

  /**
   * A token that is good for some minutes; empty: ask without.
   *
   * @throws ArtifactException if the credentials are refused
   */
  synchronized Optional<String> token() throws IOException {
    if (origin instanceof Anonymous) {
      return Optional.empty();
    }
    Token token = cached;
    if (token == null || clock.instant().plus(MARGIN).isAfter(token.expiry)) {
      Optional<Token> fetched =
          switch (origin) {
            case Anonymous none -> Optional.empty();
            case CredentialsFile file -> Optional.of(retry.call(() -> exchange(file)));
            case Metadata machine -> ask(machine);
          };
      if (fetched.isEmpty()) {
        return Optional.empty();
      }
      token = fetched.get();
      cached = token;
    }
    return Optional.of(token.text);
  }

  private Optional<Token> ask(Metadata machine) throws IOException {
    if (withoutUntil != null && clock.instant().isBefore(withoutUntil)) {
      return Optional.empty();
    }
    try {
      Optional<Token> token = askPatiently(machine);
      withoutUntil = token.isPresent() ? null : clock.instant().plus(WITHOUT);
      if (token.isPresent()) {
        isRefused = false;
        whyWithout = "";
      }
      return token;
    } catch (IOException failed) {
      if (failed instanceof InterruptedIOException && !(failed instanceof SocketTimeoutException)) {
        throw failed; // nobody waits for it any more
      }
      withoutUntil = clock.instant().plus(WITHOUT);
      whyWithout =
          "the metadata server %s did not answer: %s"
              .formatted(machine.base.getAuthority(), NetworkFailure.reason(failed));
      return Optional.empty();
    }
  }

  /** Once, where there is no sign of Google's cloud: there nobody would ever answer. */
  private Optional<Token> askPatiently(Metadata machine) throws IOException {
    for (int failures = 1; ; failures++) {
      try {
        return askOnce(machine);
      } catch (IOException failed) {
        if (!isGoogles && !isRefused) {
          throw failed;
        }
        retry.waitAfter(failed, failures);
      }
    }
  }

  private Optional<Token> askOnce(Metadata machine) throws IOException {
    URI address =
        machine.base.resolve("/computeMetadata/v1/instance/service-accounts/default/token");
    Ask ask = Ask.get(address, Map.of("Metadata-Flavor", "Google"));
    try (Answer answer = machine.http.sendOnce(ask)) {
      if (answer.header("Metadata-Flavor").isEmpty()) {
        whyWithout = machine.base.getAuthority() + " is no metadata server of Google's cloud";
        return Optional.empty();
      }
      isGoogles = true;
      Retry.requireNotBusy(answer);
      if (answer.status() != 200) {
        whyWithout =
            "the metadata server has no token of a service account (status %d)"
                .formatted(answer.status());
        return Optional.empty();
      }
      return Optional.of(token(JSON.readTree(answer.bytes(ANSWER_BYTES_MAX))));
    }
  }

  private Token token(JsonNode answer) {
    String text = answer.path("access_token").asText("");
    if (text.isEmpty()) {
      throw new ArtifactException("the token server's answer holds no token");
    }
    long seconds = answer.path("expires_in").asLong(0);
    return new Token(text, clock.instant().plusSeconds(seconds));
  }

  private Token exchange(CredentialsFile file) throws IOException {
    String type = file.content.path("type").asText("");
    Map<String, String> form =
        switch (type) {
          case "service_account" ->
              Map.of(
                  "grant_type",
                  "urn:ietf:params:oauth:grant-type:jwt-bearer",
                  "assertion",
                  assertion(file));
          case "authorized_user" ->
              Map.of(
                  "grant_type", "refresh_token",
                  "client_id", file.content.path("client_id").asText(""),
                  "client_secret", file.content.path("client_secret").asText(""),
                  "refresh_token", file.content.path("refresh_token").asText(""));
          default ->
              throw new ArtifactException(
                  "GOOGLE_APPLICATION_CREDENTIALS: credentials of type %s are not supported; use those of a service account or a user, or the machine's own."
                      .formatted(type.isEmpty() ? "(none)" : type.replaceAll("\\W", "?")));
        };
    Ask ask = new Ask("POST", tokenUri(file.file, file.content), Map.of(), encoded(form));
    try (Answer answer = file.http.sendOnce(ask)) {
      Retry.requireNotBusy(answer);
      if (answer.status() != 200) {
        throw new ArtifactException(
            "GOOGLE_APPLICATION_CREDENTIALS: Google refuses the credentials of %s (status %d). Has the key been deleted, or the login expired?"
                .formatted(file.account(), answer.status()));
      }
      return token(JSON.readTree(answer.bytes(ANSWER_BYTES_MAX)));
    }
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

  /** A JSON web token that the account signs for itself (RFC 7523). */
  private String assertion(CredentialsFile file) {
    long now = clock.instant().getEpochSecond();
    var head = JSON.createObjectNode().put("alg", "RS256").put("typ", "JWT");
    String keyId = file.content.path("private_key_id").asText("");
    if (!keyId.isEmpty()) {
      head.put("kid", keyId);
    }
    var claims =
        JSON.createObjectNode()
            .put("iss", file.content.path("client_email").asText(""))
            .put("scope", SCOPE)
            .put("aud", file.content.path("token_uri").asText(TOKEN_URI))
            .put("iat", now)
            .put("exp", now + ASSERTION_LIFE.toSeconds());
    String text = base64(head.toString()) + "." + base64(claims.toString());
    return text + "." + signature(file, text);
  }

  private static String base64(String json) {
    return base64(json.getBytes(StandardCharsets.UTF_8));
  }

  private static String base64(byte[] bytes) {
    return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
  }

  private static String signature(CredentialsFile file, String text) {
    try {
      Signature signature = Signature.getInstance("SHA256withRSA");
      signature.initSign(key(file.content.path("private_key").asText("")));
      signature.update(text.getBytes(StandardCharsets.US_ASCII));
      return base64(signature.sign());
    } catch (GeneralSecurityException | IllegalArgumentException unusable) {
      // Without the cause: its text may quote the key.
      throw new ArtifactException(
          "GOOGLE_APPLICATION_CREDENTIALS: the private key in %s cannot be used"
              .formatted(file.file.getFileName()));
    }
  }

  private static PrivateKey key(String pem) throws GeneralSecurityException {
    String base64 = pem.replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
    byte[] der = Base64.getDecoder().decode(base64);
    return KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(der));
  }

  @Override
  public void close() {
    origin.close();
  }
}
