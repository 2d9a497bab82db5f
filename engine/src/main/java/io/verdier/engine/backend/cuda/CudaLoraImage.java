package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraImage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.weights.StoredTensor;
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
      int columns = shape.products().get(part.product()).columns();
      long a = end;
      put(part.a(), a, CudaLoraSlots.align(columns, CudaLoraSlots.COLUMNS_ALIGNED));
      long b = a + CudaLoraSlots.bytesOfA(part.rank(), columns);
      put(part.b(), b, CudaLoraSlots.align(part.rank(), CudaLoraSlots.RANKS_ALIGNED));
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
    }
  }

  @Override
  public synchronized void close() {
    isClosed = true;
    driver.freeHost(data);
  }
}
