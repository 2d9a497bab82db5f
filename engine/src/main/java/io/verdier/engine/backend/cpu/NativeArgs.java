package io.verdier.engine.backend.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The argument block of a kernel, filled field by field in the order of {@code verdier.h}, where
 * every field has 8 bytes. Owned by the executor thread; compute threads read it through C.
 */
final class NativeArgs {
  private final MemorySegment block;
  private int at;

  NativeArgs(int fields, Arena arena) {
    block = arena.allocate(fields * 8L, 64);
  }

  long address() {
    return block.address();
  }

  NativeArgs start() {
    at = 0;
    return this;
  }

  NativeArgs put(long value) {
    block.setAtIndex(ValueLayout.JAVA_LONG, at++, value);
    return this;
  }

  NativeArgs put(double value) {
    block.setAtIndex(ValueLayout.JAVA_DOUBLE, at++, value);
    return this;
  }

  /** An {@code operand}; zeros for none. */
  NativeArgs put(NativeOperand operand) {
    return put(operand.address())
        .put((long) operand.rows())
        .put((long) operand.groups())
        .put(operand.format().code());
  }

  /** Checks that all fields were given. */
  void end() {
    if (at * 8L != block.byteSize()) {
      throw new IllegalStateException(at + " fields of " + block.byteSize() / 8);
    }
  }
}
