package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.HostBlocks;
import io.verdier.engine.backend.HostCopy;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Objects;

/**
 * Page-locked records and the two queues that fill and read them, one for each direction, because
 * the bus carries both at once. Owned by the executor thread.
 *
 * <p>A block is one piece in each layer (64 KiB of a Llama-3.1-8B), and one call to the driver
 * copies all of them: the copy engine takes strided pieces of that size at the bus's speed, the
 * processor spends some microseconds on 2 MiB, and no multiprocessor is kept from its step. A
 * kernel that reads and writes the host's memory would be one launch for a whole batch; but its
 * blocks would sit for milliseconds on multiprocessors whose registers a large multiplication wants
 * all of. A cache with whole blocks in one piece would spread a layer over all of its memory's
 * pages.
 */
final class CudaHostBlocks implements HostBlocks {
  private final CudaDriver driver;
  private final CudaKvStorage storage;
  private final MemorySegment data;
  private final int slots;
  private final CopyQueue outwards;
  private final CopyQueue inwards;
  private boolean closed;

  CudaHostBlocks(CudaDriver driver, CudaKvStorage storage, int slots) {
    this.driver = driver;
    this.storage = storage;
    this.slots = slots;
    data = driver.hostBuffer(Math.max(1, Math.multiplyExact(storage.blockBytes(), slots)));
    outwards = driver.copyQueue();
    inwards = driver.copyQueue();
  }

  CudaKvStorage storage() {
    return storage;
  }

  @Override
  public int slots() {
    return slots;
  }

  @Override
  public List<MemorySegment> pieces(int slot) {
    return List.of(record(slot));
  }

  MemorySegment record(int slot) {
    return data.asSlice(
        Objects.checkIndex(slot, slots) * storage.blockBytes(), storage.blockBytes());
  }

  HostCopy copyOut(List<Pair> pairs) {
    requireAll(pairs);
    outwards.followMain();
    for (Pair pair : pairs) {
      outwards.copyOut(record(pair.slot()), storage.block(pair.block()), storage.pieces());
    }
    return new CudaHostCopy(outwards);
  }

  HostCopy copyIn(List<Pair> pairs) {
    requireAll(pairs);
    inwards.followMain();
    for (Pair pair : pairs) {
      inwards.copyIn(storage.block(pair.block()), record(pair.slot()), storage.pieces());
    }
    return new CudaHostCopy(inwards);
  }

  private void requireAll(List<Pair> pairs) {
    HostBlocks.requireAll(pairs, storage.shape().blocks(), slots);
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      outwards.close();
      inwards.close();
      driver.freeHost(data);
    }
  }
}
