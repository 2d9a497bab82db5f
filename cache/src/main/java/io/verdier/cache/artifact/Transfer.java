package io.verdier.cache.artifact;

import io.verdier.cache.outbound.OutboundClient.Answer;
import io.verdier.cache.outbound.OutboundException;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * One file of a download. Thread-safe: ranges are fetched by several threads, each writes its own.
 */
final class Transfer {
  private static final Pattern CONTENT_RANGE =
      Pattern.compile("bytes (\\d{1,18})-(\\d{1,18})/(\\d{1,18}|\\*)");
  private static final int BUFFER_BYTES = 64 << 10;

  /** A connection that brings less than this in a minute counts as broken. */
  private static final long PACE_BYTES = 64 << 10;

  private static final long PACE_NANOS = 60_000_000_000L;

  /** Breaks of one range, with progress between them or not. */
  private static final int BREAKS_MAX = 100;

  private final Source source;
  private final Downloader.Wanted wanted;
  private final RemoteFile file;
  private final Downloader.Settings settings;
  private final Retry retry;
  private final Downloader.Meter meter;
  private final PartialFile partial;

  /** Whether somebody fetches it from end to end: the source knows no ranges. */
  private final AtomicBoolean whole = new AtomicBoolean();

  private final AtomicBoolean finishing = new AtomicBoolean();
  private final AtomicBoolean damagedOnce = new AtomicBoolean();
  private long reported; // to the meter; under the object's lock

  Transfer(
      Source source,
      Downloader.Wanted wanted,
      Downloader.Settings settings,
      Retry retry,
      Downloader.Meter meter)
      throws IOException {
    this.source = source;
    this.wanted = wanted;
    this.file = wanted.file();
    this.settings = settings;
    this.retry = retry;
    this.meter = meter;
    this.partial = PartialFile.open(wanted.partial(), file);
    report();
  }

  /** Work for one thread; returns what is to do after it. */
  @FunctionalInterface
  interface Job {
    List<Job> run() throws IOException;
  }

  long missing() {
    return file.size() - partial.present();
  }

  /** One for each range; one for the end where a killed process had fetched all. */
  List<Job> jobs() {
    long pieceBytes = file.isVersioned() ? settings.rangeBytes() : Math.max(1, file.size());
    List<Job> ranges =
        partial.gaps(pieceBytes).stream().<Job>map(range -> () -> fetch(range)).toList();
    return ranges.isEmpty() ? List.of(this::finished) : ranges;
  }

  void close() {
    try {
      partial.close();
    } catch (IOException ignored) {
      // Nothing was to be written any more.
    }
  }

  /** How far a range is, and how often it broke. Owned by the thread that fetches it. */
  private static final class Position {
    private long at;
    private int breaksWithoutProgress;
    private int breaks;

    Position(long at) {
      this.at = at;
    }
  }

  private List<Job> fetch(PartialFile.Range range) throws IOException {
    Position position = new Position(range.from());
    while (position.at < range.to() && !partial.isComplete()) {
      long before = position.at;
      try {
        if (!request(position, range.to())) {
          return List.of(); // another thread brings the whole file
        }
      } catch (Disk failed) {
        throw failed.reason;
      } catch (IOException broken) {
        onBreak(position, before, broken);
        if (!file.isVersioned()) {
          startOver(position);
        }
      }
    }
    return finished();
  }

  /** The rest might be of another file by now. */
  private void startOver(Position position) throws IOException {
    partial.restart(file);
    position.at = 0;
    report();
  }

  private void onBreak(Position position, long before, IOException broken) {
    boolean goesOn = file.isVersioned() && !(broken instanceof NetworkFailure.SlowException);
    boolean progress = goesOn && position.at > before;
    position.breaksWithoutProgress = progress ? 1 : position.breaksWithoutProgress + 1;
    position.breaks++;
    try {
      if (position.breaks > BREAKS_MAX) {
        throw broken;
      }
      retry.waitAfter(broken, position.breaksWithoutProgress);
    } catch (IOException forGood) {
      throw givenUp(position, forGood);
    }
  }

  private ArtifactException givenUp(Position position, IOException reason) {
    if (reason instanceof OutboundException forbidden) {
      return new ArtifactException(
          "%s: %s: %s".formatted(source.shown(), file.name(), forbidden.getMessage()), reason);
    }
    String what =
        reason instanceof EOFException
            ? "the file ends after %d of %d bytes; is it truncated at its source?"
                .formatted(position.at, file.size())
            : "%s, at byte %d of %d, %d times"
                .formatted(
                    NetworkFailure.reason(reason), position.at, file.size(), position.breaks);
    return new ArtifactException(
        "%s: %s: %s. What was fetched is kept; start again to go on."
            .formatted(source.shown(), file.name(), what),
        reason);
  }

  /**
   * One request. The position moves with every byte that is in the book.
   *
   * @return false where the source knows no ranges and another thread has taken the file over
   */
  private boolean request(Position position, long to) throws IOException {
    try (Answer answer = source.open(file, position.at, to)) {
      Retry.requireNotBusy(answer);
      boolean hasBytes = answer.status() == 200 || answer.status() == 206;
      if (hasBytes && !source.isListed(file, answer)) {
        throw changed();
      }
      return switch (answer.status()) {
        case 206 -> {
          requireSameFile(answer, position.at);
          copy(answer.body(), position, to);
          yield true;
        }
        case 200 -> takeWhole(answer, position, to);
        case 416 -> throw changed();
        default -> throw source.refusal(file, answer);
      };
    }
  }

  private boolean takeWhole(Answer answer, Position position, long to) throws IOException {
    Optional<Long> length = answer.header("Content-Length").map(Long::parseLong);
    if (length.isPresent() && length.get() != file.size()) {
      throw changed();
    }
    if (position.at == 0 && to == file.size()) {
      copy(answer.body(), position, to);
      return true;
    }
    if (!whole.compareAndSet(false, true)) {
      return false;
    }
    try {
      copy(answer.body(), new Position(0), file.size());
      position.at = to;
      return true;
    } finally {
      whole.set(partial.isComplete());
    }
  }

  private void requireSameFile(Answer answer, long from) {
    String text = answer.header("Content-Range").orElse("");
    Matcher range = CONTENT_RANGE.matcher(text);
    if (!range.matches()
        || Long.parseLong(range.group(1)) != from
        || !(range.group(3).equals("*") || Long.parseLong(range.group(3)) == file.size())) {
      throw changed();
    }
  }

  private ArtifactException changed() {
    return new ArtifactException(
        "%s: %s: the file changed at its source while it was fetched. Start again to fetch the new one."
            .formatted(source.shown(), file.name()));
  }

  private void copy(InputStream body, Position position, long to) throws IOException {
    byte[] buffer = new byte[BUFFER_BYTES];
    long entered = position.at;
    long at = position.at;
    Pace pace = new Pace(settings.nanos().getAsLong());
    try {
      while (at < to) {
        int n = body.read(buffer, 0, (int) Math.min(buffer.length, to - at));
        if (n < 0) {
          throw new EOFException();
        }
        write(buffer, n, at);
        at += n;
        if (at - entered >= settings.entryBytes()) {
          entered = enter(entered, at, position);
        }
        pace.require(n, settings.nanos().getAsLong());
      }
      if (body.read() >= 0) {
        throw new IOException("the server sends more than was asked for");
      }
    } finally {
      enter(entered, at, position); // whatever came before a break counts
    }
  }

  private void write(byte[] buffer, int length, long at) throws Disk {
    try {
      partial.write(ByteBuffer.wrap(buffer, 0, length), at);
    } catch (IOException failed) {
      throw new Disk(failed);
    }
  }

  private long enter(long from, long to, Position position) throws Disk {
    if (to > from) {
      try {
        partial.enter(new PartialFile.Range(from, to));
        report();
      } catch (IOException failed) {
        throw new Disk(failed);
      }
      position.at = to;
    }
    return to;
  }

  private synchronized void report() {
    long present = partial.present();
    meter.add(present - reported);
    reported = present;
  }

  /** A failure that no other try at the network will mend. */
  private static final class Disk extends IOException {
    private final IOException reason;

    Disk(IOException reason) {
      super(reason);
      this.reason = reason;
    }
  }

  /** How much came in the last minute. Owned by one thread. */
  private static final class Pace {
    private long since;
    private long bytes;

    Pace(long now) {
      this.since = now;
    }

    void require(int more, long now) throws IOException {
      bytes += more;
      if (now - since >= PACE_NANOS) {
        if (bytes < PACE_BYTES) {
          throw new NetworkFailure.SlowException();
        }
        since = now;
        bytes = 0;
      }
    }
  }

  /** After each range; the one that makes the file complete verifies and publishes it. */
  private List<Job> finished() throws IOException {
    if (!partial.isComplete() || !finishing.compareAndSet(false, true)) {
      return List.of();
    }
    if (file.checksum().matches(partial.data())) {
      wanted.arrival().publish(partial);
      return List.of();
    }
    if (!damagedOnce.compareAndSet(false, true)) {
      partial.restart(file);
      throw new ArtifactException(
          "%s: %s: the bytes have another checksum (%s) than the source says, twice. The file is damaged at its source; upload it again."
              .formatted(source.shown(), file.name(), file.checksum().kind().word()));
    }
    partial.restart(file);
    report();
    finishing.set(false);
    return jobs();
  }
}
