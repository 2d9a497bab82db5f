package io.verdier.cache.artifact;

import io.verdier.cache.outbound.Authority;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Pattern;

/** Where an artifact lies. Parsed once, from the operator's or a client's words. Immutable. */
public sealed interface ArtifactUri {

  /** A directory of this host. */
  record Directory(Path path) implements ArtifactUri {
    @Override
    public String shown() {
      return path.toString();
    }
  }

  /**
   * A repository of the Hugging Face Hub.
   *
   * @param repository {@code org/name}
   * @param revision branch, tag or commit
   */
  record Hub(String repository, String revision) implements ArtifactUri {
    @Override
    public String shown() {
      return revision.equals(MAIN) ? repository : repository + "@" + revision;
    }
  }

  /**
   * All objects of a bucket whose names begin alike: what people call a directory.
   *
   * @param prefix without slashes at its ends; empty: the whole bucket
   */
  record Gcs(String bucket, String prefix) implements ArtifactUri {
    @Override
    public String shown() {
      return "gs://" + bucket + (prefix.isEmpty() ? "" : "/" + prefix);
    }
  }

  /** An archive behind an address, which may carry a signature that nobody else must see. */
  record Url(URI address) implements ArtifactUri {
    @Override
    public String shown() {
      Authority place = Authority.of(address);
      String port = address.getPort() < 0 ? "" : ":" + place.port();
      return address.getScheme() + "://" + address.getHost() + port + address.getPath();
    }

    /** With what a query names, but for signatures. Not to be shown. */
    @Override
    public String identity() {
      String query = SignedQuery.unsigned(address.getRawQuery());
      return query.isEmpty() ? shown() : shown() + "?" + query;
    }

    @Override
    public String toString() {
      return "Url[" + shown() + "]";
    }
  }

  /** The branch of a repository that is meant where none is named. */
  String MAIN = "main";

  Pattern REPOSITORY =
      Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][\\w.-]{0,95}");
  Pattern REVISION = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._/-]{0,200}");
  Pattern GCS = Pattern.compile("gs://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/+(.*?))?/*");

  /** As people may read it: without a signature or password. */
  String shown();

  /**
   * What tells it from every other; two signatures of one address are the same artifact. It may
   * hold a secret.
   */
  default String identity() {
    return shown();
  }

  /**
   * Reads a source: an existing directory, {@code gs://bucket/dir}, {@code https://…}, else a Hub
   * repository {@code org/name} (also {@code hf://org/name}, and either with {@code @revision}).
   *
   * @param revision of a Hub repository that names none itself; others have none
   * @throws ArtifactException if it is none of these
   */
  static ArtifactUri parse(String text, Optional<String> revision) {
    Optional<Path> directory = text.contains("://") ? Optional.empty() : directory(text);
    return directory.isPresent() ? new Directory(directory.get()) : remote(text, revision);
  }

  /**
   * The same, where no directory of this host can be meant.
   *
   * @throws ArtifactException if it is nothing else either
   */
  static ArtifactUri parseRemote(String text) {
    return remote(text, Optional.empty());
  }

  private static ArtifactUri remote(String text, Optional<String> revision) {
    if (text.startsWith("gs://")) {
      return gcs(text);
    }
    if (text.startsWith("https://") || text.startsWith("http://")) {
      return url(text);
    }
    return hub(text.startsWith("hf://") ? text.substring("hf://".length()) : text, revision);
  }

  private static Hub hub(String name, Optional<String> revision) {
    if (name.contains("://")) {
      String scheme = name.substring(0, name.indexOf("://"));
      throw new ArtifactException(
          "%s: addresses are fetched from gs:// and https://; others, as Hub repositories, are named org/name."
              .formatted(scheme));
    }
    int at = name.indexOf('@');
    String repository = at < 0 ? name : name.substring(0, at);
    if (!REPOSITORY.matcher(repository).matches() || repository.contains("..")) {
      throw new ArtifactException(
          "%s: no such directory. Pass a directory, gs://bucket/dir, or org/name of the Hugging Face Hub."
              .formatted(name));
    }
    if (at < 0) {
      return new Hub(name, revision.map(it -> checked(it, "--revision")).orElse(MAIN));
    }
    String own = checked(name.substring(at + 1), repository + "@");
    if (revision.isPresent() && !revision.get().equals(own)) {
      throw new ArtifactException(
          "%s: --revision %s names another revision. Leave one of them out."
              .formatted(name, revision.get()));
    }
    return new Hub(repository, own);
  }

  private static Optional<Path> directory(String text) {
    try {
      return Optional.of(Path.of(text)).filter(Files::isDirectory).map(Path::toAbsolutePath);
    } catch (InvalidPathException malformed) {
      throw new ArtifactException("not a path, and not the name of a model", malformed);
    }
  }

  private static String checked(String revision, String where) {
    if (!REVISION.matcher(revision).matches() || revision.contains("..")) {
      throw new ArtifactException(where + ": not the name of a branch, tag or commit");
    }
    return revision;
  }

  private static Gcs gcs(String text) {
    var matcher = GCS.matcher(text);
    if (!matcher.matches()) {
      throw new ArtifactException(text + ": not an address of the form gs://bucket/dir");
    }
    return new Gcs(matcher.group(1), Optional.ofNullable(matcher.group(2)).orElse(""));
  }

  private static Url url(String text) {
    try {
      URI address = new URI(text);
      if (address.getHost() != null && address.getRawUserInfo() == null) {
        return new Url(address);
      }
    } catch (URISyntaxException malformed) {
      // Falls through: the text may hold a signature, so neither it nor the reason is repeated.
    }
    throw new ArtifactException("the https address of the model is malformed");
  }
}
