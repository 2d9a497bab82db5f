package io.verdier.verticles.bench.offline;

import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.lora.AdapterSlots;
import io.verdier.engine.model.AdaptedProducts;
import io.verdier.engine.run.ModelRunner;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.DummyWeights;
import io.verdier.engine.weights.StoredTensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** Adapters that nobody trained, with every part of every layer at full rank. Stateless. */
final class BenchAdapters {
  private BenchAdapters() {}

  /**
   * Has as many ready as there are slots.
   *
   * @return their identities
   */
  static List<String> add(ModelRunner runner) {
    AdapterSlots slots = Objects.requireNonNull(runner.adapters(), "no slots for adapters");
    LoraShape shape = slots.shape();
    List<String> identities = new ArrayList<>();
    try (DummyWeights weights = new DummyWeights(DType.BF16)) {
      for (int i = 0; i < shape.slots(); i++) {
        String identity = "adapter-" + i;
        slots.add(identity, factors(shape, identity, weights));
        identities.add(identity);
      }
    }
    return identities;
  }

  private static List<LoraFactors> factors(LoraShape shape, String name, DummyWeights weights) {
    List<LoraFactors> factors = new ArrayList<>();
    int behindLayers = AdaptedProducts.embedding(shape.products().size());
    for (int product = 0; product < behindLayers; product++) {
      Product adapted = shape.products().get(product);
      for (int part = 0; part < adapted.partRows().size(); part++) {
        String path = name + "." + product + "." + part;
        StoredTensor a = weights.tensor(path + ".a", shape.rankMax(), adapted.columns());
        StoredTensor b = weights.tensor(path + ".b", adapted.partRows().get(part), shape.rankMax());
        factors.add(new LoraFactors(product, part, a, b, 1));
      }
    }
    return factors;
  }
}
