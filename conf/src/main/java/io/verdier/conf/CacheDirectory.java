package io.verdier.conf;

import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/**
 * Where downloads and packed weights go, and where other tools keep theirs, when nobody says. No
 * state.
 *
 * @param origin the variable that decided, or the default
 * @param cacheHome the user's directory of caches; empty: it cannot be written to
 * @param cloudConfig directory of the gcloud command's settings; empty: there is none
 */
record CacheDirectory(
    Path path, Origin origin, Optional<Path> cacheHome, Optional<Path> cloudConfig) {

  /**
   * {@code XDG_CACHE_HOME/verdier}, else {@code ~/.cache/verdier} where the home directory can be
   * written (in a container it often cannot), else a directory of the user's own among the
   * temporary files.
   */
  static CacheDirectory choose(Map<String, String> environment) {
    String cacheHome = environment.getOrDefault("XDG_CACHE_HOME", "");
    String home = environment.getOrDefault("HOME", System.getProperty("user.home", ""));
    Optional<Path> config = cloudConfig(environment, home);
    if (cacheHome.startsWith("/")) { // the XDG specification ignores relative ones
      Path caches = Path.of(cacheHome);
      Origin origin = new Origin.Variable("XDG_CACHE_HOME");
      return new CacheDirectory(caches.resolve("verdier"), origin, Optional.of(caches), config);
    }
    if (!home.isBlank() && isWritableDirectory(home)) {
      Path caches = Path.of(home, ".cache");
      return new CacheDirectory(
          caches.resolve("verdier"), new Origin.Default(), Optional.of(caches), config);
    }
    String user = System.getProperty("user.name", "").replaceAll("[^A-Za-z0-9._-]", "_");
    Path temporary = Path.of(System.getProperty("java.io.tmpdir", "/tmp"));
    return new CacheDirectory(
        temporary.resolve("verdier-" + user), new Origin.Default(), Optional.empty(), config);
  }

  private static Optional<Path> cloudConfig(Map<String, String> environment, String home) {
    String named = environment.getOrDefault("CLOUDSDK_CONFIG", "");
    try {
      return named.startsWith("/")
          ? Optional.of(Path.of(named))
          : Optional.of(home).filter(it -> !it.isBlank()).map(it -> Path.of(it, ".config/gcloud"));
    } catch (InvalidPathException e) {
      return Optional.empty();
    }
  }

  /** Where Hugging Face's tools keep what is the user's, as they choose it. */
  Path hubHome(Path ownCache) {
    return cacheHome.orElse(ownCache).resolve("huggingface");
  }

  /** What {@code gcloud auth application-default login} has left, if it was used. */
  Optional<Path> gcloudCredentials() {
    return cloudConfig
        .map(it -> it.resolve("application_default_credentials.json"))
        .filter(Files::isRegularFile);
  }

  private static boolean isWritableDirectory(String name) {
    try {
      Path path = Path.of(name);
      return Files.isDirectory(path) && Files.isWritable(path);
    } catch (InvalidPathException e) {
      return false;
    }
  }
}
