package io.verdier.verticles.cache;

import io.verdier.engine.backend.DiskTier;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.DiskResults;
import io.verdier.verticles.bus.DiskTasks;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;

/**
 * Reads, or writes, blocks of the prefix cache. Owned by a disk worker thread, which waits for the
 * disk; one reads and one writes, so that a request that awaits blocks does not stand behind those
 * that are put away.
 */
public final class DiskVerticle extends VerticleBase {
  private final String address;
  private final String scheduler;
  private final DiskTier disk;

  /**
   * @param address {@link Addresses#diskReads} or {@link Addresses#diskWrites}
   * @param scheduler of the same engine
   * @param disk closed by the executor, which owns the memory
   */
  public DiskVerticle(String address, String scheduler, DiskTier disk) {
    this.address = address;
    this.scheduler = scheduler;
    this.disk = disk;
  }

  @Override
  public Future<?> start() {
    Bus bus = new Bus(vertx);
    return bus.consume(
        address,
        DiskTasks.class,
        tasks ->
            bus.send(scheduler, new DiskResults(tasks.work().stream().map(disk::run).toList())));
  }
}
