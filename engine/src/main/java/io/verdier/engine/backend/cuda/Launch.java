package io.verdier.engine.backend.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Grid and arguments of a launch, filled anew for each. Owned by the executor thread.
 *
 * <pre>
 *   pointers  [ &amp;v0 | &amp;v1 | &amp;v2 | ... ]     what the driver is given: written once
 *   values    [ v0  | v1  | v2  | ... ]     eight bytes each, whatever the argument's type
 * </pre>
 */
final class Launch {
  private static final int ARGUMENTS_MAX = 40;

  private final MemorySegment pointers;
  private final MemorySegment values;
  private int count;
  private int gridX;
  private int gridY;
  private int gridZ;
  private int threads;
  private int sharedBytes;

  Launch(Arena arena) {
    values = arena.allocate(ARGUMENTS_MAX * 8L, 8);
    pointers = arena.allocate(ARGUMENTS_MAX * 8L, 8);
    for (int i = 0; i < ARGUMENTS_MAX; i++) {
      pointers.setAtIndex(ValueLayout.JAVA_LONG, i, values.address() + i * 8L);
    }
  }

  /** Begins anew: so many blocks of so many threads, no arguments yet. */
  Launch grid(int x, int y, int z, int blockThreads) {
    gridX = x;
    gridY = y;
    gridZ = z;
    threads = blockThreads;
    sharedBytes = 0;
    count = 0;
    return this;
  }

  Launch grid(int x, int blockThreads) {
    return grid(x, 1, 1, blockThreads);
  }

  /** Dynamic shared memory of a block. */
  Launch shared(int bytes) {
    sharedBytes = bytes;
    return this;
  }

  Launch pointer(long address) {
    values.setAtIndex(ValueLayout.JAVA_LONG, count++, address);
    return this;
  }

  Launch integer64(long value) {
    return pointer(value);
  }

  Launch integer(int value) {
    values.set(ValueLayout.JAVA_INT, count++ * 8L, value);
    return this;
  }

  Launch number(float value) {
    values.set(ValueLayout.JAVA_FLOAT, count++ * 8L, value);
    return this;
  }

  int gridX() {
    return gridX;
  }

  int gridY() {
    return gridY;
  }

  int gridZ() {
    return gridZ;
  }

  int threads() {
    return threads;
  }

  int sharedBytes() {
    return sharedBytes;
  }

  /** The driver's array of pointers to the arguments. */
  MemorySegment arguments() {
    return pointers;
  }

  /** The arguments' bytes, to be kept by who launches later. */
  MemorySegment values() {
    return values.asSlice(0, count * 8L);
  }
}
