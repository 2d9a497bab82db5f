package io.verdier.verticles.bus;

import java.util.List;

/**
 * All adapters of a model that are served by name, published at each change. Immutable.
 *
 * @param model the first of its names
 */
public record AdapterNames(String model, List<AdapterCard> cards) {
  public AdapterNames {
    cards = List.copyOf(cards);
  }
}
