package io.verdier.verticles.endtoend;

import io.verdier.cache.artifact.ArtifactStore;
import io.verdier.cache.artifact.ArtifactUri;
import io.verdier.cache.artifact.DownloadProgress;
import io.verdier.cache.artifact.FileChoice;
import io.verdier.cache.host.DiskDirectory;
import io.verdier.cache.host.DiskFile;
import io.verdier.cache.kv.BlockHash;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;

/**
 * A small process that does to the disk what a server does, so that it can be killed at it: a
 * server takes seconds to start, this a fraction of one.
 */
final class KillVictim {
  static final long BYTES_MAX = 64 << 20;
  private static final String FETCH = "fetch";
  private static final String WRITE = "write";

  private KillVictim() {}

  /**
   * Arguments: {@value #FETCH}, a source and flags, which ends when the model is there; or {@value
   * #WRITE}, the directory of the blocks to write, that in which to write them, and a seed, which
   * says when it begins and never ends.
   */
  public static void main(String[] arguments) throws IOException {
    List<String> rest = Arrays.asList(arguments).subList(1, arguments.length);
    switch (arguments[0]) {
      case FETCH -> fetch(rest.getFirst(), rest.subList(1, rest.size()));
      case WRITE -> write(Path.of(rest.get(0)), Path.of(rest.get(1)), Long.parseLong(rest.get(2)));
      default -> throw new IllegalArgumentException(arguments[0]);
    }
  }

  static Process fetching(String source, List<String> flags) throws IOException {
    List<String> arguments = new ArrayList<>(List.of(FETCH, source));
    arguments.addAll(flags);
    return start(arguments);
  }

  static Process writing(Path blocks, Path directory, long seed) throws IOException {
    return start(List.of(WRITE, blocks.toString(), directory.toString(), Long.toString(seed)));
  }

  private static Process start(List<String> arguments) throws IOException {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-Xshare:auto",
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                KillVictim.class.getName()));
    command.addAll(arguments);
    return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
  }

  private static void fetch(String source, List<String> flags) {
    ArtifactStore store =
        new ArtifactStore(
            InProcessServer.config(flags.toArray(String[]::new)),
            KillVictim.class.getClassLoader(),
            DownloadProgress.SILENT);
    store.open(ArtifactUri.parse(source, Optional.of("v1")), FileChoice.MODEL).close();
  }

  /** Blocks go from place to place, as where the longest unused make room for others. */
  private static void write(Path from, Path to, long seed) throws IOException {
    Map<BlockHash, MemorySegment> blocks = blocks(from);
    List<BlockHash> names = List.copyOf(blocks.keySet());
    Random random = new Random(seed);
    try (DiskFile file = open(to)) {
      Map<BlockHash, Integer> places = new HashMap<>();
      file.found().forEach(found -> places.put(found.name(), found.slot()));
      List<Integer> free = new ArrayList<>();
      for (int slot = 0; slot < 2 * names.size(); slot++) {
        if (!places.containsValue(slot)) {
          free.add(slot);
        }
      }
      System.out.println("writing");
      System.out.flush();
      while (true) {
        BlockHash name = names.get(random.nextInt(names.size()));
        Integer old = places.remove(name);
        if (old != null) {
          file.erase(old);
          free.add(old);
        }
        int slot = free.set(random.nextInt(free.size()), free.getLast());
        free.removeLast();
        file.write(slot, name, blocks.get(name));
        places.put(name, slot);
      }
    }
  }

  /** All blocks in a directory; what cannot be read is missing. */
  static Map<BlockHash, MemorySegment> blocks(Path root) throws IOException {
    Map<BlockHash, MemorySegment> blocks = new HashMap<>();
    long bytes = identity(root).blockBytes();
    try (DiskFile file = open(root)) {
      for (DiskFile.Found found : file.found()) {
        MemorySegment block = Arena.ofAuto().allocate(bytes);
        if (file.read(found.slot(), found.name(), block)) {
          blocks.put(found.name(), block);
        }
      }
    }
    return blocks;
  }

  private static DiskFile open(Path root) throws IOException {
    return DiskDirectory.open(root, identity(root), DiskDirectory.Engine.ALONE, BYTES_MAX)
        .orElseThrow();
  }

  /** Of the only model that has blocks there: from the head of its index. */
  private static DiskFile.Identity identity(Path root) throws IOException {
    try (Stream<Path> models = Files.list(root)) {
      Path index = models.findFirst().orElseThrow().resolve("index");
      ByteBuffer head = ByteBuffer.wrap(Files.readAllBytes(index)).order(ByteOrder.LITTLE_ENDIAN);
      byte[] digest = new byte[32];
      head.get(16, digest);
      return new DiskFile.Identity(digest, head.getLong(48));
    }
  }
}
