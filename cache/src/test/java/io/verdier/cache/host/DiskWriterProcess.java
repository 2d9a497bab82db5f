package io.verdier.cache.host;

import io.verdier.cache.kv.BlockHash;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.SplittableRandom;

/** A process that writes blocks until it is killed, over and over into the same few slots. */
final class DiskWriterProcess {
  static final long BYTES_MAX = 6 * 8192;

  /** What it prints behind each block. */
  static final int WRITTEN = '.';

  private DiskWriterProcess() {}

  /** Arguments: the directory and a seed. */
  public static void main(String[] arguments) throws IOException {
    SplittableRandom random = new SplittableRandom(Long.parseLong(arguments[1]));
    MemorySegment[] blocks = new MemorySegment[64];
    for (int i = 0; i < blocks.length; i++) {
      blocks[i] = DiskFileTest.block(i);
    }
    try (DiskFile file =
        DiskDirectory.open(
                Path.of(arguments[0]),
                DiskFileTest.identity(1),
                DiskDirectory.Engine.ALONE,
                BYTES_MAX)
            .orElseThrow()) {
      while (true) {
        int number = random.nextInt(blocks.length);
        file.write(random.nextInt(file.slots()), name(number), blocks[number]);
        System.out.write(WRITTEN);
        System.out.flush();
      }
    }
  }

  /** What the contents with a number are called. */
  static BlockHash name(int number) {
    return new BlockHash(number, 1, 2, 3);
  }
}
