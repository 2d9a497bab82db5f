package io.verdier.cache.kv;

import org.jspecify.annotations.Nullable;

/**
 * Gives sequences their blocks, finds the blocks that exist already, and takes them back. Owned by
 * the scheduler thread.
 *
 * <p>Only a block whose every token has been computed may be found by others, so contents enter the
 * index by {@link #commit} after the step's outcome, never when the step is planned: a step that
 * fails must not have promised anything. A table only grows until it is given up as a whole.
 *
 * <p>Blocks are asked for in two ways. {@link #admit} takes all that the known tokens need at once,
 * or nothing, so that a prompt that has been started never preempts anyone to get finished; {@link
 * #reserve} lengthens a table as the sequence grows.
 */
public final class KvCacheManager {

  /** Whether a sequence may begin with blocks that others have computed. */
  public enum Prefix {
    READ,
    SKIP
  }

  private final int blockTokens;
  private final BlockPool pool;
  private final PrefixIndex index;
  private final BlockHasher hasher;
  private BlockWatcher watcher = BlockWatcher.NOBODY;
  private BlockObserver observer = BlockObserver.NOBODY;
  private long evictions;

  /**
   * @param blockCount all blocks there are
   * @param blockTokens tokens per block
   */
  public KvCacheManager(int blockCount, int blockTokens) {
    if (blockTokens < 1) {
      throw new IllegalArgumentException("a block holds at least 1 token, not " + blockTokens);
    }
    this.blockTokens = blockTokens;
    this.pool = new BlockPool(blockCount);
    this.index = new PrefixIndex(blockCount);
    this.hasher = new BlockHasher(blockTokens);
  }

  /** Has somebody told what becomes of contents. */
  public void watch(BlockWatcher other) {
    watcher = other;
  }

  /** Has somebody measure how blocks are used. */
  public void observe(BlockObserver other) {
    observer = other;
  }

  public int blockCount() {
    return pool.blockCount();
  }

  public int blockTokens() {
    return blockTokens;
  }

  /** Blocks held by at least one sequence. */
  public int usedCount() {
    return pool.usedCount();
  }

  /** Blocks held by nobody whose contents can still be found. Linear in the pool: for audits. */
  public int cachedCount() {
    int cached = 0;
    for (int block = 0; block < pool.blockCount(); block++) {
      if (pool.holders(block) == 0 && index.contains(block)) {
        cached++;
      }
    }
    return cached;
  }

  /** Findable contents that gave way to others. */
  public long evictions() {
    return evictions;
  }

  /** How many tables list the block. */
  public int holders(int block) {
    return pool.holders(block);
  }

  /** Whether the block's contents can be found. */
  public boolean isIndexed(int block) {
    return index.contains(block);
  }

  /** The block with these contents, -1 where there is none. */
  public int find(BlockHash name) {
    return index.find(name);
  }

  /** What a block holds; null where it cannot be found. */
  public @Nullable BlockHash name(int block) {
    return index.name(block);
  }

  /**
   * The name of a sequence's full block, whether or not the table has that block.
   *
   * @param tokens of the sequence; known up to the block's end
   */
  public BlockHash name(BlockTable table, int block, int[] tokens) {
    return table.name(block, tokens, blockTokens, hasher);
  }

  public int blocksFor(int tokens) {
    return tokens / blockTokens + (tokens % blockTokens == 0 ? 0 : 1);
  }

  /** Tokens that all blocks together hold. */
  public long capacityTokens() {
    return (long) pool.blockCount() * blockTokens;
  }

  /** An empty table; sequences with different salt or adapter never share a block. */
  public BlockTable open(String salt, String adapter) {
    return new BlockTable(hasher.root(salt, adapter));
  }

  /**
   * Fills an empty table: cached blocks of the longest known prefix first, free ones up to {@code
   * reserve} tokens behind them. All or nothing.
   *
   * @param known leading elements of {@code tokens} that are the sequence's tokens; at least the
   *     last of them is left to compute, because its logits are needed
   * @param reserve tokens the table shall cover, ≥ {@code known}
   * @return tokens that need not be computed, a multiple of the block size; -1 and nothing changed
   *     when too few blocks are free
   */
  public int admit(BlockTable table, int[] tokens, int known, int reserve, Prefix prefix) {
    if (table.count() != 0) {
      throw new IllegalStateException("a table with " + table.count() + " blocks is admitted");
    }
    int hitsMax = prefix == Prefix.READ ? (known - 1) / blockTokens : 0;
    int hits = 0;
    int unheldHits = 0;
    while (hits < hitsMax) {
      int block = index.find(table.name(hits, tokens, blockTokens, hasher));
      if (block < 0) {
        break;
      }
      if (pool.holders(block) == 0) {
        unheldHits++;
      }
      table.propose(hits++, block);
    }
    // A hit that nobody holds is counted as free, but this very sequence takes it.
    if (blocksFor(reserve) - hits > pool.freeCount() - unheldHits) {
      return -1;
    }
    // All hits are held before the first block is taken: taking could evict one of them.
    for (int i = 0; i < hits; i++) {
      pool.retain(table.block(i));
      observer.onFound(table.block(i));
    }
    table.adopt(hits);
    extend(table, blocksFor(reserve));
    return hits * blockTokens;
  }

  /**
   * Lengthens a table to cover so many tokens.
   *
   * @return false and nothing changed when too few blocks are free
   */
  public boolean reserve(BlockTable table, int tokens) {
    int wanted = blocksFor(tokens);
    if (wanted - table.count() > pool.freeCount()) {
      return false;
    }
    extend(table, wanted);
    return true;
  }

  /** Makes the full blocks among the first {@code computed} tokens findable. */
  public void commit(BlockTable table, int[] tokens, int computed) {
    int full = computed / blockTokens;
    for (int i = table.committed(); i < full; i++) {
      index.add(table.name(i, tokens, blockTokens, hasher), table.block(i));
      table.committed(i + 1);
    }
  }

  /**
   * Makes blocks findable whose contents were brought from elsewhere, as if they had been found
   * here.
   *
   * @param computed tokens whose keys and values are in the blocks, a multiple of the block size
   */
  public void adopt(BlockTable table, int[] tokens, int computed) {
    commit(table, tokens, computed);
    table.trust(table.committed());
  }

  /** Gives all blocks up, the last one first; what was committed can still be found. */
  public void release(BlockTable table) {
    for (int i = table.count() - 1; i >= 0; i--) {
      int block = table.block(i);
      pool.release(block, index.contains(block) ? BlockPool.Reuse.LATEST : BlockPool.Reuse.SOONEST);
    }
    table.clear();
  }

  /**
   * Gives the blocks of a failed sequence up and makes those it computed itself unfindable: what
   * was wrong with its last step may have been wrong before. Adopted blocks stay, others have
   * computed with them.
   */
  public void discard(BlockTable table) {
    for (int i = table.adopted(); i < table.committed(); i++) {
      BlockHash name = index.name(table.block(i));
      if (name != null) {
        watcher.onSpoiled(table.block(i), name);
        index.remove(table.block(i));
      }
    }
    release(table);
  }

  /**
   * Makes every block's contents unfindable: they are worthless from now on.
   *
   * @return false and nothing changed while blocks are held
   */
  public boolean forget() {
    if (pool.usedCount() > 0) {
      return false;
    }
    for (int block = 0; block < pool.blockCount(); block++) {
      index.remove(block);
    }
    observer.onForgotten();
    return true;
  }

  private void extend(BlockTable table, int wanted) {
    while (table.count() < wanted) {
      int block = pool.take();
      BlockHash name = index.name(block);
      if (name != null) {
        evictions++;
        watcher.onReuse(block, name);
        index.remove(block);
      }
      observer.onTaken(block);
      table.append(block);
    }
  }
}
