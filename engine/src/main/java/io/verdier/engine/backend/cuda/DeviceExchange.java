package io.verdier.engine.backend.cuda;

/**
 * The one thing that devices of several ranks tell each other, from which {@link CudaCollectives}
 * makes the rest. Owned by the rank's thread.
 */
interface DeviceExchange extends AutoCloseable {

  /**
   * Queues that every rank's bytes come to every rank, in the order of ranks.
   *
   * @param to room for the bytes of all ranks, on this rank's device
   * @param from this rank's, elsewhere on the device
   * @param bytes of each rank, a multiple of 4, the same on all
   */
  void allGather(long to, long from, long bytes);

  @Override
  void close();
}
