package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.cpu.NativeMatrix.RowOrder;
import io.verdier.engine.backend.cpu.PackedTable.Shape;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Takes over weights, packing them in C on all threads. Owned by the loading thread. */
final class NativePacker {
  private static final int PART_FIELDS = 5;
  private static final int PACK_FIELDS = 6;
  private static final long CHUNK_BYTES = 64L << 20;
  private static final long PAGE_BYTES = 4096;

  private final KernelLibrary library;
  private final ComputePool pool;
  private final Arena weights;
  private final PackedWeights kept;
  private MemorySegment chunk = MemorySegment.NULL; // what is left of it

  /**
   * @param weights lifetime of what is packed here
   * @param kept has matrices that need not be packed, and hears of the others
   */
  NativePacker(KernelLibrary library, ComputePool pool, Arena weights, PackedWeights kept) {
    this.library = library;
    this.pool = pool;
    this.weights = weights;
    this.kept = kept;
  }

  NativeMatrix pack(
      WeightFormat format,
      List<StoredTensor> parts,
      List<@Nullable StoredTensor> biases,
      RowOrder order) {
    int columns = parts.getFirst().columns();
    int rows = StoredTensor.stackedRows(parts);
    if (order == RowOrder.GATED && (parts.size() != 2 || parts.getLast().rows() * 2 != rows)) {
      throw new IllegalArgumentException("gate and up projections differ in rows");
    }
    int tiles = NativeMatrix.tiles(rows, order);
    MemorySegment start = start(parts, biases, order, tiles);
    NativeMatrix form = new NativeMatrix(rows, columns, format, MemorySegment.NULL, start, order);
    Shape shape = new Shape(names(parts), rows, columns, order.name());
    MemorySegment data = kept.matrix(shape, form.bytes(), () -> packed(form, parts));
    return new NativeMatrix(rows, columns, format, data, start, order);
  }

  private static String names(List<StoredTensor> parts) {
    return parts.stream().map(StoredTensor::name).collect(Collectors.joining("+"));
  }

  /** The bytes of a matrix that has none yet. */
  private MemorySegment packed(NativeMatrix matrix, List<StoredTensor> parts) {
    MemorySegment data = room(matrix.bytes());
    try (Arena arena = Arena.ofConfined()) {
      NativeArgs rows = new NativeArgs(PART_FIELDS * parts.size(), arena).start();
      for (StoredTensor part : parts) {
        rows.put(part.data().address())
            .put(sourceType(part))
            .put((long) part.rows())
            .put((long) part.columns())
            .put(part.rowBytes());
      }
      NativeJob job = new NativeJob(library.pack, PACK_FIELDS, arena);
      job.args
          .start()
          .put(rows.address())
          .put((long) parts.size())
          .put(matrix.order() == RowOrder.GATED ? 1L : 0L)
          .put(data.address())
          .put(matrix.format().code())
          .put((long) matrix.groups())
          .end();
      pool.run(job, matrix.tiles());
    }
    return data;
  }

  /** The next bytes of a chunk: matrices of a few megabytes alone would get few huge pages. */
  private MemorySegment room(long bytes) {
    if (chunk.byteSize() < bytes) {
      chunk = NativeMemory.allocate(Math.max(bytes, CHUNK_BYTES), weights);
    }
    MemorySegment found = chunk.asSlice(0, bytes);
    chunk = chunk.asSlice(Math.min(chunk.byteSize(), (bytes + PAGE_BYTES - 1) & -PAGE_BYTES));
    return found;
  }

  private static long sourceType(StoredTensor part) {
    return switch (part.dtype()) {
      case DType.BF16 -> 0;
      case DType.F16 -> 1;
      case DType.F32 -> 2;
      default -> throw new IllegalArgumentException(part.name() + ": " + part.dtype());
    };
  }

  private MemorySegment start(
      List<StoredTensor> parts, List<@Nullable StoredTensor> biases, RowOrder order, int tiles) {
    if (biases.stream().allMatch(bias -> bias == null)) {
      return MemorySegment.NULL;
    }
    MemorySegment start = weights.allocate((long) tiles * WeightFormat.TILE_ROWS * 4, 64);
    int first = 0;
    for (int i = 0; i < parts.size(); i++) {
      StoredTensor bias = biases.get(i);
      float[] values = bias == null ? new float[0] : bias.floats();
      for (int row = 0; row < values.length; row++) {
        long at = order == RowOrder.GATED ? row / 16 * 32L + i * 16L + row % 16 : first + row;
        start.setAtIndex(ValueLayout.JAVA_FLOAT, at, values[row]);
      }
      first += parts.get(i).rows();
    }
    return start;
  }
}
