package io.verdier.verticles.cluster.keep;

import io.verdier.cache.host.BlockStore.Block;
import io.verdier.cache.kv.BlockHash;
import java.util.List;

/**
 * What an engine and a cache node say to each other. A closed choice. Immutable.
 *
 * <pre>
 *   engine → cache node                       cache node → engine
 *   Hello     whose bits, first of all        Welcome | Refused
 *   Ask       which of these are there?       Found
 *   Get       a block                         Given | Missing
 *   Put       keep this one                   Kept
 *   Erase, Forget                             nothing
 * </pre>
 *
 * Answers come in any order; the engine's numbers say to what.
 */
sealed interface CacheFrame {

  /**
   * An engine is there.
   *
   * @param identity what decides the bits of its blocks, besides their names
   * @param blockBytes of each of them
   */
  record Hello(BlockHash identity, int blockBytes) implements CacheFrame {}

  /** It may ask. */
  record Welcome() implements CacheFrame {}

  /** It may not. */
  record Refused(String reason) implements CacheFrame {}

  /** Which of these are there? */
  record Ask(long id, List<BlockHash> names) implements CacheFrame {
    public Ask {
      names = List.copyOf(names);
    }
  }

  /**
   * Those.
   *
   * @param there bits, one for each name, 64 to a word
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Found(long id, long[] there) implements CacheFrame {}

  /** A block is wanted. */
  record Get(long id, BlockHash name) implements CacheFrame {}

  /** Here it is. */
  record Given(long id, Block block) implements CacheFrame {}

  /** It is not there. */
  record Missing(long id) implements CacheFrame {}

  /** Keep a block. */
  record Put(long id, BlockHash name, Block block) implements CacheFrame {}

  /** Whether it is kept. */
  record Kept(long id, boolean isKept) implements CacheFrame {}

  /** A block may be wrong. */
  record Erase(BlockHash name) implements CacheFrame {}

  /** No block with these bits shall be found again. */
  record Forget() implements CacheFrame {}
}
