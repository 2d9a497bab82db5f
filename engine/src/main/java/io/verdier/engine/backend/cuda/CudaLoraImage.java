package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraImage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.weights.StoredTensor;
import io.verdier.engine.weights.ThreadPriority;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * What a slot of {@link CudaLoraSlots} will hold, in page-locked memory. Owned by whoever fills it,
 * and by the executor thread while it is loaded. Filling locks against closing: when a server
 * stops, an adapter may just be on its way, and native memory that is gone would take the process
 * along.
 */
final class CudaLoraImage implements LoraImage {
  private final CudaDriver driver;
  private final CudaLoraSlots slots;
  private final MemorySegment data;
  private long bytes; // in use
  private boolean isClosed; // under the object's lock

  CudaLoraImage(CudaDriver driver, CudaLoraSlots slots) {
    this.driver = driver;
    this.slots = slots;
    data = driver.hostBuffer(slots.slotBytes());
    clear();
  }

  CudaLoraSlots slots() {
    return slots;
  }

  MemorySegment data() {
    return data;
  }

  /** Of {@link #data}, from its start. */
  @Override
  public long bytes() {
    return bytes;
  }

  private void clear() {
    bytes = slots.tableBytes();
    data.asSlice(0, bytes).fill((byte) 0);
  }

  @Override
  public synchronized void fill(List<LoraFactors> factors) {
    if (isClosed) {
      throw new IllegalStateException("the device is closed");
    }
    clear();
    LoraShape shape = slots.shape();
    factors.forEach(part -> part.require(shape));
    long end = bytes;
    for (LoraFactors part : factors) {
      Product product = shape.products().get(part.product());
      int ranks = CudaLoraSlots.align(part.rank(), CudaLoraSlots.RANKS_ALIGNED);
      long a = end;
      switch (product.input()) {
        case ROWS ->
            put(part.a(), a, CudaLoraSlots.align(product.columns(), CudaLoraSlots.COLUMNS_ALIGNED));
        case TOKENS -> putColumns(part.a(), a, ranks);
      }
      long b = a + CudaLoraSlots.bytesOfA(part.rank(), product);
      put(part.b(), b, ranks);
      end = b + CudaLoraSlots.bytesOfB(part.rank(), part.b().rows());
      long entry = (long) slots.firstEntry(part.product()) + part.part();
      MemorySegment words =
          data.asSlice(entry * CudaLoraSlots.UNIT_BYTES, CudaLoraSlots.UNIT_BYTES);
      words.setAtIndex(ValueLayout.JAVA_INT, 0, part.rank());
      words.setAtIndex(ValueLayout.JAVA_FLOAT, 1, part.scale());
      words.setAtIndex(ValueLayout.JAVA_INT, 2, (int) (a / CudaLoraSlots.UNIT_BYTES));
      words.setAtIndex(ValueLayout.JAVA_INT, 3, (int) (b / CudaLoraSlots.UNIT_BYTES));
    }
    bytes = end;
  }

  /** Rows of a matrix in bfloat16, each filled up with zeros. */
  private void put(StoredTensor matrix, long at, int stride) {
    int columns = matrix.columns();
    long rowBytes = (long) columns * Short.BYTES;
    for (int row = 0; row < matrix.rows(); row++) {
      long to = at + (long) row * stride * Short.BYTES;
      matrix.copyBfloat16(row, data, to);
      data.asSlice(to + rowBytes, (long) (stride - columns) * Short.BYTES).fill((byte) 0);
      ThreadPriority.letPass(rowBytes);
    }
  }

  /** Columns of a matrix in bfloat16, each filled up with zeros. */
  private void putColumns(StoredTensor matrix, long at, int stride) {
    data.asSlice(at, (long) matrix.columns() * stride * Short.BYTES).fill((byte) 0);
    matrix.copyBfloat16Transposed(data, at, stride);
  }

  /** Whether it adds to a product. */
  boolean adapts(int product) {
    for (int entry = slots.firstEntry(product); entry < slots.firstEntry(product + 1); entry++) {
      if (data.get(ValueLayout.JAVA_INT, (long) entry * CudaLoraSlots.UNIT_BYTES) > 0) {
        return true; // the entry's rank
      }
    }
    return false;
  }

  @Override
  public synchronized void close() {
    isClosed = true;
    driver.freeHost(data);
  }
}
