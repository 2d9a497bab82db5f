package io.verdier.cache.artifact;

import io.verdier.cache.outbound.OutboundClient;
import io.verdier.cache.outbound.OutboundClient.Answer;
import io.verdier.cache.outbound.OutboundClient.Ask;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * One archive behind an https address. Thread-safe.
 *
 * <p>A signature is good for GET alone, so even size and version are asked for by GET, of one byte;
 * no header but the range goes along. In place of {@code If-Match} the version that each answer
 * names is compared. Where they name none, what is on the disk is never taken for what is there
 * now, and the file is fetched in one piece.
 */
final class UrlSource implements Source {
  private static final Pattern TOTAL = Pattern.compile("bytes 0-0/(\\d{1,18})");
  private static final Pattern CRC32C = Pattern.compile("(?:^|,\\s*)crc32c=([A-Za-z0-9+/=]+)");

  private final OutboundClient http;
  private final ArtifactUri.Url url;

  /**
   * @param http closed with this
   */
  UrlSource(OutboundClient http, ArtifactUri.Url url) {
    this.http = http;
    this.url = url;
  }

  @Override
  public String shown() {
    return url.shown();
  }

  @Override
  public Listing list() throws IOException {
    Archive.Kind kind = Archive.Kind.of(shown());
    try (Answer answer = open(0, 1)) {
      Retry.requireNotBusy(answer);
      Optional<Long> size =
          switch (answer.status()) {
            case 206 -> total(answer);
            case 200 -> answer.header("Content-Length").map(Long::parseLong);
            default -> throw refusal(answer.status());
          };
      RemoteFile file =
          new RemoteFile(kind.fileName(), size.orElse(-1L), checksum(answer), version(answer));
      return file.isVersioned()
          ? Listing.of(List.of(file))
          : new Listing(Checksum.ofText(UUID.randomUUID().toString()), List.of(file));
    }
  }

  /** Empty: the server names none. */
  private static String version(Answer answer) {
    return answer
        .header("x-goog-generation")
        .or(() -> answer.header("ETag"))
        .or(() -> answer.header("Last-Modified"))
        .orElse("");
  }

  @Override
  public boolean isListed(RemoteFile file, Answer answer) {
    return file.version().isEmpty() || file.version().equals(version(answer));
  }

  private static Optional<Long> total(Answer answer) {
    Matcher range = TOTAL.matcher(answer.header("Content-Range").orElse(""));
    return range.matches() ? Optional.of(Long.parseLong(range.group(1))) : Optional.empty();
  }

  /** Cloud Storage says it with every answer, whatever the part. */
  private static Checksum checksum(Answer answer) {
    Matcher hash = CRC32C.matcher(answer.header("x-goog-hash").orElse(""));
    return hash.find()
        ? new Checksum(Checksum.Kind.CRC32C, GcsSource.hex(hash.group(1)))
        : Checksum.NONE;
  }

  @Override
  public Answer open(RemoteFile file, long from, long to) throws IOException {
    return open(from, to);
  }

  private Answer open(long from, long to) throws IOException {
    Map<String, String> headers = new HashMap<>();
    headers.put("Range", "bytes=%d-%d".formatted(from, to - 1));
    return http.send(Ask.get(url.address(), headers));
  }

  @Override
  public ArtifactException refusal(RemoteFile file, Answer answer) {
    return refusal(answer.status());
  }

  private ArtifactException refusal(int status) {
    String reason =
        switch (status) {
          case 400, 401, 403, 410 ->
              "the server refuses it (status %d). Has the signature expired? Make a new address."
                  .formatted(status);
          case 404 -> "there is nothing at this address";
          default -> "the server answers with status " + status;
        };
    return new ArtifactException(shown() + ": " + reason);
  }

  @Override
  public void close() {
    http.close();
  }
}
