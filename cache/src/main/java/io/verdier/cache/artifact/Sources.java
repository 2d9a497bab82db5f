package io.verdier.cache.artifact;

import io.verdier.cache.outbound.Authority;
import io.verdier.cache.outbound.OutboundClient;
import io.verdier.cache.outbound.OutboundPolicy;
import io.verdier.conf.ServerConfig;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;

/**
 * Opens sources with the credentials and the outbound policy that the operator chose. Immutable.
 *
 * <p>Cloud Storage and the Hub are named by the operator or by this program, never by a client, so
 * they may lie at private addresses, as they do behind Private Service Connect. What they redirect
 * to, and every other address, may not.
 */
final class Sources {
  private static final URI CLOUD_STORAGE = URI.create("https://storage.googleapis.com");

  private static final Path PRODUCT = Path.of("/sys/class/dmi/id/product_name");

  /** Without a byte for so long a connection is broken. */
  private static final int SILENCE_SECONDS = 30;

  private final ServerConfig.Artifacts config;
  private final OutboundPolicy policy;
  private final Retry retry;
  private final InstantSource clock;

  Sources(ServerConfig.Artifacts config, Retry retry, InstantSource clock) {
    this.config = config;
    this.retry = retry;
    this.clock = clock;
    Set<Authority> allowed = new HashSet<>();
    for (String host : config.allowedHosts()) {
      try {
        allowed.add(Authority.parse(host));
      } catch (IllegalArgumentException malformed) {
        throw new ArtifactException(
            "--allowed-outbound-hosts: " + malformed.getMessage(), malformed);
      }
    }
    this.policy = new OutboundPolicy(allowed);
  }

  Source hub(ArtifactUri.Hub repository) {
    URI endpoint = config.hub().endpoint();
    return new HubSource(client(policy.with(endpoint)), endpoint, repository, hubToken());
  }

  private Optional<HubSource.Token> hubToken() {
    if (config.hub().token().isPresent()) {
      return config.hub().token().map(it -> new HubSource.Token(it, "HF_TOKEN"));
    }
    Path file = config.hub().tokenFile();
    try {
      return Optional.of(Files.readString(file).strip())
          .filter(it -> it.matches("[!-~]+"))
          .map(it -> new HubSource.Token(it, "the file " + file));
    } catch (IOException absent) {
      return Optional.empty();
    }
  }

  Source gcs(ArtifactUri.Gcs place) {
    URI base = config.google().emulator().orElse(CLOUD_STORAGE);
    return new GcsSource(client(policy.with(base)), base, place, tokens());
  }

  private GoogleTokens tokens() {
    ServerConfig.Google google = config.google();
    if (google.emulator().isPresent()) {
      return GoogleTokens.none();
    }
    return google
        .credentials()
        .map(file -> GoogleTokens.ofFile(file, policy, retry, clock))
        .orElseGet(
            () ->
                GoogleTokens.ofMachine(
                    google.metadataHost(), isGoogles(PRODUCT), policy, retry, clock));
  }

  /** Whether the firmware says that this is a machine of Google's; containers see that too. */
  static boolean isGoogles(Path product) {
    try {
      return Files.readString(product).strip().startsWith("Google");
    } catch (IOException notLinux) {
      return false;
    }
  }

  Source url(ArtifactUri.Url url) {
    return new UrlSource(client(policy), url);
  }

  private static OutboundClient client(OutboundPolicy policy) {
    return new OutboundClient(policy, SILENCE_SECONDS);
  }
}
