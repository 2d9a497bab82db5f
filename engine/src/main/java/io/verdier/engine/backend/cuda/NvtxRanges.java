package io.verdier.engine.backend.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * Ranges of NVTX 3, which is a header for C and no library: what the header does when a program
 * first uses it is done here. Owned by the executor thread.
 *
 * <pre>
 *   profiler                               this class
 *   InitializeInjectionNvtx2(get)   &lt;---   load the library that the profiler names, call it
 *   get(1)                          ---&gt;   { 16, functionTable }
 *   functionTable(1, &amp;table, &amp;n)    ---&gt;   table: for each function of module 1 (core), where its
 *   *table[9] = push; *table[11] = pop     address belongs
 * </pre>
 *
 * Of all modules only two functions are ever called; for the rest there is room, as a profiler may
 * insist on it. A library that took the tables is never unloaded, so nothing here is freed.
 */
final class NvtxRanges implements Ranges {
  private static final String ENTRY = "InitializeInjectionNvtx2";

  // Of nvtxTypes.h: export tables, and functions by module with one more for its end.
  private static final int CALLBACKS = 1;
  private static final int VERSION_INFO = 3;
  private static final int VERSION = 3;
  private static final int[] MODULE_SLOTS = {0, 17, 10, 16, 8, 17, 8};
  private static final int CORE = 1;
  private static final int PUSH = 9; // nvtxRangePushA
  private static final int POP = 11; // nvtxRangePop

  private static final FunctionDescriptor INITIALIZE = FunctionDescriptor.of(JAVA_INT, ADDRESS);
  private static final FunctionDescriptor EXPORT_TABLE = FunctionDescriptor.of(ADDRESS, JAVA_INT);
  private static final FunctionDescriptor FUNCTION_TABLE =
      FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS);
  private static final FunctionDescriptor SET_VERSION = FunctionDescriptor.ofVoid(JAVA_INT);
  private static final FunctionDescriptor PUSHED = FunctionDescriptor.of(JAVA_INT, ADDRESS);
  private static final FunctionDescriptor POPPED = FunctionDescriptor.of(JAVA_INT);

  private final MethodHandle push;
  private final MethodHandle pop;
  private final Map<Kind, MemorySegment> names = new EnumMap<>(Kind.class);
  private final Range open = this::pop; // one for all: they close in the order of a stack

  private NvtxRanges(MemorySegment pushAddress, MemorySegment popAddress) {
    push = Linker.nativeLinker().downcallHandle(pushAddress, PUSHED);
    pop = Linker.nativeLinker().downcallHandle(popAddress, POPPED);
    for (Kind kind : Kind.values()) {
      String name = "verdier " + kind.name().toLowerCase(Locale.ROOT);
      names.put(kind, Arena.global().allocateFrom(name));
    }
  }

  /**
   * Offers ranges to a profiler.
   *
   * @param library that it names
   * @return empty if it cannot be loaded, or does not take ranges
   */
  static Optional<Ranges> attach(String library) {
    try {
      MemorySegment entry =
          SymbolLookup.libraryLookup(library, Arena.global()).find(ENTRY).orElseThrow();
      Tables tables = new Tables();
      MemorySegment get = tables.upcall("exportTable", EXPORT_TABLE);
      int taken = (int) Linker.nativeLinker().downcallHandle(entry, INITIALIZE).invokeExact(get);
      MemorySegment pushAddress = tables.function(CORE, PUSH);
      MemorySegment popAddress = tables.function(CORE, POP);
      return taken == 0 || pushAddress.address() == 0 || popAddress.address() == 0
          ? Optional.empty()
          : Optional.of(new NvtxRanges(pushAddress, popAddress));
    } catch (Throwable unusable) { // whatever it is, it is no reason to serve nobody
      return Optional.empty();
    }
  }

  @Override
  public Range open(Kind kind) {
    MemorySegment name = Objects.requireNonNull(names.get(kind));
    try {
      int ignored = (int) push.invokeExact(name);
    } catch (Throwable e) {
      throw new IllegalStateException("nvtxRangePushA", e);
    }
    return open;
  }

  private void pop() {
    try {
      int ignored = (int) pop.invokeExact();
    } catch (Throwable e) {
      throw new IllegalStateException("nvtxRangePop", e);
    }
  }

  /** What the profiler asks for and fills in. Owned by the loading thread. */
  private static final class Tables {
    private final MemorySegment[] slots = new MemorySegment[MODULE_SLOTS.length];
    private final MemorySegment[] tables = new MemorySegment[MODULE_SLOTS.length];
    private final MemorySegment callbacks = Arena.global().allocate(16, 8);
    private final MemorySegment version = Arena.global().allocate(24, 8);

    Tables() throws NoSuchMethodException, IllegalAccessException {
      for (int module = 0; module < MODULE_SLOTS.length; module++) {
        int count = MODULE_SLOTS[module];
        slots[module] = Arena.global().allocate(ADDRESS, Math.max(1, count));
        tables[module] = Arena.global().allocate(ADDRESS, Math.max(1, count));
        for (int i = 1; i < count - 1; i++) { // the first and the last are none
          tables[module].setAtIndex(ADDRESS, i, slots[module].asSlice(i * 8L, 8));
        }
      }
      callbacks.set(JAVA_LONG, 0, callbacks.byteSize());
      callbacks.set(ADDRESS, 8, upcall("functionTable", FUNCTION_TABLE));
      version.set(JAVA_LONG, 0, version.byteSize());
      version.set(JAVA_INT, 8, VERSION);
      version.set(ADDRESS, 16, upcall("setVersion", SET_VERSION));
    }

    /** One of the methods below as a function of C. */
    MemorySegment upcall(String name, FunctionDescriptor descriptor)
        throws NoSuchMethodException, IllegalAccessException {
      MethodType type = descriptor.toMethodType();
      MethodHandle handle = MethodHandles.lookup().bind(this, name, type);
      return Linker.nativeLinker().upcallStub(handle, descriptor, Arena.global());
    }

    MemorySegment function(int module, int index) {
      return slots[module].getAtIndex(ADDRESS, index);
    }

    @SuppressWarnings("UnusedMethod") // called by the profiler
    private MemorySegment exportTable(int id) {
      return switch (id) {
        case CALLBACKS -> callbacks;
        case VERSION_INFO -> version;
        default -> MemorySegment.NULL;
      };
    }

    @SuppressWarnings("UnusedMethod") // called by the profiler
    private int functionTable(int module, MemorySegment table, MemorySegment count) {
      if (module <= 0 || module >= MODULE_SLOTS.length) {
        return 0;
      }
      if (table.address() != 0) {
        table.reinterpret(8).set(ADDRESS, 0, tables[module]);
      }
      if (count.address() != 0) {
        count.reinterpret(4).set(JAVA_INT, 0, MODULE_SLOTS[module] - 1);
      }
      return 1;
    }

    @SuppressWarnings("UnusedMethod") // called by the profiler
    private void setVersion(int ignored) {}
  }
}
