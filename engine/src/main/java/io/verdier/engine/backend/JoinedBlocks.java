package io.verdier.engine.backend;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Memory for parts of the same blocks, as if it were one: a slot has its piece in each. Owned by
 * the executor thread.
 *
 * @param slots of every part
 * @param parts in the order of the pieces
 * @param closing frees all of them, each where it must be
 */
public record JoinedBlocks(int slots, List<HostBlocks> parts, Runnable closing)
    implements HostBlocks {
  public JoinedBlocks {
    parts = List.copyOf(parts);
  }

  @Override
  public List<MemorySegment> pieces(int slot) {
    return parts.stream().flatMap(it -> it.pieces(slot).stream()).toList();
  }

  @Override
  public void close() {
    closing.run();
  }
}
