package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.cpu.PackedTable.PackedKey;
import io.verdier.engine.backend.cpu.PackedTable.Shape;
import io.verdier.engine.backend.cpu.PackedTable.StoredMatrix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32C;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes a {@link PackedFile} from the memory that the model is served from. Runs on a thread of
 * its own, beside requests, and ends.
 *
 * <p>It pauses four times as long as it works, so that it takes a fifth of a core at most (2.5 GB
 * then take about 15 s), and has what it wrote on the disk every {@value #BYTES_PER_SYNC} bytes: so
 * a stop is quick at any time, and the page cache never holds gigabytes of unwritten data. Until
 * all is on the disk the file has a name that nobody reads.
 */
final class PackedFileWriter implements Runnable {
  private static final int PAUSE_FACTOR = 4;
  private static final long BYTES_PER_SYNC = 64L << 20;
  private static final Logger LOG = LoggerFactory.getLogger(PackedFileWriter.class);

  private final PackedDirectory directory;
  private final PackedKey key;
  private final List<Piece> pieces;
  private final Thread thread = new Thread(this, "verdier-packed-writer");
  private final CountDownLatch stopped = new CountDownLatch(1);

  /** A packed matrix. */
  record Piece(Shape shape, MemorySegment data) {}

  PackedFileWriter(PackedDirectory directory, PackedKey key, List<Piece> pieces) {
    this.directory = directory;
    this.key = key;
    this.pieces = List.copyOf(pieces);
  }

  void start() {
    thread.setDaemon(true);
    thread.start();
  }

  /** Gives up, unless it is done; afterwards the matrices may go. */
  void stop() {
    stopped.countDown();
    join();
  }

  /** Waits until the file is written or given up. */
  void join() {
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true; // the matrices are still being read
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void run() {
    long start = System.nanoTime();
    try {
      if (!directory.has(key) && write()) {
        LOG.info(
            "Packed weights kept for the next start: {} MiB in {} ({} s)",
            bytes() >> 20,
            directory.file(key),
            TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - start));
      }
    } catch (IOException | RuntimeException e) {
      LOG.warn(
          "Packed weights are not kept, so the next start will pack them again: {}. Serving goes"
              + " on. Choose another --cache-dir, or --packed-weights off.",
          e.toString());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // nobody does
    }
  }

  private long bytes() {
    return pieces.stream().mapToLong(piece -> piece.data.byteSize()).sum();
  }

  /** False: stopped before the end, and nothing is left. */
  private boolean write() throws IOException, InterruptedException {
    Path unfinished = directory.begin(key, bytes());
    try {
      if (!fill(unfinished)) {
        return false;
      }
      directory.finish(unfinished, key);
      return true;
    } finally {
      Files.deleteIfExists(unfinished);
    }
  }

  private boolean fill(Path file) throws IOException, InterruptedException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      List<StoredMatrix> matrices = new ArrayList<>();
      long offset = PackedFile.PAGE_BYTES;
      for (Piece piece : pieces) {
        List<Long> checksums = write(piece.data, channel, offset);
        if (stopped.getCount() == 0) {
          return false;
        }
        matrices.add(new StoredMatrix(piece.shape, offset, piece.data.byteSize(), checksums));
        offset = nextPage(offset + piece.data.byteSize());
      }
      byte[] table = new PackedTable(key, matrices).json();
      writeFully(channel, offset, ByteBuffer.wrap(table));
      writeFully(channel, 0, PackedFile.prefix(offset, table));
      channel.force(true);
      return true;
    }
  }

  private static long nextPage(long offset) {
    return (offset + PackedFile.PAGE_BYTES - 1) & -PackedFile.PAGE_BYTES;
  }

  /** The checksums of all chunks; fewer when stopped. */
  private List<Long> write(MemorySegment data, FileChannel channel, long offset)
      throws IOException, InterruptedException {
    List<Long> checksums = new ArrayList<>();
    for (long done = 0; done < data.byteSize(); done += PackedFile.CHUNK_BYTES) {
      long start = System.nanoTime();
      long bytes = Math.min(PackedFile.CHUNK_BYTES, data.byteSize() - done);
      ByteBuffer chunk = data.asSlice(done, bytes).asByteBuffer();
      CRC32C sum = new CRC32C();
      sum.update(chunk.duplicate());
      checksums.add(sum.getValue());
      writeFully(channel, offset + done, chunk);
      long worked = System.nanoTime() - start;
      if ((offset + done) / BYTES_PER_SYNC != (offset + done + bytes) / BYTES_PER_SYNC) {
        channel.force(false);
      }
      if (stopped.await(PAUSE_FACTOR * worked, TimeUnit.NANOSECONDS)) {
        break;
      }
    }
    return checksums;
  }

  private static void writeFully(FileChannel channel, long offset, ByteBuffer bytes)
      throws IOException {
    long at = offset;
    while (bytes.hasRemaining()) {
      at += channel.write(bytes, at);
    }
  }
}
