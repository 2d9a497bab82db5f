package io.verdier.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.HostBlocks;
import io.verdier.engine.backend.HostBlocks.Pair;
import io.verdier.engine.backend.HostCopy;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What copies of blocks are on a device: late, and as fast as the bus. */
class CudaBlockCopyTest {

  @Test
  @DisabledIfSystemProperty(named = "verdier.gpu", matches = "true")
  void copy_justAskedFor_isUnderWay() {
    try (CudaBackend backend = TestCuda.backend(Options.defaults())) {
      KvStorage storage = backend.kvStorage(new KvShape(2, 1, 1, 32, 16, 4));
      HostBlocks host = storage.hostBlocks(2);
      fill(host.pieces(0).getFirst(), 1);
      fill(host.pieces(1).getFirst(), 2);
      HostCopy in = storage.copyIn(host, List.of(new Pair(3, 0), new Pair(0, 1)));
      assertThat(in.isDone()).isFalse();
      in.await();
      fill(host.pieces(0).getFirst(), 3);
      HostCopy out = storage.copyOut(host, List.of(new Pair(3, 0)));
      assertThat(host.pieces(0).getFirst().get(ValueLayout.JAVA_LONG, 0))
          .as("not yet")
          .isEqualTo(3);
      out.await();
      assertThat(host.pieces(0).getFirst().get(ValueLayout.JAVA_LONG, 0)).isEqualTo(1);
    }
  }

  /**
   * Pieces of 64 KiB, as a Llama-3.1-8B has them, up to what the driver takes as the lines of one
   * slice and beyond.
   */
  @ParameterizedTest
  @EnabledIfSystemProperty(named = "verdier.gpu", matches = "true")
  @CsvSource({"32,2000", "8,2000", "8,34000"})
  void copies_manyBlocks_keepTheBusBusy(int layers, int blocks) {
    try (CudaBackend backend = TestCuda.backend(Options.defaults())) {
      KvStorage storage = backend.kvStorage(new KvShape(layers, 8, 32, 128, 16, blocks));
      int count = (int) ((1L << 29) / storage.blockBytes());
      HostBlocks host = storage.hostBlocks(2 * count);
      for (int slot = 0; slot < count; slot++) {
        fill(host.pieces(slot).getFirst(), slot);
      }
      int apart = blocks / count;
      List<Pair> there =
          IntStream.range(0, count).mapToObj(i -> new Pair(blocks - 1 - i * apart, i)).toList();
      List<Pair> back =
          there.stream().map(pair -> new Pair(pair.block(), count + pair.slot())).toList();
      double bytes = (double) count * storage.blockBytes();
      for (int turn = 0; turn < 3; turn++) {
        long start = System.nanoTime();
        HostCopy in = storage.copyIn(host, there);
        long asked = System.nanoTime();
        in.await();
        long arrived = System.nanoTime();
        storage.copyOut(host, back).await();
        long returned = System.nanoTime();
        System.out.printf(
            "blocks of %d KiB in %d pieces: in %.1f GB/s, out %.1f GB/s, %.1f us a block to ask%n",
            storage.blockBytes() >> 10,
            layers,
            bytes / (arrived - start),
            bytes / (returned - arrived),
            (asked - start) / 1e3 / count);
      }
      for (int slot = 0; slot < count; slot++) {
        assertThat(host.pieces(slot).getFirst().mismatch(host.pieces(count + slot).getFirst()))
            .isEqualTo(-1);
      }
    }
  }

  /** What a {@code ByteBuffer} cannot hold. */
  @Test
  @EnabledIfSystemProperty(named = "verdier.gpu", matches = "true")
  void copies_hostBeyond2GiB_reachItsEnd() {
    try (CudaBackend backend = TestCuda.backend(Options.defaults())) {
      KvStorage storage = backend.kvStorage(new KvShape(8, 8, 32, 128, 16, 4));
      int slots = (int) ((5L << 29) / storage.blockBytes());
      HostBlocks host = storage.hostBlocks(slots);
      fill(host.pieces(slots - 1).getFirst(), 7);
      storage.copyIn(host, List.of(new Pair(2, slots - 1))).await();
      storage.copyOut(host, List.of(new Pair(2, 0))).await();
      assertThat(host.pieces(0).getFirst().mismatch(host.pieces(slots - 1).getFirst()))
          .isEqualTo(-1);
    }
  }

  /** Numbers of which no two in the records of a test are the same. */
  private static void fill(MemorySegment record, long slot) {
    for (long i = 0; i < record.byteSize() / 8; i++) {
      record.setAtIndex(ValueLayout.JAVA_LONG, i, slot + (i << 20));
    }
  }
}
