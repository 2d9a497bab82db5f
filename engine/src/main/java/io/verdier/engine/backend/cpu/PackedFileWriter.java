package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.cpu.PackedTable.PackedKey;
import io.verdier.engine.backend.cpu.PackedTable.Shape;
import io.verdier.engine.backend.cpu.PackedTable.StoredMatrix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
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
 * <p>It pauses fifteen times as long as it works: with four times, steps of decoding took a tenth
 * longer meanwhile. It has what it wrote on the disk every {@value #BYTES_PER_SYNC} bytes, so a
 * stop is quick at any time, and the page cache never holds gigabytes of unwritten data. Until all
 * is on the disk the file has a name that nobody reads.
 */
final class PackedFileWriter implements Runnable {
  private static final int PAUSE_FACTOR = 15;
  private static final int WINDOW_BYTES = 4 << 20;
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
          reason(e));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // nobody does
    }
  }

  private static String reason(Exception e) {
    return e instanceof FileSystemException refused
        ? "no use can be made of %s%s"
            .formatted(
                refused.getFile(), refused.getReason() == null ? "" : ": " + refused.getReason())
        : String.valueOf(e.getMessage());
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
      Output output = new Output(channel);
      List<StoredMatrix> matrices = new ArrayList<>();
      for (Piece piece : pieces) {
        output.toNextPage();
        long offset = output.position();
        List<Long> checksums = write(piece.data, output);
        if (stopped.getCount() == 0) {
          return false;
        }
        matrices.add(new StoredMatrix(piece.shape, offset, piece.data.byteSize(), checksums));
      }
      output.toNextPage();
      long offset = output.position();
      byte[] table = new PackedTable(key, matrices).json();
      output.write(MemorySegment.ofArray(table));
      output.flush();
      writeFully(channel, 0, PackedFile.prefix(offset, table));
      channel.force(true);
      return true;
    }
  }

  /** The checksums of all chunks; fewer when stopped. */
  private List<Long> write(MemorySegment data, Output output)
      throws IOException, InterruptedException {
    List<Long> checksums = new ArrayList<>();
    for (long done = 0; done < data.byteSize(); done += PackedFile.CHUNK_BYTES) {
      long bytes = Math.min(PackedFile.CHUNK_BYTES, data.byteSize() - done);
      MemorySegment chunk = data.asSlice(done, bytes);
      CRC32C sum = new CRC32C();
      sum.update(chunk.asByteBuffer());
      checksums.add(sum.getValue());
      output.write(chunk);
      if (stopped.getCount() == 0) {
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

  /**
   * Writes in windows that begin at multiples of their size: a file system that has huge pages for
   * files gives one to each part of a write that covers it, and to nothing else. Small matrices
   * written one by one had none.
   */
  private final class Output {
    private final FileChannel channel;
    private final ByteBuffer window = ByteBuffer.allocateDirect(WINDOW_BYTES);
    private long written;
    private long start = System.nanoTime(); // of the work on this window

    Output(FileChannel channel) {
      this.channel = channel;
      window.put(new byte[PackedFile.PAGE_BYTES]); // for the prefix
    }

    long position() {
      return written + window.position();
    }

    /** Windows end at pages, so there is always room. */
    void toNextPage() {
      int rest = -window.position() & PackedFile.PAGE_BYTES - 1;
      window.put(new byte[rest]);
    }

    void write(MemorySegment data) throws IOException, InterruptedException {
      for (long done = 0; done < data.byteSize(); ) {
        int count = (int) Math.min(window.remaining(), data.byteSize() - done);
        window.put(data.asSlice(done, count).asByteBuffer());
        done += count;
        if (!window.hasRemaining()) {
          flush();
        }
      }
    }

    /** Writes the window, and rests from it. */
    void flush() throws IOException, InterruptedException {
      window.flip();
      writeFully(channel, written, window);
      written += window.limit();
      window.clear();
      long worked = System.nanoTime() - start;
      if (written % BYTES_PER_SYNC == 0) {
        channel.force(false);
      }
      boolean ignored = stopped.await(PAUSE_FACTOR * worked, TimeUnit.NANOSECONDS);
      start = System.nanoTime();
    }
  }
}
