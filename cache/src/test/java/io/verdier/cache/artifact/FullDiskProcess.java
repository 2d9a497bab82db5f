package io.verdier.cache.artifact;

import io.verdier.cache.host.DiskDirectory;
import io.verdier.cache.host.DiskFile;
import io.verdier.cache.kv.BlockHash;
import io.verdier.conf.ConfigLoader;
import io.verdier.conf.LoadResult;
import io.verdier.conf.ServerConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A process whose disk is a small one of its own. Arguments: that disk, then flags; what happens is
 * told line by line.
 */
final class FullDiskProcess {
  private static final ArtifactUri SOURCE =
      ArtifactUri.parse("gs://bucket/models/demo", Optional.empty());
  private static final int BLOCK_BYTES = 1 << 20;

  private FullDiskProcess() {}

  public static void main(String[] arguments) throws IOException {
    Path disk = Path.of(arguments[0]);
    List<String> flags = Arrays.asList(arguments).subList(1, arguments.length);
    ServerConfig config = ((LoadResult.Loaded) ConfigLoader.load(flags, Map.of())).config();
    Path filler = disk.resolve("filler");

    fill(filler, 70L << 20); // most of it
    fetch("no room", config, DownloadProgress.SILENT);
    Files.delete(filler);
    fetch(
        "filled meanwhile",
        config,
        (artifact, done, total) -> {
          if (done > 0 && total > BLOCK_BYTES / 2) { // of the weights
            fillAll(filler);
          }
        });
    blocks(disk, filler);
    Files.delete(filler);
    fetch("room again", config, DownloadProgress.SILENT);
  }

  private static void fetch(String when, ServerConfig config, DownloadProgress progress) {
    Downloader.Settings settings = new Downloader.Settings(1, 64 << 10, 32 << 10, System::nanoTime);
    ArtifactStore store =
        new ArtifactStore(
            config,
            FullDiskProcess.class.getClassLoader(),
            new Downloader(settings, Retry.standard(), progress));
    try (Artifact adapter = store.open(SOURCE, FileChoice.ADAPTER)) {
      System.out.println(when + ": " + adapter.directory());
    } catch (ArtifactException failed) {
      System.out.println(when + ": " + failed.text());
    }
  }

  /** The prefix cache's files on the full disk, and on one with room again. */
  private static void blocks(Path disk, Path filler) throws IOException {
    DiskFile.Identity identity = new DiskFile.Identity(new byte[32], BLOCK_BYTES);
    BlockHash name = new BlockHash(1, 2, 3, 4);
    MemorySegment block = Arena.ofAuto().allocate(BLOCK_BYTES);
    block.fill((byte) 7);
    Files.delete(filler);
    try (DiskFile file =
        DiskDirectory.open(disk.resolve("prefixes"), identity, DiskDirectory.Engine.ALONE, 8L << 20)
            .orElseThrow()) {
      fillAll(filler);
      System.out.println("block on a full disk: " + file.write(0, name, block));
      System.out.println("is there: " + file.read(0, name, block));
      Files.delete(filler);
      System.out.println("block with room: " + file.write(0, name, block));
      System.out.println("is there: " + file.read(0, name, block));
      fillAll(filler);
    }
  }

  private static void fill(Path file, long bytes) throws IOException {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.APPEND)) {
      ByteBuffer some = ByteBuffer.allocate(64 << 10);
      for (long left = bytes; left > 0; left -= some.capacity()) {
        channel.write(some.rewind());
      }
    }
  }

  /** To the last byte. */
  private static void fillAll(Path file) {
    try {
      fill(file, Long.MAX_VALUE);
    } catch (IOException full) {
      if (!String.valueOf(full.getMessage()).contains("No space")) {
        throw new UncheckedIOException(full);
      }
    }
  }
}
