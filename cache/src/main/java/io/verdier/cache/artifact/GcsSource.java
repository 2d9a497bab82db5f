package io.verdier.cache.artifact;

import com.fasterxml.jackson.core.JsonProcessingException;
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
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Objects of Google Cloud Storage under a prefix, through the JSON API. Thread-safe.
 *
 * <p>Objects are listed once with their generations, and fetched in exactly those: one that is
 * replaced meanwhile is noticed, never mixed.
 */
final class GcsSource implements Source {
  private static final int PAGE_BYTES_MAX = 64 << 20;
  private static final int PAGES_MAX = 100;
  private static final int ERROR_BYTES_MAX = 64 << 10;
  private static final ObjectMapper JSON = new ObjectMapper();

  private final OutboundClient http;
  private final URI base;
  private final ArtifactUri.Gcs place;
  private final GoogleTokens tokens;

  /**
   * @param http closed with this
   * @param base of the API, without a path
   */
  GcsSource(OutboundClient http, URI base, ArtifactUri.Gcs place, GoogleTokens tokens) {
    this.http = http;
    this.base = base;
    this.place = place;
    this.tokens = tokens;
  }

  @Override
  public String shown() {
    return place.shown();
  }

  @Override
  public Listing list() throws IOException {
    List<RemoteFile> files = new ArrayList<>();
    Optional<String> page = Optional.empty();
    for (int pages = 0; pages < PAGES_MAX; pages++) {
      JsonNode found = page(page);
      for (JsonNode item : found.path("items")) {
        file(item).ifPresent(files::add);
      }
      page = Optional.of(found.path("nextPageToken").asText("")).filter(it -> !it.isEmpty());
      if (page.isEmpty()) {
        return Listing.of(requireFiles(files));
      }
    }
    throw new ArtifactException(shown() + ": there are more objects than any model has");
  }

  private List<RemoteFile> requireFiles(List<RemoteFile> files) {
    if (files.isEmpty()) {
      throw new ArtifactException(
          "%s: there are no objects under this name. Check the bucket and the directory."
              .formatted(shown()));
    }
    return files;
  }

  private String prefix() {
    return place.prefix().isEmpty() ? "" : place.prefix() + "/";
  }

  private JsonNode page(Optional<String> pageToken) throws IOException {
    URI address =
        at(
            "/o?prefix=%s&maxResults=1000&fields=%s%s"
                .formatted(
                    encode(prefix()),
                    encode(
                        "nextPageToken,items(name,size,generation,md5Hash,crc32c,contentEncoding)"),
                    pageToken.map(it -> "&pageToken=" + encode(it)).orElse("")));
    try (Answer answer = ask(address, Map.of())) {
      Retry.requireNotBusy(answer);
      if (answer.status() != 200) {
        throw refusal(answer);
      }
      return JSON.readTree(answer.bytes(PAGE_BYTES_MAX));
    } catch (JsonProcessingException malformed) {
      throw new ArtifactException(shown() + ": the answer is not Cloud Storage's JSON", malformed);
    }
  }

  private Optional<RemoteFile> file(JsonNode item) {
    String object = item.path("name").asText("");
    if (!object.startsWith(prefix()) || object.endsWith("/")) {
      return Optional.empty(); // the placeholder of a directory
    }
    String name = object.substring(prefix().length());
    if (RemoteFile.climbs(name)) {
      throw new ArtifactException(
          shown() + ": an object's name would lie outside of the directory");
    }
    if (!RemoteFile.isSafe(name)) {
      return Optional.empty(); // as somebody else's, in a bucket that is not a model's alone
    }
    if (item.path("contentEncoding").asText("").equals("gzip")) {
      throw new ArtifactException(
          "%s: %s is stored with Content-Encoding gzip. Upload it without."
              .formatted(shown(), name));
    }
    return Optional.of(
        new RemoteFile(
            name,
            Long.parseLong(item.path("size").asText("-1")),
            checksum(item),
            item.path("generation").asText("")));
  }

  /** Composite objects have no MD5; both are in base64. */
  private static Checksum checksum(JsonNode item) {
    String crc32c = item.path("crc32c").asText("");
    if (!crc32c.isEmpty()) {
      return new Checksum(Checksum.Kind.CRC32C, hex(crc32c));
    }
    String md5 = item.path("md5Hash").asText("");
    return md5.isEmpty() ? Checksum.NONE : new Checksum(Checksum.Kind.MD5, hex(md5));
  }

  static String hex(String base64) {
    try {
      return HexFormat.of().formatHex(Base64.getDecoder().decode(base64));
    } catch (IllegalArgumentException malformed) {
      return base64; // equals no checksum
    }
  }

  @Override
  public Answer open(RemoteFile file, long from, long to) throws IOException {
    String generation = file.version().isEmpty() ? "" : "&generation=" + encode(file.version());
    URI address = at("/o/" + encode(prefix() + file.name()) + "?alt=media" + generation);
    return ask(address, Map.of("Range", "bytes=%d-%d".formatted(from, to - 1)));
  }

  /**
   * Asks a second time where the token may be to blame: it has expired, or there was none. What a
   * good token may not see, or is not there, no other token will bring.
   */
  private Answer ask(URI address, Map<String, String> headers) throws IOException {
    Optional<String> token = tokens.token();
    Answer answer = http.send(Ask.get(address, with(token, headers)));
    boolean isTokens = answer.status() == 401 || (answer.status() == 403 && token.isEmpty());
    if (!isTokens || !tokens.forget(token)) {
      return answer;
    }
    answer.close();
    return http.send(Ask.get(address, with(tokens.token(), headers)));
  }

  private URI at(String path) {
    String bucket = "/storage/v1/b/" + encode(place.bucket());
    return URI.create(base.toString().replaceAll("/+$", "") + bucket + path);
  }

  private static Map<String, String> with(Optional<String> token, Map<String, String> headers) {
    Map<String, String> all = new HashMap<>(headers);
    token.ifPresent(it -> all.put("Authorization", "Bearer " + it));
    return all;
  }

  private static String encode(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
  }

  @Override
  public ArtifactException refusal(RemoteFile file, Answer answer) throws IOException {
    if (answer.status() == 404) {
      return new ArtifactException(
          "%s: %s is not there any more. Start again.".formatted(shown(), file.name()));
    }
    return refusal(answer);
  }

  /** Google's own message names the account and the permission that it lacks. */
  private ArtifactException refusal(Answer answer) throws IOException {
    String message = message(answer.bytes(ERROR_BYTES_MAX));
    String said = message.isEmpty() ? "" : " Cloud Storage says: " + message;
    return new ArtifactException(
        switch (answer.status()) {
          case 401, 403 -> shown() + ": " + forbidden() + said;
          case 404 -> "%s: there is no such bucket. Check the name.%s".formatted(shown(), said);
          default ->
              "%s: Cloud Storage answers with status %d.%s"
                  .formatted(shown(), answer.status(), said);
        });
  }

  private String forbidden() {
    return tokens
        .whyWithout()
        .map(
            "it is not public, and there is no token to ask with: %s. Start again, or name credentials in GOOGLE_APPLICATION_CREDENTIALS."
                ::formatted)
        .orElseGet(
            () ->
                "%s may not read it. Grant it roles/storage.objectViewer on the bucket."
                    .formatted(tokens.account()));
  }

  private static String message(byte[] body) {
    try {
      String text = JSON.readTree(body).path("error").path("message").asText("");
      String line = text.replaceAll("\\p{Cntrl}+", " ").strip();
      return line.length() > 300 ? line.substring(0, 300) : line;
    } catch (IOException notJson) {
      return "";
    }
  }

  @Override
  public void close() throws IOException {
    tokens.close();
    http.close();
  }
}
