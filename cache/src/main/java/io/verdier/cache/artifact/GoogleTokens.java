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
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
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
  private static final int ANSWER_BYTES_MAX = 64 << 10;

  /** Tokens are renewed this long before they expire: a range may take a while. */
  private static final Duration MARGIN = Duration.ofMinutes(4);

  private static final int METADATA_SECONDS = 2;

  /** So long nobody asks a metadata server again that had no token: public buckets need none. */
  private static final Duration WITHOUT = Duration.ofMinutes(5);

  private static final ObjectMapper JSON = new ObjectMapper();

  private final Origin origin;
  private final Retry retry;
  private final InstantSource clock;
  private CredentialsFile.@Nullable Token cached; // this and all below under the object's lock
  private boolean isGoogles; // the machine, or so it seems
  private boolean isRefused; // Cloud Storage has refused to serve without a token
  private @Nullable Instant withoutUntil; // null: the metadata server is to be asked
  private String whyWithout = "";

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
  private record File(CredentialsFile file) implements Origin {
    @Override
    public String account() {
      return file.account();
    }

    @Override
    public void close() {
      file.close();
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
    return new GoogleTokens(new File(CredentialsFile.read(file, policy)), retry, clock);
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
   *
   * @param refused token; empty: there was none
   */
  synchronized boolean forget(Optional<String> refused) {
    if (cached != null && refused.equals(Optional.of(cached.text()))) {
      cached = null; // else another thread has a new one already
    }
    if (refused.isPresent() || cached != null) {
      return true;
    }
    if (!(origin instanceof Metadata)) {
      return false;
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
    CredentialsFile.Token token = cached;
    if (token == null || clock.instant().plus(MARGIN).isAfter(token.expiry())) {
      Optional<CredentialsFile.Token> fetched =
          switch (origin) {
            case Anonymous none -> Optional.empty();
            case File named -> Optional.of(retry.call(() -> named.file.token(clock)));
            case Metadata machine -> ask(machine);
          };
      if (fetched.isEmpty()) {
        return Optional.empty();
      }
      token = fetched.get();
      cached = token;
    }
    return Optional.of(token.text());
  }

  private Optional<CredentialsFile.Token> ask(Metadata machine) throws IOException {
    if (withoutUntil != null && clock.instant().isBefore(withoutUntil)) {
      return Optional.empty();
    }
    try {
      Optional<CredentialsFile.Token> token = askPatiently(machine);
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
  private Optional<CredentialsFile.Token> askPatiently(Metadata machine) throws IOException {
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

  private Optional<CredentialsFile.Token> askOnce(Metadata machine) throws IOException {
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
      JsonNode body = JSON.readTree(answer.bytes(ANSWER_BYTES_MAX));
      return Optional.of(CredentialsFile.token(body, clock.instant()));
    }
  }

  @Override
  public void close() {
    origin.close();
  }
}
