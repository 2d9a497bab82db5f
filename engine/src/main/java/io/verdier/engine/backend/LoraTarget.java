package io.verdier.engine.backend;

/**
 * A product that the adapters of some slots add to. Immutable; the slots' content is not.
 *
 * @param index in the shape's products
 */
public record LoraTarget(LoraSlots slots, int index) {

  public LoraShape.Product product() {
    return slots.shape().products().get(index);
  }
}
