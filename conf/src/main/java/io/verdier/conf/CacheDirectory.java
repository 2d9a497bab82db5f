package io.verdier.conf;

import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Map;

/**
 * Where downloads and packed weights go when nobody says. No state.
 *
 * @param origin the variable that decided, or the default
 */
record CacheDirectory(Path path, Origin origin) {

  /**
   * {@code XDG_CACHE_HOME/verdier}, else {@code ~/.cache/verdier} where the home directory can be
   * written (in a container it often cannot), else a directory of the user's own among the
   * temporary files.
   */
  static CacheDirectory choose(Map<String, String> environment) {
    String cacheHome = environment.getOrDefault("XDG_CACHE_HOME", "");
    if (cacheHome.startsWith("/")) { // the XDG specification ignores relative ones
      return new CacheDirectory(
          Path.of(cacheHome, "verdier"), new Origin.Variable("XDG_CACHE_HOME"));
    }
    String home = environment.getOrDefault("HOME", System.getProperty("user.home", ""));
    if (!home.isBlank() && isWritableDirectory(home)) {
      return new CacheDirectory(Path.of(home, ".cache", "verdier"), new Origin.Default());
    }
    String user = System.getProperty("user.name", "").replaceAll("[^A-Za-z0-9._-]", "_");
    Path temporary = Path.of(System.getProperty("java.io.tmpdir", "/tmp"));
    return new CacheDirectory(temporary.resolve("verdier-" + user), new Origin.Default());
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
