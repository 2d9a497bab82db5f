package io.verdier.engine.backend.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.verdier.engine.backend.DeviceException.Aftermath;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;

/**
 * NVIDIA's library for talking between GPUs, as far as ranks need it, through the foreign-function
 * interface: there are no Java bindings of it, and its interface ({@code nccl.h}) has been the same
 * since version 2.4. Thread-safe, as the library is for different communicators.
 */
final class Nccl {
  static final String LIBRARY = "libnccl.so.2";

  private static final long ID_BYTES = 128; // NCCL_UNIQUE_ID_BYTES
  private static final int FLOAT32 = 7; // ncclFloat32
  private static final StructLayout ID =
      MemoryLayout.structLayout(MemoryLayout.sequenceLayout(ID_BYTES, JAVA_BYTE));

  private final MethodHandle getVersion;
  private final MethodHandle getUniqueId;
  private final MethodHandle commInitRank;
  private final MethodHandle commAbort;
  private final MethodHandle allGather;
  private final MethodHandle getErrorString;

  private Nccl(SymbolLookup library) {
    Linker linker = Linker.nativeLinker();
    getVersion = function(linker, library, "ncclGetVersion", ADDRESS);
    getUniqueId = function(linker, library, "ncclGetUniqueId", ADDRESS);
    commInitRank = function(linker, library, "ncclCommInitRank", ADDRESS, JAVA_INT, ID, JAVA_INT);
    commAbort = function(linker, library, "ncclCommAbort", JAVA_LONG);
    allGather =
        function(
            linker,
            library,
            "ncclAllGather",
            JAVA_LONG, // sendbuff
            JAVA_LONG, // recvbuff
            JAVA_LONG, // sendcount
            JAVA_INT, // datatype
            JAVA_LONG, // comm
            JAVA_LONG); // stream
    getErrorString =
        linker.downcallHandle(
            symbol(library, "ncclGetErrorString"), FunctionDescriptor.of(ADDRESS, JAVA_INT));
  }

  private static MethodHandle function(
      Linker linker, SymbolLookup library, String name, MemoryLayout... parameters) {
    return linker.downcallHandle(
        symbol(library, name), FunctionDescriptor.of(JAVA_INT, parameters));
  }

  private static MemorySegment symbol(SymbolLookup library, String name) {
    return library
        .find(name)
        .orElseThrow(
            () ->
                new CudaException(
                    LIBRARY + " has no " + name + ". Install NCCL 2.4 or newer in its place."));
  }

  /**
   * Loads the library, for the life of the process.
   *
   * @throws CudaException if it is not there or too old
   */
  static Nccl load() {
    try {
      return new Nccl(SymbolLookup.libraryLookup(LIBRARY, Arena.global()));
    } catch (IllegalArgumentException absent) {
      throw new CudaException(
          "several GPUs need NVIDIA's NCCL, and "
              + LIBRARY
              + " was not found. Install it (the package libnccl2), or serve with"
              + " --tensor-parallel-size 1.",
          absent);
    }
  }

  /** The library's version as it counts them: 2.27.3 is 22703. */
  int version() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment version = arena.allocate(JAVA_INT);
      check("ncclGetVersion", (int) getVersion.invokeExact(version));
      return version.get(JAVA_INT, 0);
    } catch (Throwable thrown) {
      throw rethrown("ncclGetVersion", thrown);
    }
  }

  /** What the first rank makes and all ranks of a group begin with. */
  byte[] uniqueId() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment id = arena.allocate(ID);
      check("ncclGetUniqueId", (int) getUniqueId.invokeExact(id));
      return id.toArray(JAVA_BYTE);
    } catch (Throwable thrown) {
      throw rethrown("ncclGetUniqueId", thrown);
    }
  }

  /**
   * Joins a group; waits for all other ranks. The device's context must be current.
   *
   * @return the communicator
   */
  long join(byte[] uniqueId, int rank, int size) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment id = arena.allocate(ID);
      MemorySegment.copy(uniqueId, 0, id, JAVA_BYTE, 0, (int) ID_BYTES);
      MemorySegment communicator = arena.allocate(JAVA_LONG);
      check("ncclCommInitRank", (int) commInitRank.invokeExact(communicator, size, id, rank));
      return communicator.get(JAVA_LONG, 0);
    } catch (Throwable thrown) {
      throw rethrown("ncclCommInitRank", thrown);
    }
  }

  /** Queues {@code to = from of each rank, one behind the other}, float32. */
  void allGather(long to, long from, long floats, long communicator, long stream) {
    try {
      check(
          "ncclAllGather",
          (int) allGather.invokeExact(from, to, floats, FLOAT32, communicator, stream));
    } catch (Throwable thrown) {
      throw rethrown("ncclAllGather", thrown);
    }
  }

  /** Ends a communicator at once, and whatever waits on it. From any thread. */
  void abort(long communicator) {
    try {
      check("ncclCommAbort", (int) commAbort.invokeExact(communicator));
    } catch (Throwable thrown) {
      throw rethrown("ncclCommAbort", thrown);
    }
  }

  /** The library's words for a result; 0 is success. */
  String errorString(int result) {
    try {
      MemorySegment text = (MemorySegment) getErrorString.invokeExact(result);
      return text.reinterpret(Long.MAX_VALUE).getString(0);
    } catch (Throwable thrown) {
      throw rethrown("ncclGetErrorString", thrown);
    }
  }

  private void check(String what, int result) {
    if (result != 0) {
      throw new CudaException(what + " failed: " + errorString(result), Aftermath.LOST);
    }
  }

  private static RuntimeException rethrown(String what, Throwable thrown) {
    return switch (thrown) {
      case RuntimeException known -> known;
      case Error error -> throw error;
      default -> new IllegalStateException(what, thrown);
    };
  }
}
