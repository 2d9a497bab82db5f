package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.HostCopy;
import io.verdier.engine.backend.LoraImage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraShape.Product.Input;
import io.verdier.engine.backend.LoraSlots;
import java.util.Objects;

/**
 * Adapters in device memory ({@code lora.cu} has the picture of a slot). Owned by the executor
 * thread. A slot says by itself where its matrices are, so that one copy replaces an adapter, as
 * long as its own ranks make it.
 */
final class CudaLoraSlots implements LoraSlots {
  static final int COLUMNS_ALIGNED = 64;
  static final int RANKS_ALIGNED = 8;
  static final int UNIT_BYTES = 16; // of an entry, and of the places in it

  private final CudaDriver driver;
  private final LoraShape shape;
  private final int[] firstParts; // of each product, then behind the last
  private final CopyQueue queue;
  private final long slotBytes;
  private final long address;
  private final boolean[][] adapts; // [slots][products]

  CudaLoraSlots(CudaDriver driver, LoraShape shape) {
    this.driver = driver;
    this.shape = shape;
    firstParts = shape.firstParts();
    long bytes = tableBytes();
    for (Product product : shape.products()) {
      for (int rows : product.partRows()) {
        bytes += bytesOfA(shape.rankMax(), product) + bytesOfB(shape.rankMax(), rows);
      }
    }
    slotBytes = bytes;
    if (slotBytes / UNIT_BYTES > Integer.MAX_VALUE) {
      throw new CudaException(
          "an adapter of rank " + shape.rankMax() + " would take " + (slotBytes >> 30) + " GiB.");
    }
    address = driver.allocate(Math.multiplyExact(slotBytes, shape.slots()));
    queue = driver.copyQueue();
    adapts = new boolean[shape.slots()][shape.products().size()];
  }

  /** Of the entries that a slot begins with. */
  long tableBytes() {
    return (long) firstParts[firstParts.length - 1] * UNIT_BYTES;
  }

  /** Index of the entry of a product's first part. */
  int firstEntry(int product) {
    return firstParts[product];
  }

  static long bytesOfA(int rank, Product product) {
    return product.input() == Input.TOKENS
        ? bytesOfB(rank, product.columns()) // a column is looked up, and lies like a row of B
        : (long) rank * align(product.columns(), COLUMNS_ALIGNED) * Short.BYTES;
  }

  static long bytesOfB(int rank, int rows) {
    return (long) rows * align(rank, RANKS_ALIGNED) * Short.BYTES;
  }

  static int align(int count, int to) {
    return (count + to - 1) / to * to;
  }

  @Override
  public LoraShape shape() {
    return shape;
  }

  @Override
  public long slotBytes() {
    return slotBytes;
  }

  long address() {
    return address;
  }

  @Override
  public CudaLoraImage image() {
    return new CudaLoraImage(driver, this);
  }

  @Override
  public boolean adapts(int slot, int product) {
    return adapts[slot][product];
  }

  @Override
  public HostCopy load(int slot, LoraImage image) {
    Objects.checkIndex(slot, shape.slots());
    CudaLoraImage own = (CudaLoraImage) image;
    if (own.slots() != this) {
      throw new IllegalStateException("an image for other slots");
    }
    queue.followMain();
    queue.copyIn(address + slot * slotBytes, own.data(), own.bytes());
    for (int product = 0; product < adapts[slot].length; product++) {
      adapts[slot][product] = own.adapts(product);
    }
    return new CudaHostCopy(queue);
  }
}
