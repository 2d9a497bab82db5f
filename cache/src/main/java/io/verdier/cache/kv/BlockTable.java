package io.verdier.cache.kv;

import java.util.Arrays;

/**
 * The blocks of one sequence, in order of position. Owned by the scheduler thread; changed only by
 * {@link KvCacheManager}.
 *
 * <pre>
 *   tokens   0 …… 15 │ 16 …… 31 │ 32 …… 47 │ 48 …
 *   blocks     17    │    4     │    9     │   30      blocks[0 .. count)
 *              shared  ▲ own     committed ▲           adopted = 1, committed = 3
 * </pre>
 *
 * The names outlive the blocks: a preempted sequence comes back with the same tokens.
 */
public final class BlockTable {
  private static final int[] NO_BLOCKS = {};
  private static final BlockHash[] NO_NAMES = {};

  private int[] blocks = NO_BLOCKS;
  private int count;
  private int adopted; // leading blocks that came from the prefix cache
  private int committed; // leading blocks that were adopted or offered to the index
  private int offered; // leading blocks that the tiers behind the device have been offered
  private BlockHash[] names = NO_NAMES; // of the leading full blocks, as far as asked for
  private int named;
  private final BlockHash root;

  BlockTable(BlockHash root) {
    this.root = root;
  }

  public int count() {
    return count;
  }

  public int block(int index) {
    return blocks[index];
  }

  /** Block ids from index {@code from} up to, not including, {@code to}. */
  public int[] copy(int from, int to) {
    return from == to ? NO_BLOCKS : Arrays.copyOfRange(blocks, from, to);
  }

  int adopted() {
    return adopted;
  }

  /** Leading blocks whose contents are complete. */
  public int committed() {
    return committed;
  }

  /** Writes an entry without counting it: {@link #adopt} does when the hits are really taken. */
  void propose(int index, int block) {
    if (index == blocks.length) {
      blocks = Arrays.copyOf(blocks, Math.max(4, 2 * index));
    }
    blocks[index] = block;
  }

  void adopt(int hits) {
    count = hits;
    adopted = hits;
    committed = hits;
  }

  void append(int block) {
    propose(count, block);
    count++;
  }

  void committed(int blocks) {
    committed = blocks;
  }

  /** So many leading blocks hold what others have computed. */
  void trust(int blocks) {
    adopted = blocks;
  }

  /** Leading blocks that the tiers behind the device have been offered since it was filled. */
  public int offered() {
    return offered;
  }

  public void offered(int blocks) {
    offered = blocks;
  }

  void clear() {
    adopt(0);
    offered = 0;
  }

  /** The name of a full block; names are computed once, in order. */
  BlockHash name(int index, int[] tokens, int blockTokens, BlockHasher hasher) {
    if (index >= names.length) {
      names = Arrays.copyOf(names, Math.max(4, Math.max(index + 1, 2 * names.length)));
    }
    for (; named <= index; named++) {
      BlockHash parent = named == 0 ? root : names[named - 1];
      names[named] = hasher.next(parent, tokens, named * blockTokens);
    }
    return names[index];
  }
}
