package io.verdier.engine.backend.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A job whose units are calls of one kernel. Set up by the executor thread, run by the pool; made
 * once and used again, so that a step allocates nothing.
 */
class NativeJob implements ComputePool.Job {
  private final MemorySegment function;
  private final long address;
  final NativeArgs args;

  NativeJob(MemorySegment function, int fields, Arena arena) {
    this.function = function;
    this.args = new NativeArgs(fields, arena);
    this.address = args.address();
  }

  @Override
  public void run(int unit, int worker) {
    KernelLibrary.call(function, address, unit, worker);
  }
}
