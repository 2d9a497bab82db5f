package io.verdier.cache.artifact;

import io.verdier.cache.outbound.OutboundClient;
import io.verdier.cache.outbound.OutboundException;
import io.verdier.conf.ServerConfig;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Turns what was named into a directory on the local disk. Thread-safe: whoever asks for an
 * artifact that another thread or process is fetching waits for it. Each model of a process may
 * have a store of its own, over the same directories as others.
 *
 * <p>Sources: a local directory; the Hub, kept in the cache that Python's tools share; Cloud
 * Storage and archives behind https addresses, kept in a directory of the server's own under a
 * quota; and none, the embedded demo model.
 *
 * <p>A file has its name only when all of its bytes are there and add up to the checksum that the
 * source announced. A process may be killed at any time: the next one goes on from what the journal
 * of each partial file says.
 */
public final class ArtifactStore {
  private static final Logger LOG = LoggerFactory.getLogger(ArtifactStore.class);
  private static final int VERSION_CHARS = 12;

  private final ServerConfig.Artifacts config;
  private final long adapterBytesMax;
  private final EmbeddedModel embedded;
  private final Downloader downloader;
  private final Sources sources;
  private final EntryLocks locks;
  private final EntryLocks hubLocks;
  private final DiskQuota quota;
  private final InstantSource clock;
  private final Set<String> outages = ConcurrentHashMap.newKeySet(); // that were told of

  /** For the whole server. */
  public ArtifactStore(ServerConfig config, ClassLoader resources, DownloadProgress progress) {
    this(
        config,
        resources,
        new Downloader(
            Downloader.Settings.standard(config.artifacts().streams()),
            Retry.standard(),
            progress));
  }

  ArtifactStore(ServerConfig config, ClassLoader resources, Downloader downloader) {
    this.config = config.artifacts();
    this.adapterBytesMax = config.adapters().sources().bytesMax();
    this.clock = InstantSource.system();
    this.embedded = new EmbeddedModel(config.cache().directory().resolve("models"), resources);
    this.downloader = downloader;
    this.sources = new Sources(this.config, downloader.retry(), clock);
    Path entries = this.config.directory();
    this.locks = EntryLocks.of(entries.resolveSibling(entries.getFileName() + "-locks"));
    this.hubLocks = EntryLocks.of(HubPlace.locks(this.config.hub().cache()));
    this.quota = new DiskQuota(entries, this.config.quotaBytes(), locks);
  }

  /**
   * The embedded demo model.
   *
   * @throws ArtifactException where it cannot be unpacked
   */
  public Artifact demo() {
    return Artifact.unpinned("demo", embedded.unpack());
  }

  /**
   * Blocks until the files are there.
   *
   * @param choice which of them
   * @return to be closed when nobody reads the files any more
   * @throws ArtifactException where the source is unknown or unreadable, or the disk is full; the
   *     text is fit for the operator
   */
  public Artifact open(ArtifactUri uri, FileChoice choice) {
    return open(uri, choice, ArrivalWatch.NOBODY);
  }

  /**
   * The same, while somebody uses what there is already.
   *
   * @param watch hears of weights as they come; of files that are there already, and of archives,
   *     it hears nothing
   */
  public Artifact open(ArtifactUri uri, FileChoice choice, ArrivalWatch watch) {
    try {
      return switch (uri) {
        case ArtifactUri.Directory local -> local(local.path(), choice);
        case ArtifactUri.Hub repository ->
            choice == FileChoice.ADAPTER
                ? hubAdapter(repository, watch)
                : hub(repository, choice, watch);
        case ArtifactUri.Gcs place -> gcs(place, choice, watch);
        case ArtifactUri.Url url -> archive(url, choice);
      };
    } catch (IOException failed) {
      throw DiskFailure.of(uri.shown(), config.directory(), failed);
    }
  }

  /**
   * A small file, of this host or an object of Cloud Storage. Blocks.
   *
   * @param place its path or {@code gs://bucket/name}
   * @throws ArtifactException where it cannot be read, or is larger
   */
  public String text(String place, int bytesMax) {
    try {
      byte[] bytes =
          place.startsWith("gs://") ? object(place, bytesMax) : file(Path.of(place), bytesMax);
      if (bytes.length > bytesMax) {
        throw new ArtifactException("%s: larger than %d bytes".formatted(place, bytesMax));
      }
      return new String(bytes, StandardCharsets.UTF_8);
    } catch (IOException | InvalidPathException unreadable) {
      throw new ArtifactException(place + ": cannot be read", unreadable);
    }
  }

  private static byte[] file(Path file, int bytesMax) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      return in.readNBytes(bytesMax + 1);
    }
  }

  private byte[] object(String place, int bytesMax) throws IOException {
    int slash = place.lastIndexOf('/');
    if (!(ArtifactUri.parseRemote(place.substring(0, slash))
        instanceof ArtifactUri.Gcs directory)) {
      throw new ArtifactException(place + ": not an address of the form gs://bucket/name");
    }
    try (Source source = sources.gcs(directory)) {
      RemoteFile file =
          list(source)
              .file(place.substring(slash + 1))
              .orElseThrow(() -> new ArtifactException(place + ": there is no such object"));
      try (OutboundClient.Answer answer = source.open(file, 0, Math.max(1, file.size()))) {
        if (answer.status() != 200 && answer.status() != 206) {
          throw source.refusal(file, answer);
        }
        return answer.bytes(bytesMax + 1);
      }
    }
  }

  /** What the server's own downloads take on the disk, without those of the Hub's cache. Blocks. */
  public long keptBytes() throws IOException {
    return quota.bytes();
  }

  private static Artifact local(Path directory, FileChoice choice) {
    if (!Files.isRegularFile(directory.resolve(choice.essential()))) {
      throw new ArtifactException(
          "%s: the directory has no %s. Pass the directory of a Hugging Face checkpoint."
              .formatted(directory, choice.essential()));
    }
    return Artifact.unpinned(directory.toString(), directory);
  }

  private Artifact hub(ArtifactUri.Hub uri, FileChoice choice, ArrivalWatch watch)
      throws IOException {
    Path repository = HubPlace.repository(config.hub().cache(), uri.repository());
    if (config.hub().offline()) {
      return cached(uri, repository, choice).orElseThrow(() -> offline(uri));
    }
    try (Source source = sources.hub(uri)) {
      Listing listing;
      try {
        listing = downloader.retry().call(source::list);
      } catch (OutboundException forbidden) {
        throw forbidden(source, forbidden);
      } catch (IOException unreachable) {
        return cachedInstead(uri, repository, choice, unreachable);
      }
      HubPlace place = new HubPlace(repository, listing.version(), uri.revision());
      if (isThere(source, listing, choice, place)) {
        noteQuietly(place);
      } else {
        try (EntryLocks.Held _ = hubLocks.change(String.valueOf(repository.getFileName()))) {
          fetch(source, new Wanted(listing, choice, watch), place, all -> {});
        }
      }
      return Artifact.unpinned(uri.shown(), place.directory());
    }
  }

  private ArtifactException offline(ArtifactUri.Hub uri) {
    return new ArtifactException(
        "%s: not, or not wholly, in %s, and HF_HUB_OFFLINE forbids to fetch it. Unset it, or fetch it where there is a network."
            .formatted(uri.shown(), config.hub().cache()));
  }

  /**
   * Read from the Hub's cache where it is there, and fetched to the server's own directory else:
   * clients name adapters, and what they name must stay within the quota.
   */
  private Artifact hubAdapter(ArtifactUri.Hub uri, ArrivalWatch watch) throws IOException {
    FileChoice choice = FileChoice.ADAPTER;
    Path repository = HubPlace.repository(config.hub().cache(), uri.repository());
    if (config.hub().offline()) {
      return adapterThere(uri, repository).orElseThrow(() -> offline(uri));
    }
    try (Source source = sources.hub(uri)) {
      Listing listing;
      try {
        listing = list(source);
      } catch (ArtifactException failed) {
        return instead(uri, failed, () -> adapterThere(uri, repository));
      }
      outages.remove(uri.identity());
      HubPlace place = new HubPlace(repository, listing.version(), uri.revision());
      return isThere(source, listing, choice, place)
          ? Artifact.unpinned(uri.shown(), place.directory())
          : own(uri, new Wanted(listing, choice, watch), source);
    }
  }

  /** In the Hub's cache or the server's own directory, whichever has the later word. */
  private Optional<Artifact> adapterThere(ArtifactUri.Hub uri, Path repository) throws IOException {
    Optional<Artifact> cached = cached(uri, repository, FileChoice.ADAPTER);
    FileTime noted =
        cached.isPresent()
            ? HubPlace.noted(repository, uri.revision())
            : FileTime.from(Instant.EPOCH);
    Optional<Artifact> own = kept(uri, FileChoice.ADAPTER, noted);
    return own.isPresent() ? own : cached;
  }

  /** A cache that is mounted read-only needs no note of what a branch means now. */
  private static void noteQuietly(Place place) {
    try {
      place.complete();
    } catch (IOException readOnly) {
      LOG.debug("The cache's note of the branch is not renewed: {}", readOnly.toString());
    }
  }

  private static ArtifactException forbidden(Source source, OutboundException forbidden) {
    return new ArtifactException(source.shown() + ": " + forbidden.getMessage() + ".", forbidden);
  }

  private static Optional<Artifact> cached(
      ArtifactUri.Hub uri, Path repository, FileChoice choice) {
    return HubPlace.commit(repository, uri.revision())
        .map(commit -> new HubPlace(repository, commit, uri.revision()).directory())
        .filter(directory -> choice.isWhole(uri.shown(), directory))
        .map(directory -> Artifact.unpinned(uri.shown(), directory));
  }

  /** Serving what was served yesterday is better than not to serve. */
  private static Artifact cachedInstead(
      ArtifactUri.Hub uri, Path repository, FileChoice choice, IOException unreachable) {
    String reason = NetworkFailure.reason(unreachable);
    Artifact cached =
        cached(uri, repository, choice)
            .orElseThrow(
                () ->
                    new ArtifactException(
                        "%s: the Hub cannot be asked: %s. Is there a way out to it?"
                            .formatted(uri.shown(), reason),
                        unreachable));
    LOG.warn("{}: the Hub cannot be asked ({}); serving what its cache has", uri.shown(), reason);
    return cached;
  }

  private static boolean isThere(Source source, Listing listing, FileChoice choice, Place place) {
    List<RemoteFile> small = choice.small(source.shown(), listing);
    return small.stream().allMatch(place::has)
        && choice.weights(source.shown(), listing, place.directory()).stream().allMatch(place::has);
  }

  // Cloud Storage, and adapters from everywhere

  private Artifact gcs(ArtifactUri.Gcs uri, FileChoice choice, ArrivalWatch watch)
      throws IOException {
    try (Source source = sources.gcs(uri)) {
      Listing listing;
      try {
        listing = list(source);
      } catch (ArtifactException failed) {
        boolean isAdapter = choice == FileChoice.ADAPTER; // a model's start can be tried again
        FileTime ever = FileTime.from(Instant.EPOCH);
        return instead(uri, failed, () -> isAdapter ? kept(uri, choice, ever) : Optional.empty());
      }
      outages.remove(uri.identity());
      return own(uri, new Wanted(listing, choice, watch), source);
    }
  }

  private Artifact own(ArtifactUri uri, Wanted wanted, Source source) throws IOException {
    FileChoice choice = wanted.choice;
    Listing listing = wanted.listing;
    String prefix = OwnPlace.entryName(uri, choice);
    String name = prefix + listing.version().substring(0, VERSION_CHARS);
    OwnPlace place = new OwnPlace(config.directory().resolve(name));
    while (true) {
      Optional<Artifact> there =
          use(uri, name, place, () -> isThere(source, listing, choice, place));
      if (there.isPresent()) {
        return there.get();
      }
      Optional<EntryLocks.Held> change = locks.changeSoon(name);
      if (change.isEmpty()) {
        continue;
      }
      try (EntryLocks.Held _ = change.get();
          DiskQuota.Reservation _ =
              room(uri, choice, name, choice.bytes(source.shown(), listing))) {
        DiskQuota.touch(place.entry(), FileTime.from(clock.instant()));
        fetch(source, wanted, place, all -> room(uri, choice, name, all));
      }
      quota.dropOlder(prefix, name);
    }
  }

  /** What is on the disk already of something. */
  private interface OnDisk {
    Optional<Artifact> find() throws IOException;
  }

  /** What the source had when it could be asked; only where it refuses nothing. */
  private Artifact instead(ArtifactUri uri, ArtifactException failed, OnDisk disk)
      throws IOException {
    if (!failed.isUnreachable()) {
      throw failed;
    }
    Artifact there = disk.find().orElseThrow(() -> failed);
    if (outages.add(uri.identity())) {
      LOG.warn("{} Until then what is on the disk is served.", failed.text());
    }
    return there;
  }

  /** The version that was last used after a time, if it is whole. */
  private Optional<Artifact> kept(ArtifactUri uri, FileChoice choice, FileTime after)
      throws IOException {
    for (String name : quota.usedAfter(OwnPlace.entryName(uri, choice), after)) {
      OwnPlace place = new OwnPlace(config.directory().resolve(name));
      Optional<Artifact> whole =
          use(uri, name, place, () -> choice.isWhole(uri.shown(), place.directory()));
      if (whole.isPresent()) {
        return whole;
      }
    }
    return Optional.empty();
  }

  private DiskQuota.Reservation room(ArtifactUri uri, FileChoice choice, String name, long bytes)
      throws IOException {
    DiskQuota.requireSize(
        uri.shown(), bytes, choice == FileChoice.ADAPTER ? adapterBytesMax : Long.MAX_VALUE);
    return quota.makeRoom(uri.shown(), name, bytes, PartialFile.journalBytes(bytes));
  }

  /** Asked under an entry's lock. */
  private interface Check {
    boolean holds() throws IOException;
  }

  private Optional<Artifact> use(ArtifactUri uri, String name, OwnPlace place, Check isThere)
      throws IOException {
    EntryLocks.Held pin = locks.use(name);
    boolean kept = false;
    try {
      kept = isThere.holds();
      if (kept) {
        DiskQuota.touch(place.entry(), FileTime.from(clock.instant()));
        return Optional.of(new Artifact(uri.shown(), place.directory(), pin));
      }
      return Optional.empty();
    } finally {
      if (!kept) {
        pin.close();
      }
    }
  }

  private Listing list(Source source) {
    try {
      return downloader.retry().call(source::list);
    } catch (OutboundException forbidden) {
      throw forbidden(source, forbidden);
    } catch (IOException unreachable) {
      throw ArtifactException.unreachable(
          "%s: cannot be asked: %s. Is there a way out to it?"
              .formatted(source.shown(), NetworkFailure.reason(unreachable)),
          unreachable);
    }
  }

  /** What is to be fetched, and who hears of it. */
  private record Wanted(Listing listing, FileChoice choice, ArrivalWatch watch) {}

  /**
   * @param room is asked for the bytes of all files as soon as it is known which those are
   */
  private void fetch(Source source, Wanted all, Place place, Archive.Room room) throws IOException {
    Path directory = place.directory();
    Files.createDirectories(directory);
    List<RemoteFile> small = all.choice.small(source.shown(), all.listing);
    fetch(source, small, place, ArrivalWatch.NOBODY);
    List<RemoteFile> weights = all.choice.weights(source.shown(), all.listing, directory);
    room.require(Stream.concat(small.stream(), weights.stream()).mapToLong(RemoteFile::size).sum());
    List<Path> coming =
        weights.stream()
            .filter(file -> !place.has(file))
            .map(file -> directory.resolve(file.name()))
            .toList();
    if (!coming.isEmpty()) {
      long bytes = weights.stream().mapToLong(RemoteFile::size).sum();
      all.watch.onComing(directory, coming, bytes);
    }
    fetch(source, weights, place, all.watch);
    place.complete();
  }

  private void fetch(Source source, List<RemoteFile> files, Place place, ArrivalWatch watch) {
    List<Downloader.Wanted> wanted = new ArrayList<>();
    Set<Path> partials = new HashSet<>(); // two names may have the same content
    for (RemoteFile file : files) {
      if (!place.has(file) && partials.add(place.partial(file))) {
        wanted.add(
            new Downloader.Wanted(
                file,
                place.partial(file),
                partial -> {
                  place.publish(file, partial);
                  watch.onArrived(place.directory().resolve(file.name()));
                }));
      }
    }
    if (!wanted.isEmpty()) {
      downloader.fetch(source, wanted, place.directory());
    }
    for (RemoteFile file : files) {
      if (!place.has(file)) {
        throw new IllegalStateException(file.name() + " was fetched, and is not there");
      }
    }
  }

  private Artifact archive(ArtifactUri.Url url, FileChoice choice) throws IOException {
    try (Source source = sources.url(url)) {
      Listing listing = list(source);
      RemoteFile file = listing.files().getFirst();
      String prefix = OwnPlace.entryName(url, choice);
      String name = prefix + listing.version().substring(0, VERSION_CHARS);
      OwnPlace place = new OwnPlace(config.directory().resolve(name));
      while (true) {
        Optional<Artifact> there =
            use(url, name, place, () -> Unpacking.isThere(url, file.name(), choice, place));
        if (there.isPresent()) {
          return there.get();
        }
        Optional<EntryLocks.Held> change = locks.changeSoon(name);
        if (change.isEmpty()) {
          continue;
        }
        try (EntryLocks.Held _ = change.get();
            DiskQuota.Reservation _ = room(url, choice, name, Math.multiplyExact(2, file.size()))) {
          DiskQuota.touch(place.entry(), FileTime.from(clock.instant()));
          Path archive = place.entry().resolve(file.name());
          Downloader.Wanted wanted =
              new Downloader.Wanted(file, place.partial(file), it -> it.publish(archive));
          downloader.fetch(source, List.of(wanted), place.entry());
          long size = file.size(); // the archive is still there while it is unpacked
          Archive.Room more = it -> room(url, choice, name, size + Math.max(size, it));
          Unpacking.into(place, url, archive, choice, more);
        }
        quota.dropOlder(prefix, name);
      }
    }
  }
}
