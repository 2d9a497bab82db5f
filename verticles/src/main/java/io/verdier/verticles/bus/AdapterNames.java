package io.verdier.verticles.bus;

import java.util.List;

/** All adapters that are served by name, published at each change. Immutable. */
public record AdapterNames(List<AdapterCard> cards) {
  public AdapterNames {
    cards = List.copyOf(cards);
  }
}
