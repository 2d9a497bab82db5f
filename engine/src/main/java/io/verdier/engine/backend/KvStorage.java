package io.verdier.engine.backend;

import java.util.List;

/**
 * Bytes of the KV cache: keys and values of every layer in blocks, found by number. Owned by the
 * executor thread. Who uses which block is not known here.
 *
 * <p><b>Copies.</b> Blocks can be copied to memory of the host and back, bit by bit, each whole:
 * all layers of a block are one record. On a device copies run beside the steps, and of what is
 * queued only this much waits for what: a copy begins when the steps that began before it have
 * ended. So a copy out sees what they wrote, and a copy in overwrites nothing that they read.
 * Whoever asked for copies must not use their blocks in a step, nor either end in another copy,
 * before they are done; {@link HostCopy} says how to wait.
 */
public interface KvStorage extends AutoCloseable {
  Backend.KvShape shape();

  /**
   * Bytes of a block, keys and values of all layers, padding included: on every backend the tokens
   * of a block times {@link Backend#kvTokenBytes}, up to padding of heads to 32 dimensions. For
   * Llama-3.1-8B in bfloat16, in blocks of 16 tokens, 2 MiB.
   */
  long blockBytes();

  /**
   * Reserves host memory for so many blocks of this storage: page-locked for a device, so that it
   * is taken at once and takes time to get; on the CPU it appears as it is written.
   *
   * @throws DeviceException when a device's driver refuses to lock so much; nothing else is lost
   */
  HostBlocks hostBlocks(int slots);

  /**
   * Copies blocks to the host.
   *
   * @param to from {@link #hostBlocks} of this storage
   * @param pairs what goes where; each block and each slot at most once
   * @throws IndexOutOfBoundsException for a block or slot that is not there; nothing is copied then
   */
  HostCopy copyOut(HostBlocks to, List<HostBlocks.Pair> pairs);

  /** Copies blocks from the host; parameters and errors are those of {@link #copyOut}. */
  HostCopy copyIn(HostBlocks from, List<HostBlocks.Pair> pairs);

  /**
   * Gives memory back to the system, where it comes again as it is written. What was in the blocks
   * is lost. No step and no copy is under way.
   */
  default void vacate() {}

  @Override
  void close();
}
