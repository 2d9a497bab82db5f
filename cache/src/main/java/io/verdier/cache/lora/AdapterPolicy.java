package io.verdier.cache.lora;

import io.verdier.cache.artifact.ArtifactException;
import io.verdier.cache.artifact.ArtifactUri;
import io.verdier.cache.lora.AdapterSource.Namer;
import java.io.IOException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Which places clients may name adapters of. Immutable.
 *
 * <p>The operator allows beginnings: {@code gs://bucket/adapters}, {@code hf://org}, {@code
 * https://host/}, {@code /directory}. A beginning ends where a name does: {@code hf://org} does not
 * allow {@code hf://organ/x}; {@code hf://org/name} allows all of its revisions. A directory allows
 * what really lies below it, whatever links say.
 */
public final class AdapterPolicy {
  private static final int PLACE_CHARS_MAX = 8192;
  private static final String FILE = "file://";
  private static final String HUB = "hf://";

  /** A dot, a slash of either kind, or a percent sign. */
  private static final Pattern ENCODED = Pattern.compile("(?i)%(2e|2f|5c|25)");

  private final List<String> allowed;

  public AdapterPolicy(List<String> allowed) {
    this.allowed = List.copyOf(allowed);
  }

  /**
   * Checks what a client names, by its words alone.
   *
   * @return it, as it is spelled here
   * @throws ArtifactException if it is not allowed; the text is for the client
   */
  public AdapterSource source(String words) {
    String place = words.strip();
    boolean isText = place.chars().noneMatch(Character::isISOControl);
    if (place.isEmpty() || place.length() > PLACE_CHARS_MAX || !isText) {
      throw new ArtifactException(
          "An adapter is named by gs://bucket/dir, org/name of the Hugging Face Hub, or the https"
              + " address of an archive.");
    }
    if (place.startsWith(FILE)) {
      place = place.substring(FILE.length());
    } else if (!place.startsWith("/") && !place.contains("://")) {
      place = HUB + place;
    }
    AdapterSource source = AdapterSource.ofClient(place);
    String path = source.shown();
    if (climbs(path) || !isAllowed(path)) {
      throw forbidden(source);
    }
    if (!place.startsWith("/")) {
      ArtifactUri.parseRemote(place); // what is malformed need not wait for its turn
    }
    return source;
  }

  /** A server may decode dots and slashes, more than once, and drop what follows a semicolon. */
  private static boolean climbs(String path) {
    return List.of(path.split("[/\\\\;]", -1)).contains("..") || ENCODED.matcher(path).find();
  }

  private boolean isAllowed(String place) {
    return allowed.stream()
        .anyMatch(
            start ->
                place.equals(start)
                    || place.startsWith(start.endsWith("/") ? start : start + "/")
                    || (place.startsWith(HUB) && place.startsWith(start + "@")));
  }

  private static ArtifactException forbidden(AdapterSource source) {
    return new ArtifactException(
        "%s: requests may not name adapters there. The operator allows places with --allowed-lora-sources."
            .formatted(source.shown()));
  }

  /**
   * Where a source lies. Asks the disk.
   *
   * @throws ArtifactException if it is nowhere, or a link leads out of what is allowed
   */
  public ArtifactUri resolve(AdapterSource source) {
    if (source.namer() == Namer.OPERATOR) {
      return ArtifactUri.parse(source.place(), Optional.empty());
    }
    if (!source.place().startsWith("/")) {
      return ArtifactUri.parseRemote(source.place());
    }
    try {
      Path real = Path.of(source.place()).toRealPath();
      for (String start : allowed) {
        if (start.startsWith("/") && real.startsWith(Path.of(start).toRealPath())) {
          return new ArtifactUri.Directory(real);
        }
      }
    } catch (IOException | InvalidPathException absent) {
      throw new ArtifactException(source.shown() + ": there is no such directory.");
    }
    throw forbidden(source);
  }
}
