package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.HostCopy;
import io.verdier.engine.backend.LoraImage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraSlots;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Slots next to the images that they hold: a slot refers to its image. Owned by the executor
 * thread.
 */
final class CpuLoraSlots implements LoraSlots {
  private final LoraShape shape;
  private final int[] firstParts; // of each product
  private final @Nullable CpuLoraImage[] held;

  CpuLoraSlots(LoraShape shape) {
    this.shape = shape;
    firstParts = shape.firstParts();
    held = new CpuLoraImage[shape.slots()];
  }

  @Override
  public LoraShape shape() {
    return shape;
  }

  @Override
  public long slotBytes() {
    long bytes = 0;
    for (Product product : shape.products()) {
      for (int rows : product.partRows()) {
        bytes += CpuLoraImage.bytes(product, rows, shape.rankMax());
      }
    }
    return bytes;
  }

  @Override
  public CpuLoraImage image() {
    return new CpuLoraImage(shape);
  }

  @Override
  public boolean adapts(int slot, int product) {
    CpuLoraImage image = held[Objects.checkIndex(slot, shape.slots())];
    return image != null && image.adapts(product);
  }

  @Override
  public HostCopy load(int slot, LoraImage image) {
    CpuLoraImage own = (CpuLoraImage) image;
    if (!own.shape().equals(shape)) {
      throw new IllegalStateException("an image for other slots");
    }
    held[Objects.checkIndex(slot, shape.slots())] = own;
    return DoneCopy.DONE;
  }

  /** What the adapter in a slot adds to a part; null for nothing. */
  CpuLoraImage.@Nullable Part part(int slot, int product, int part) {
    CpuLoraImage image = held[Objects.checkIndex(slot, shape.slots())];
    return image == null ? null : image.part(firstParts[product] + part);
  }
}
