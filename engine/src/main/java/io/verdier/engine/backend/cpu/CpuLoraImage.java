package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraImage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraShape.Product.Input;
import io.verdier.engine.weights.StoredTensor;
import io.verdier.engine.weights.ThreadPriority;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * An adapter as the processor computes with it, in bfloat16, outside the heap. Owned by whoever
 * fills it, and by the executor thread while a slot holds it.
 *
 * <pre>
 *   a   [rank][columns, rounded up to 256]           dot products go along a row
 *       [columns][rank]                              of tokens: a column is looked up
 *   b   [rows / 16, rounded up][rank][16]            sixteen outputs at a time take rank after rank
 * </pre>
 */
final class CpuLoraImage implements LoraImage {
  static final int BLOCK_COLUMNS = 256;
  static final int LANES = 16;

  private final LoraShape shape;
  private final int[] firstParts; // of each product, then behind the last
  private final @Nullable Part[] parts; // of all products
  private @Nullable Arena arena; // of the adapter that is laid out here

  /**
   * What is added to one part of a product. Immutable.
   *
   * @param rows outputs
   */
  record Part(int rank, int columns, int rows, float scale, MemorySegment a, MemorySegment b) {

    /** Columns of a row of {@code a}, those that fill it up included. */
    int stride() {
      return align(columns, BLOCK_COLUMNS);
    }

    /** What the first factor has for a token at a rank, scaled. Only where inputs are tokens. */
    float lookUp(int token, int r) {
      short half = a.getAtIndex(ValueLayout.JAVA_SHORT, (long) token * rank + r);
      return Float.intBitsToFloat(half << 16) * scale;
    }
  }

  CpuLoraImage(LoraShape shape) {
    this.shape = shape;
    firstParts = shape.firstParts();
    parts = new Part[firstParts[firstParts.length - 1]];
  }

  LoraShape shape() {
    return shape;
  }

  /** What factors of a rank take that add to rows of a product. */
  static long bytes(Product product, int rows, int rank) {
    long columns =
        product.input() == Input.TOKENS
            ? product.columns()
            : align(product.columns(), BLOCK_COLUMNS);
    return (columns + align(rows, LANES)) * rank * Short.BYTES;
  }

  private static int align(int count, int to) {
    return (count + to - 1) / to * to;
  }

  @Nullable Part part(int index) {
    return parts[index];
  }

  /** Whether it adds to a product. */
  boolean adapts(int product) {
    for (int i = firstParts[product]; i < firstParts[product + 1]; i++) {
      if (parts[i] != null) {
        return true;
      }
    }
    return false;
  }

  @Override
  @SuppressWarnings("MustBeClosedChecker") // closed by close, or when it is filled again
  public void fill(List<LoraFactors> factors) {
    close();
    factors.forEach(part -> part.require(shape));
    Arena fresh = Arena.ofShared();
    arena = fresh;
    for (LoraFactors part : factors) {
      MemorySegment a =
          switch (shape.products().get(part.product()).input()) {
            case ROWS -> byRank(part.a(), fresh);
            case TOKENS -> byColumn(part.a(), fresh);
          };
      parts[firstParts[part.product()] + part.part()] = laidOut(part, a, fresh);
    }
  }

  private static MemorySegment byRank(StoredTensor stored, Arena arena) {
    int stride = align(stored.columns(), BLOCK_COLUMNS);
    MemorySegment a = NativeMemory.allocate((long) stored.rows() * stride * Short.BYTES, arena);
    for (int r = 0; r < stored.rows(); r++) {
      stored.copyBfloat16(r, a, (long) r * stride * Short.BYTES);
      ThreadPriority.letPass((long) stride * Short.BYTES);
    }
    return a;
  }

  private static MemorySegment byColumn(StoredTensor stored, Arena arena) {
    long numbers = (long) stored.rows() * stored.columns();
    MemorySegment a = NativeMemory.allocate(numbers * Short.BYTES, arena);
    stored.copyBfloat16Transposed(a, 0, stored.rows());
    return a;
  }

  private static Part laidOut(LoraFactors factors, MemorySegment a, Arena arena) {
    int rank = factors.rank();
    int columns = factors.a().columns();
    int rows = factors.b().rows();
    MemorySegment b = NativeMemory.allocate((long) rank * align(rows, LANES) * Short.BYTES, arena);
    StoredTensor stored = factors.b();
    MemorySegment row = arena.allocate((long) rank * Short.BYTES);
    for (int i = 0; i < rows; i++) {
      stored.copyBfloat16(i, row, 0);
      for (int r = 0; r < rank; r++) {
        long at = ((long) i / LANES * rank + r) * LANES + i % LANES;
        b.setAtIndex(ValueLayout.JAVA_SHORT, at, row.getAtIndex(ValueLayout.JAVA_SHORT, r));
      }
      ThreadPriority.letPass((long) rank * Short.BYTES);
    }
    return new Part(rank, columns, rows, factors.scale(), a, b);
  }

  @Override
  public long bytes() {
    long bytes = 0;
    for (Part part : parts) {
      bytes += part == null ? 0 : part.a.byteSize() + part.b.byteSize();
    }
    return bytes;
  }

  @Override
  public void close() {
    Arrays.fill(parts, null);
    if (arena != null) {
      arena.close();
      arena = null;
    }
  }
}
