package io.verdier.engine.run;

import io.verdier.cache.host.DiskBooks;
import io.verdier.cache.host.DiskDirectory;
import io.verdier.cache.host.DiskFile;
import io.verdier.cache.host.DiskFile.Identity;
import io.verdier.cache.host.PrefixTiers;
import io.verdier.cache.host.RemoteBooks;
import io.verdier.cache.host.TierSlots;
import io.verdier.cache.kv.KvCacheManager;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.DeviceException;
import io.verdier.engine.backend.DiskTier;
import io.verdier.engine.backend.HostBlocks;
import io.verdier.engine.backend.HostMemory;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.RemoteTier;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelException;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.weights.Checkpoint.StoredFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The tiers behind an engine's KV cache, as the operator asked for them (host memory is divided
 * among the engines): their bytes for the executor thread, their books for the scheduler thread.
 * Made by the thread that loads the model.
 *
 * @param host bytes, closed by the runner that gets them
 * @param blockBytes of a block in every tier
 * @param settings how much is moved
 */
public record TierSetup(HostTier host, long blockBytes, PrefixTiers.Settings settings) {
  private static final Logger LOG = LoggerFactory.getLogger(TierSetup.class);

  /** To be raised when the same tokens get other bits in the cache: old files are then dropped. */
  private static final int BITS_VERSION = 1;

  /** What comes from the disk must go through host memory, also where none was asked for. */
  private static final long STAGE_BYTES = 1L << 30;

  /**
   * Bytes that a plan copies in each direction. A CPU copies 16 MiB in some 2 ms, in the thread
   * that computes; a GPU's bus 128 MiB in 2 to 5 ms beside the step, which is less than a step
   * takes.
   */
  private static final long HOST_COPY_BYTES = 16L << 20;

  private static final long DEVICE_COPY_BYTES = 128L << 20;

  /** Bytes that may wait to be written to the disk. */
  private static final long WRITE_BYTES_MAX = 256L << 20;

  /** Bytes that may wait to be written to a cache node: reads and questions stand behind them. */
  private static final long SEND_BYTES_MAX = 32L << 20;

  /** What blocks are of. */
  private record Source(
      ServerConfig config, Path directory, LoadedModel model, int engine, String build) {}

  /**
   * Takes the memory and opens the files.
   *
   * @param directory of the model
   * @param engine that the model is for, from 0
   * @param build of this program: another one may compute other bits
   * @return empty where none were asked for, or none can be used, which is said
   * @throws ModelException if the directory for prefixes cannot be used
   */
  public static Optional<TierSetup> of(
      ServerConfig config, Path directory, LoadedModel model, int engine, String build) {
    ServerConfig.PrefixTiers asked = config.cache().tiers();
    boolean isInStages = config.cluster().pipeline().isWanted();
    if (!asked.isWanted() || !config.cache().prefixCaching() || isInStages) {
      return Optional.empty();
    }
    Source source = new Source(config, directory, model, engine, build);
    KvStorage cache = model.cache();
    long blockBytes = cache.blockBytes();
    long hostBytes = hostBytes(asked, model) / config.backend().engines();
    Optional<HostBlocks> memory = memory(cache, hostBytes);
    if (memory.isEmpty()) {
      LOG.warn("No host memory for prefixes: they are kept in the KV cache alone");
      return Optional.empty();
    }
    HostBlocks blocks = memory.get();
    noticeSize(blocks, model);
    try {
      DiskTier disk = disk(source, blocks);
      boolean device = model.backend().waitedNanos().isPresent();
      long copyBytes = device ? DEVICE_COPY_BYTES : HOST_COPY_BYTES;
      int copiesMax = Math.toIntExact(Math.max(1, copyBytes / blockBytes));
      return Optional.of(
          new TierSetup(
              new HostTier(blocks, disk, remote(source, blocks)),
              blockBytes,
              new PrefixTiers.Settings(asked.minTokens(), copiesMax)));
    } catch (RuntimeException | Error e) {
      blocks.close();
      throw e;
    }
  }

  private static long hostBytes(ServerConfig.PrefixTiers asked, LoadedModel model) {
    if (asked.hostBytes().isPresent()) {
      return asked.hostBytes().getAsLong();
    }
    if (asked.hostShare() == 0) {
      return STAGE_BYTES;
    }
    // A cache in the host's memory has been promised it, and takes it only as it is used.
    long promised = model.memoryPlan().isPresent() ? 0 : model.kvPlan().bytes();
    return (long) (asked.hostShare() * Math.max(0, HostMemory.freeBytes() - promised));
  }

  /** A driver may refuse to lock so much: then half of it, or a quarter, is better than nothing. */
  private static Optional<HostBlocks> memory(KvStorage cache, long bytes) {
    for (long some = bytes; some >= cache.blockBytes(); some /= 2) {
      try {
        int slots = (int) Math.min(some / cache.blockBytes(), Integer.MAX_VALUE / 8);
        return Optional.of(cache.hostBlocks(slots));
      } catch (DeviceException refused) {
        LOG.warn("{} MiB of host memory for prefixes: {}", some >> 20, refused.getMessage());
      }
    }
    return Optional.empty();
  }

  private static void noticeSize(HostBlocks blocks, LoadedModel model) {
    LOG.info(
        "Prefixes in host memory: {} blocks ({} MiB)",
        blocks.slots(),
        (blocks.slots() * model.cache().blockBytes()) >> 20);
    if (blocks.slots() <= model.kvPlan().blocks()) {
      LOG.warn(
          "Host memory keeps {} blocks and the KV cache {}: what leaves the cache has left the host"
              + " too. Give --kv-offloading-size more than the KV cache has.",
          blocks.slots(),
          model.kvPlan().blocks());
    }
  }

  private static @Nullable DiskTier disk(Source source, HostBlocks blocks) {
    ServerConfig.PrefixTiers asked = source.config.cache().tiers();
    Optional<Path> root = asked.directory();
    if (root.isEmpty()) {
      return null;
    }
    try {
      int engines = source.config.backend().engines();
      Optional<DiskFile> file =
          DiskDirectory.open(
              root.get(),
              identity(source, TierSetup::stored),
              new DiskDirectory.Engine(source.engine, engines, asked.sharers()),
              asked.diskBytes());
      if (file.isEmpty() || file.get().slots() == 0) {
        LOG.warn(
            "{}: no prefixes are kept there",
            file.isEmpty()
                ? "Another server or model uses the same blocks of --prefix-cache-dir"
                : "--prefix-cache-size, or what models in use leave of it, is less than a block");
        file.ifPresent(DiskFile::close);
        return null;
      }
      LOG.info(
          "Prefixes on the disk: {} of {} blocks ({} MiB)",
          file.get().found().size(),
          file.get().slots(),
          (file.get().slots() * source.model.cache().blockBytes()) >> 20);
      return new DiskTier(blocks, file.get());
    } catch (IOException e) {
      throw new ModelException("--prefix-cache-dir cannot be used: " + e.getMessage(), e);
    }
  }

  /** What cache nodes are given; null where there can be none. */
  private static @Nullable RemoteTier remote(Source source, HostBlocks blocks) {
    boolean fits = source.model.cache().blockBytes() <= RemoteTier.BLOCK_BYTES_MAX;
    if (!source.config.cluster().enabled() || !fits) {
      return null;
    }
    try {
      return new RemoteTier(blocks, identity(source, TierSetup::contents));
    } catch (IOException e) {
      throw new ModelException("The model's files cannot be read: " + e.getMessage(), e);
    }
  }

  /** Everything that decides the bits of a block, besides its name. */
  private static Identity identity(Source source, Function<StoredFile, String> file)
      throws IOException {
    ServerConfig config = source.config;
    LoadedModel model = source.model;
    StringBuilder text = new StringBuilder();
    text.append(BITS_VERSION).append('\n').append(source.build).append('\n');
    text.append(model.backend().description()).append('\n');
    text.append(model.backend().kvCacheType()).append('\n');
    KvShape shape = model.cache().shape(); // how many blocks there are makes no difference
    text.append(shape.layers()).append(' ').append(shape.heads()).append(' ');
    text.append(shape.headDim()).append(' ').append(shape.blockTokens()).append('\n');
    if (config.backend().ranks() > 1) { // whose parts of a block lie one behind the other
      text.append(config.backend().ranks()).append(" ranks\n");
    }
    text.append(Files.readString(source.directory.resolve(ModelLoader.CONFIG_FILE))).append('\n');
    config.model().configOverrides().ifPresent(changes -> text.append(changes).append('\n'));
    ModelLoader.checkpoint(source.directory, config)
        .ifPresent(
            it ->
                it.files().stream()
                    .map(file)
                    .sorted()
                    .forEach(line -> text.append(line).append('\n')));
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      byte[] bytes = text.toString().getBytes(StandardCharsets.UTF_8);
      return new Identity(digest.digest(bytes), model.cache().blockBytes());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("this Java runtime has no SHA-256", e);
    }
  }

  /**
   * The Hub's cache names files by the digest of their contents; others go by size, time, bytes.
   */
  private static String stored(StoredFile file) {
    String name = String.valueOf(Path.of(file.path()).getFileName());
    return name.matches("[0-9a-f]{64}") ? name : file.toString();
  }

  /** Hosts have the same files at different places, from different times. */
  private static String contents(StoredFile file) {
    return file.bytes() + " " + file.fingerprint();
  }

  /** The books, for the scheduler of the same model. */
  public PrefixTiers books(KvCacheManager kv) {
    DiskTier disk = host.disk();
    return new PrefixTiers(
        kv,
        new TierSlots(host.blocks().slots()),
        disk == null ? null : books(disk),
        host.remote() == null
            ? null
            : new RemoteBooks(Math.clamp(SEND_BYTES_MAX / blockBytes, 1, RemoteBooks.NAMES_MAX)),
        settings);
  }

  private DiskBooks books(DiskTier disk) {
    TierSlots slots = new TierSlots(disk.file().slots());
    disk.file().found().forEach(it -> slots.restore(it.slot(), it.name()));
    return new DiskBooks(slots, Math.clamp(WRITE_BYTES_MAX / blockBytes, 1, 4096));
  }
}
