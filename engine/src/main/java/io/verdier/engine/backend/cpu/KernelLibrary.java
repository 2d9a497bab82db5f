package io.verdier.engine.backend.cpu;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * The C kernels of one level, loaded into this process. Immutable; stays loaded until the process
 * ends.
 *
 * <p>All kernels have one shape, {@code void f(const args *, int32_t unit, int32_t worker)}, and
 * the handles take the function as an argument: so a handle can be a constant, which C2 compiles to
 * a plain call of some nanoseconds, while several levels are loaded side by side.
 */
final class KernelLibrary {
  /** Of {@code verdier.h}. */
  private static final int ABI = 6;

  private static final Linker LINKER = Linker.nativeLinker();
  private static final ValueLayout.OfLong WORD = ValueLayout.JAVA_LONG;
  private static final ValueLayout.OfInt NUMBER = ValueLayout.JAVA_INT;
  private static final MethodHandle CALL =
      LINKER.downcallHandle(FunctionDescriptor.ofVoid(WORD, NUMBER, NUMBER));
  private static final MethodHandle ASK = LINKER.downcallHandle(FunctionDescriptor.of(NUMBER));
  private static final MethodHandle SIZE =
      LINKER.downcallHandle(FunctionDescriptor.of(WORD, WORD, WORD));

  private final KernelLevel level;
  private final SymbolLookup symbols;
  final MemorySegment matmul;
  final MemorySegment rows;
  final MemorySegment embed;
  final MemorySegment rope;
  final MemorySegment attend;
  final MemorySegment loraShrink;
  final MemorySegment loraExpand;
  final MemorySegment pack;
  final MemorySegment probe;
  private final MemorySegment ask;
  private final MemorySegment panels;
  private final MemorySegment matmulScratch;
  private final MemorySegment attendScratch;

  private KernelLibrary(KernelLevel level, SymbolLookup symbols) {
    this.level = level;
    this.symbols = symbols;
    matmul = symbol("v_matmul");
    rows = symbol("v_rows");
    embed = symbol("v_embed");
    rope = symbol("v_rope");
    attend = symbol("v_attend");
    loraShrink = symbol("v_lora_shrink");
    loraExpand = symbol("v_lora_expand");
    pack = symbol("v_pack");
    probe = symbol("v_probe");
    ask = symbol("v_ask");
    panels = symbol("v_panels");
    matmulScratch = symbol("v_matmul_scratch");
    attendScratch = symbol("v_attend_scratch");
  }

  /** Where the jar holds a level's library, seen from this class. */
  static String resource(KernelLevel level) {
    return "native/linux-" + level.machine() + "/libverdier-" + level.word() + ".so";
  }

  /**
   * Unpacks and loads a level.
   *
   * @throws IOException if the jar has none, it cannot be loaded, or the system refuses its use
   */
  static KernelLibrary load(KernelLevel level) throws IOException {
    SymbolLookup symbols;
    try (InputStream in = KernelLibrary.class.getResourceAsStream(resource(level))) {
      if (in == null) {
        throw new IOException("not compiled into this build");
      }
      symbols = unpack(in);
    }
    KernelLibrary library = new KernelLibrary(level, symbols);
    if (library.ask("v_abi") != ABI) {
      throw new IOException("compiled from other sources than the Java code");
    }
    if (library.ask("v_prepare") != 0) {
      throw new IOException("the operating system does not allow its instructions");
    }
    return library;
  }

  /** Through a directory that only this user can read, which is gone again right after. */
  private static SymbolLookup unpack(InputStream in) throws IOException {
    Path directory = Files.createTempDirectory("verdier-kernels");
    Path file = directory.resolve("kernels.so");
    try {
      Files.copy(in, file, StandardCopyOption.REPLACE_EXISTING);
      return SymbolLookup.libraryLookup(file, Arena.global());
    } catch (IllegalArgumentException e) {
      throw new IOException("it cannot be loaded: " + e.getMessage(), e);
    } finally {
      Files.deleteIfExists(file); // mapped by now; the pages stay
      Files.deleteIfExists(directory);
    }
  }

  /** Number of the layouts that matrices are packed to; see {@code verdier.h}. */
  int layout() {
    return ask("v_layout");
  }

  KernelLevel level() {
    return level;
  }

  private MemorySegment symbol(String name) {
    return symbols
        .find(name)
        .orElseThrow(() -> new IllegalStateException(level + " lacks " + name));
  }

  /** Runs one unit of a job. */
  static void call(MemorySegment function, long args, int unit, int worker) {
    try {
      CALL.invokeExact(function, args, unit, worker);
    } catch (Throwable t) {
      throw new IllegalStateException("a kernel could not be called", t);
    }
  }

  /** As {@link NextWeights.Memory#ask}. */
  void prefetch(long address, int lines, int worker) {
    call(ask, address, lines, worker);
  }

  private int ask(String name) {
    try {
      return (int) ASK.invokeExact(symbol(name));
    } catch (Throwable t) {
      throw new IllegalStateException(name, t);
    }
  }

  /** Panels that so many rows of an operand are dealt into. */
  int panels(OperandFormat format, int rowCount) {
    return (int) size(panels, format.code(), rowCount);
  }

  /** Bytes of scratch memory that a worker needs to multiply so many rows with so many tiles. */
  long matmulScratch(int rowCount, int tilesPerUnit) {
    return size(matmulScratch, rowCount, tilesPerUnit);
  }

  /** Bytes of scratch memory that a worker needs to attend with so many queries at once. */
  long attendScratch(int rowCount, int headDim) {
    return size(attendScratch, rowCount, headDim);
  }

  private static long size(MemorySegment function, long a, long b) {
    try {
      return (long) SIZE.invokeExact(function, a, b);
    } catch (Throwable t) {
      throw new IllegalStateException("a kernel could not be asked for a size", t);
    }
  }
}
