package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.PackedPlace;
import io.verdier.engine.backend.cpu.PackedFileWriter.Piece;
import io.verdier.engine.backend.cpu.PackedTable.PackedKey;
import io.verdier.engine.backend.cpu.PackedTable.Shape;
import io.verdier.engine.weights.Checkpoint;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Packed weights that outlive the process. Owned by the loading thread, then by the executor
 * thread, which closes it.
 *
 * <p>The first start packs all matrices and hands them to a {@link PackedFileWriter}; later ones
 * find a {@link PackedFile} and take them from there. A file that is wrong in any way is removed
 * and counts as none: it can cost time, never answers. Matrices are looked up by the names of their
 * tensors, so that a changed {@code config.json} finds those that it still means.
 */
final class PackedWeights implements AutoCloseable {
  /** Smaller checkpoints, in bytes, are packed in less time than the disk would take. */
  static final long BYTES_MIN = 64L << 20;

  private static final Logger LOG = LoggerFactory.getLogger(PackedWeights.class);

  private final KernelLibrary library;
  private final WeightFormat format;
  private final ComputePool pool;
  private final long bytesMin;
  private final List<Piece> pieces = new ArrayList<>();
  private int packed; // of the pieces; the others come from the file
  private @Nullable PackedFile file;
  private @Nullable PackedFileWriter writer;

  /**
   * @param bytesMin size of the smallest checkpoint whose packed weights are kept
   */
  PackedWeights(KernelLibrary library, WeightFormat format, ComputePool pool, long bytesMin) {
    this.library = library;
    this.format = format;
    this.pool = pool;
    this.bytesMin = bytesMin;
  }

  /** A file of packed weights. */
  private record Target(PackedDirectory directory, PackedKey key) {
    Path path() {
      return directory.file(key);
    }
  }

  /** Where a checkpoint's weights are kept; empty: it is too small. */
  private Optional<Target> target(PackedPlace place) {
    Checkpoint checkpoint = place.checkpoint().get();
    if (checkpoint.bytes() < bytesMin) {
      return Optional.empty();
    }
    PackedDirectory directory = new PackedDirectory(place.directory(), Clock.systemUTC());
    PackedKey key =
        new PackedKey(
            library.layout(),
            library.level().word(),
            format.words(),
            checkpoint,
            place.rank(),
            place.stage());
    return Optional.of(new Target(directory, key));
  }

  /**
   * Loads a model.
   *
   * @param place of the file; empty: there is none, nor will be
   * @param weights asks for each {@link #matrix}
   */
  <T> T during(Optional<PackedPlace> place, Supplier<T> weights) {
    long start = System.nanoTime();
    pieces.clear();
    packed = 0;
    Optional<Target> old = place.filter(it -> !it.isComing()).flatMap(this::target);
    old.ifPresent(this::open);
    T loaded = weights.get();
    String seconds = "%.2f".formatted((System.nanoTime() - start) / 1e9);
    long bytes = pieces.stream().mapToLong(piece -> piece.data().byteSize()).sum();
    if (file != null && packed == 0) {
      String how = file.isMapped() ? "mapped" : "read";
      LOG.info("Weights: {} MiB {} from a packed file in {} s", bytes >> 20, how, seconds);
    } else {
      LOG.info("Weights: {} MiB packed in {} s", bytes >> 20, seconds);
      old.or(() -> place.filter(PackedPlace::isComing).flatMap(this::target)).ifPresent(this::keep);
    }
    pieces.clear();
    return loaded;
  }

  /** The matrix from the file, or else what packing gives. */
  MemorySegment matrix(Shape shape, long bytes, Supplier<MemorySegment> packing) {
    Optional<MemorySegment> found = file == null ? Optional.empty() : file.matrix(shape, bytes);
    packed += found.isPresent() ? 0 : 1;
    MemorySegment data = found.orElseGet(packing);
    pieces.add(new Piece(shape, data));
    return data;
  }

  private void open(Target target) {
    try {
      file = PackedFile.open(target.path(), target.key(), pool);
    } catch (NoSuchFileException first) {
      LOG.debug("No packed weights at {}", target.path());
    } catch (IOException wrong) {
      LOG.warn(
          "The packed weights in {} are not used ({}): the checkpoint is packed again, and the file"
              + " replaced.",
          target.path(),
          wrong.getMessage());
      remove(target.path());
    }
  }

  private void keep(Target target) {
    if (file != null) {
      remove(target.path()); // it lacks what had to be packed
    }
    writer = new PackedFileWriter(target.directory(), target.key(), pieces);
    writer.start();
  }

  private static void remove(Path path) {
    try {
      Files.deleteIfExists(path);
    } catch (IOException e) {
      LOG.debug("Cannot be removed: {}", path, e); // nor replaced, which the writer will say
    }
  }

  /** Whether the last model needed no packing. */
  boolean isFromFile() {
    return file != null && packed == 0;
  }

  /**
   * Gives the weights' memory back, where all of them come from a file: that has them. Those that
   * this very process has packed stay, for nothing else is sure to have them.
   */
  void release() {
    PackedFile from = file;
    if (isFromFile() && from != null) {
      from.release();
    }
  }

  /**
   * Has them again.
   *
   * @throws UncheckedIOException if the file was changed meanwhile, or cannot be read
   */
  void recall() {
    PackedFile from = file;
    if (from == null || !from.isReleased()) {
      return;
    }
    long start = System.nanoTime();
    try {
      from.recall(pool);
    } catch (IOException lost) {
      throw new UncheckedIOException("the packed weights cannot be read again", lost);
    }
    LOG.info("Weights: had again in {} s", "%.2f".formatted((System.nanoTime() - start) / 1e9));
  }

  /** Waits until the file is written or given up. */
  void awaitWriter() {
    if (writer != null) {
      writer.join();
    }
  }

  /** Stops writing, and unmaps what was taken from a file. */
  @Override
  public void close() {
    if (writer != null) {
      writer.stop();
    }
    if (file != null) {
      file.close();
      file = null;
    }
  }
}
