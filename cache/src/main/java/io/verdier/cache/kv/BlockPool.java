package io.verdier.cache.kv;

/**
 * Counts the holders of every block and lines up those that nobody holds. Owned by the scheduler
 * thread.
 *
 * <p><b>Idea.</b> All blocks exist from the start; a block is a number. Nobody asks "is there
 * memory?", only "is there a block that nobody holds?". A block that nobody holds may still have
 * contents worth finding again (see {@link PrefixIndex}), so the unheld blocks form a line: blocks
 * are taken from its front, and a block that becomes unheld joins the front when its contents are
 * worthless and the back when they may be wanted again. The line is thus the eviction order: least
 * recently held first, behind all the worthless ones. A holder gives its blocks up last block
 * first, so of one sequence the suffix is evicted before the prefix, which more prompts share.
 *
 * <p><b>Layout.</b> The line is a doubly linked ring through two arrays, with the element behind
 * the last block as its head. A prefix hit takes a block out of the middle of the line, and that
 * must not depend on the line's length; an array of links does it in four writes, without an object
 * per block, and the whole pool of a million blocks is 12 MB in three arrays.
 *
 * <pre>
 *   next:  head → 7 → 2 → 9 → 4 → head          7 is taken next; 4 was given up last
 *   holders[7] = holders[2] = holders[9] = holders[4] = 0, all others ≥ 1
 * </pre>
 *
 * <p><b>Invariants.</b>
 *
 * <ol>
 *   <li>A block is in the line exactly if it has no holder, so free + used = all, always.
 *   <li>{@code holders[b]} is the number of block tables that list {@code b}; the pool does not
 *       know the tables, {@link KvCacheManager} keeps this true.
 *   <li>A block is handed out by {@link #take} only from the line, so nobody else holds it: who
 *       takes it may write it. A block with two holders is full and is never written again.
 * </ol>
 *
 * <p><b>Life-cycle of a block.</b>
 *
 * <pre>
 *              take                      release, contents worthless
 *   free ───────────────▶ held by one ───────────────────────────────▶ free, front of the line
 *     ▲                    │  ▲    │ release, contents indexed
 *     │ take (contents     │  │    ▼
 *     └── forgotten) ──────│──┼── cached, back of the line
 *                   retain ▼  │ release  │ retain (prefix hit)
 *                     held by many ◀─────┘ (by one)
 * </pre>
 */
public final class BlockPool {

  /** Where an unheld block waits to be taken again. */
  public enum Reuse {
    /** Its contents are of no use: take it before all others. */
    SOONEST,
    /** Its contents may be wanted: take it after all that are unheld now. */
    LATEST
  }

  private final int[] holders; // [blocks]
  private final int[] next; // [blocks + 1], towards the back of the line; last element: the head
  private final int[] previous; // [blocks + 1], towards the front
  private final int head;
  private int freeCount;

  public BlockPool(int blockCount) {
    if (blockCount < 1) {
      throw new IllegalArgumentException("a pool needs at least 1 block, not " + blockCount);
    }
    holders = new int[blockCount];
    next = new int[blockCount + 1];
    previous = new int[blockCount + 1];
    head = blockCount;
    next[head] = head;
    previous[head] = head;
    for (int block = 0; block < blockCount; block++) {
      link(previous[head], block);
    }
  }

  public int blockCount() {
    return head;
  }

  /** Blocks that nobody holds, those with findable contents included. */
  public int freeCount() {
    return freeCount;
  }

  public int usedCount() {
    return head - freeCount;
  }

  public int holders(int block) {
    return holders[block];
  }

  /**
   * Takes the block at the front of the line; it then has one holder.
   *
   * @throws IllegalStateException when every block is held
   */
  public int take() {
    if (freeCount == 0) {
      throw new IllegalStateException("all " + head + " blocks are held");
    }
    int block = next[head];
    retain(block);
    return block;
  }

  /** One more holder; an unheld block leaves the line. */
  public void retain(int block) {
    if (holders[block]++ == 0) {
      next[previous[block]] = next[block];
      previous[next[block]] = previous[block];
      freeCount--;
    }
  }

  /**
   * One holder fewer; with the last one the block joins the line.
   *
   * @throws IllegalStateException when nobody holds the block
   */
  public void release(int block, Reuse reuse) {
    if (holders[block] == 0) {
      throw new IllegalStateException("block " + block + " is given up but nobody holds it");
    }
    if (--holders[block] == 0) {
      link(reuse == Reuse.SOONEST ? head : previous[head], block);
    }
  }

  private void link(int before, int block) {
    int after = next[before];
    next[before] = block;
    previous[block] = before;
    next[block] = after;
    previous[after] = block;
    freeCount++;
  }
}
