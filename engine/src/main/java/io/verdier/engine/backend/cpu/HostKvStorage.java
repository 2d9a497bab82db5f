package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.HostBlocks;
import io.verdier.engine.backend.HostCopy;
import io.verdier.engine.backend.KvStorage;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A cache that lies in the host's memory itself, where a copy of a block is a copy of bytes. Owned
 * by the executor thread, which makes copies at once: nothing could make them meanwhile but one of
 * the cores that compute.
 */
abstract class HostKvStorage implements KvStorage {
  /** All layers of a block; it need not have been written before. */
  abstract MemorySegment block(int index);

  @Override
  public final CpuHostBlocks hostBlocks(int slots) {
    return new CpuHostBlocks(blockBytes(), slots);
  }

  @Override
  public final HostCopy copyOut(HostBlocks to, List<HostBlocks.Pair> pairs) {
    CpuHostBlocks host = checked(to, pairs);
    pairs.forEach(pair -> host.record(pair.slot()).copyFrom(block(pair.block())));
    return DoneCopy.DONE;
  }

  @Override
  public final HostCopy copyIn(HostBlocks from, List<HostBlocks.Pair> pairs) {
    CpuHostBlocks host = checked(from, pairs);
    pairs.forEach(pair -> block(pair.block()).copyFrom(host.record(pair.slot())));
    return DoneCopy.DONE;
  }

  private CpuHostBlocks checked(HostBlocks blocks, List<HostBlocks.Pair> pairs) {
    CpuHostBlocks host = (CpuHostBlocks) blocks;
    if (host.blockBytes() != blockBytes()) {
      throw new IllegalStateException(
          "records of " + host.blockBytes() + " bytes for blocks of " + blockBytes());
    }
    HostBlocks.requireAll(pairs, shape().blocks(), host.slots());
    return host;
  }
}
