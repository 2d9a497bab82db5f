package io.verdier.cache.artifact;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.cache.outbound.OutboundClient;
import io.verdier.cache.outbound.OutboundClient.Answer;
import io.verdier.cache.outbound.OutboundClient.Ask;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A repository of the Hugging Face Hub, or of a mirror that speaks its API. Thread-safe.
 *
 * <p>One request lists the commit with sizes and checksums. A file's address redirects to one that
 * is good for some minutes; it is asked for again only when that one is refused, because the Hub
 * counts such requests.
 */
final class HubSource implements Source {
  private static final int LISTING_BYTES_MAX = 64 << 20;

  /** What an address that was good for some minutes is answered with after them. */
  private static final Set<Integer> EXPIRED = Set.of(400, 401, 403, 404, 410);

  private static final ObjectMapper JSON = new ObjectMapper();

  private final OutboundClient http;
  private final URI endpoint;
  private final ArtifactUri.Hub repository;
  private final Optional<Token> token;
  private final Map<String, URI> direct = new ConcurrentHashMap<>(); // by file name
  private volatile String commit;

  /**
   * Who asks. Immutable.
   *
   * @param text secret
   * @param place where the operator keeps it, for error texts
   */
  record Token(String text, String place) {
    @Override
    public String toString() {
      return "Token[" + place + "]";
    }
  }

  /**
   * @param http closed with this
   * @param token empty: nobody is logged in
   */
  HubSource(OutboundClient http, URI endpoint, ArtifactUri.Hub repository, Optional<Token> token) {
    this.http = http;
    this.endpoint = endpoint;
    this.repository = repository;
    this.token = token;
    this.commit = repository.revision();
  }

  @Override
  public String shown() {
    return repository.shown();
  }

  @Override
  public Listing list() throws IOException {
    URI address =
        at(
            "/api/models/%s/revision/%s?blobs=true"
                .formatted(repository.repository(), encode(repository.revision())));
    try (Answer answer = http.send(Ask.get(address, headers()))) {
      Retry.requireNotBusy(answer);
      if (answer.status() != 200) {
        throw refusal(address, answer);
      }
      JsonNode info = JSON.readTree(answer.bytes(LISTING_BYTES_MAX));
      String sha = info.path("sha").asText("");
      if (!sha.matches("[0-9a-f]{7,64}")) {
        throw new ArtifactException(shown() + ": the Hub's answer names no commit");
      }
      commit = sha;
      return new Listing(sha, files(info.path("siblings")));
    }
  }

  private List<RemoteFile> files(JsonNode siblings) throws IOException {
    List<RemoteFile> files = new ArrayList<>();
    for (JsonNode sibling : siblings) {
      String name = sibling.path("rfilename").asText("");
      if (RemoteFile.climbs(name)) {
        throw new ArtifactException(shown() + ": the repository names a file outside of itself");
      }
      if (RemoteFile.isSafe(name)) {
        Optional<RemoteFile> file = listed(name, sibling);
        files.add(file.isPresent() ? file.get() : asked(name));
      }
    }
    return files;
  }

  private static Optional<RemoteFile> listed(String name, JsonNode sibling) {
    JsonNode lfs = sibling.path("lfs");
    String sha256 = lfs.path("sha256").asText(lfs.path("oid").asText(""));
    String git = sibling.path("blobId").asText("");
    JsonNode size = lfs.has("size") ? lfs.path("size") : sibling.path("size");
    if (!size.isIntegralNumber() || (sha256.isEmpty() && git.isEmpty())) {
      return Optional.empty();
    }
    Checksum checksum = checksum(sha256.isEmpty() ? git : sha256);
    return Optional.of(new RemoteFile(name, size.asLong(), checksum, checksum.value()));
  }

  /** From a mirror that lists names alone: one request for each file, as Python's client does. */
  private RemoteFile asked(String name) throws IOException {
    Map<String, String> headers = new HashMap<>(headers());
    headers.put("Accept-Encoding", "identity");
    URI address = address(name);
    for (int hops = 0; hops < 5; hops++) {
      try (Answer answer = http.sendOnce(new Ask("HEAD", address, headers, null))) {
        Retry.requireNotBusy(answer);
        Optional<String> tag = answer.header("X-Linked-Etag").or(() -> answer.header("ETag"));
        Optional<String> size =
            answer.header("X-Linked-Size").or(() -> answer.header("Content-Length"));
        Optional<String> location = answer.header("Location");
        boolean redirects = answer.status() / 100 == 3 && answer.header("X-Linked-Etag").isEmpty();
        Optional<URI> renamed = redirects ? renamed(address, location) : Optional.empty();
        if (renamed.isPresent()) {
          address = renamed.get();
          continue;
        }
        if (answer.status() >= 400 || tag.isEmpty() || size.isEmpty()) {
          throw refusal(address, answer);
        }
        Checksum checksum = checksum(tag.get().replaceFirst("^W/", "").replace("\"", ""));
        return new RemoteFile(name, Long.parseLong(size.get()), checksum, checksum.value());
      }
    }
    throw new ArtifactException(shown() + ": the Hub redirects in a circle");
  }

  /** Of a repository that was renamed: elsewhere on the Hub, for the token goes along. */
  private static Optional<URI> renamed(URI address, Optional<String> location) {
    try {
      return location
          .map(it -> address.resolve(URI.create(it)))
          .filter(it -> OutboundClient.isSameOrigin(address, it));
    } catch (IllegalArgumentException malformed) {
      return Optional.empty();
    }
  }

  private static Checksum checksum(String tag) {
    Checksum.Kind kind =
        tag.matches("[0-9a-fA-F]{64}")
            ? Checksum.Kind.SHA256
            : tag.matches("[0-9a-fA-F]{40}") ? Checksum.Kind.GIT : Checksum.Kind.NONE;
    if (!tag.matches("[A-Za-z0-9._-]{1,128}") || tag.contains("..")) {
      throw new ArtifactException("the Hub gives a file an entity tag that is no file name");
    }
    return new Checksum(kind, tag);
  }

  @Override
  public Answer open(RemoteFile file, long from, long to) throws IOException {
    Map<String, String> headers = new HashMap<>();
    headers.put("Range", "bytes=%d-%d".formatted(from, to - 1));
    headers.put("Accept-Encoding", "identity");
    URI known = direct.get(file.name());
    if (known != null) {
      Answer answer = http.send(Ask.get(known, headers));
      if (!EXPIRED.contains(answer.status())) {
        return answer;
      }
      answer.close();
      direct.remove(file.name(), known); // unless another thread has a new one already
    }
    headers.putAll(headers());
    URI address = address(file.name());
    Answer answer = http.send(Ask.get(address, headers));
    if (answer.status() == 206 && !OutboundClient.isSameOrigin(address, answer.uri())) {
      direct.put(file.name(), answer.uri());
    }
    return answer;
  }

  private URI address(String name) {
    String path =
        Stream.of(name.split("/")).map(HubSource::encode).collect(Collectors.joining("/"));
    return at("/%s/resolve/%s/%s".formatted(repository.repository(), encode(commit), path));
  }

  private URI at(String path) {
    return URI.create(endpoint.toString().replaceAll("/+$", "") + path);
  }

  private static String encode(String segment) {
    return URLEncoder.encode(segment, StandardCharsets.UTF_8).replace("+", "%20");
  }

  private Map<String, String> headers() {
    return token.map(it -> Map.of("Authorization", "Bearer " + it.text)).orElse(Map.of());
  }

  @Override
  public ArtifactException refusal(RemoteFile file, Answer answer) throws IOException {
    return refusal(address(file.name()), answer);
  }

  /** By the Hub's error codes; those of a mirror may lack them. */
  private ArtifactException refusal(URI address, Answer answer) {
    String page = at("/" + repository.repository()).toString();
    String code = answer.header("X-Error-Code").orElse("");
    String message = answer.header("X-Error-Message").orElse("");
    int status = answer.status();
    if (code.equals("GatedRepo")) {
      return gated(address, page);
    }
    if (code.equals("RevisionNotFound")) {
      return new ArtifactException(
          "%s: the repository has no branch, tag or commit %s. Correct --revision, or what follows @; %s/refs lists them."
              .formatted(repository.repository(), repository.revision(), page));
    }
    if (code.equals("EntryNotFound")) {
      return new ArtifactException(
          "%s: a file of the repository is not there any more. Start again."
              .formatted(repository.shown()));
    }
    if (message.contains("disabled")) {
      return new ArtifactException("%s: access is disabled; see %s".formatted(shown(), page));
    }
    if (code.equals("RepoNotFound") || status == 401 || status == 403 || status == 404) {
      return notFound(status, page);
    }
    return new ArtifactException(
        "%s: the Hub answers with status %d. Is %s a Hub, and is the name right?"
            .formatted(shown(), status, endpoint.getHost()));
  }

  private ArtifactException gated(URI address, String page) {
    String how =
        token
            .map(
                it ->
                    "The account of the token in %s has no access yet: accept the terms on %s with it, or set the token of another account."
                        .formatted(it.place, page))
            .orElse(
                "Accept its terms on %s, then start with HF_TOKEN set to a token of that account; none is set."
                    .formatted(page));
    return new ArtifactException("Cannot access gated repo for url %s. %s".formatted(address, how));
  }

  /** The Hub does not tell strangers what exists. */
  private ArtifactException notFound(int status, String page) {
    String how =
        status == 401
            ? "The token in %s is not valid, or there is no such repository."
            : "There is none, or the account of the token in %s may not see it.";
    String who =
        token
            .map(it -> how.formatted(it.place))
            .orElse("There is none, or it is private and needs a token in HF_TOKEN; none is set.");
    return new ArtifactException(
        "%s: no such model repository on the Hub. %s Look at %s"
            .formatted(repository.repository(), who, page));
  }

  @Override
  public void close() {
    http.close();
  }
}
