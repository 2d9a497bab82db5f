package io.verdier.cache.host;

import io.verdier.cache.kv.BlockHash;
import java.util.List;

/**
 * One thing to do at a cache node. A closed choice. Immutable.
 *
 * <p>The first block's name says which cache node: so all blocks of a prefix lie at one.
 */
public sealed interface RemoteWork {

  /** How many of these blocks are there, before the first that is not? */
  record Ask(long id, BlockHash first, List<BlockHash> names) implements RemoteWork {
    public Ask {
      names = List.copyOf(names);
    }
  }

  /**
   * Bring a block.
   *
   * @param hostSlot that is filled, pinned until the answer
   */
  record Read(long id, BlockHash first, BlockHash name, int hostSlot) implements RemoteWork {}

  /**
   * Keep a block, unless it is there.
   *
   * @param hostSlot whose contents it is, pinned until the answer
   */
  record Write(long id, BlockHash first, BlockHash name, int hostSlot) implements RemoteWork {}

  /** The contents may be wrong: nobody may find them. Not answered. */
  record Erase(BlockHash name) implements RemoteWork {}

  /** The same of all that engines with these bits have there. Not answered. */
  record Forget() implements RemoteWork {}
}
