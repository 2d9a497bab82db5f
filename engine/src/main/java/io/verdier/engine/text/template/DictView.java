package io.verdier.engine.text.template;

import java.util.List;

/** What {@code keys()}, {@code values()} and {@code items()} of a dict give. Immutable. */
record DictView(Part part, Dict dict) {
  /** Which side of the dict is seen. */
  enum Part {
    KEYS,
    VALUES,
    ITEMS
  }

  List<Object> list() {
    return switch (part) {
      case KEYS -> dict.keys();
      case VALUES -> dict.values();
      case ITEMS -> dict.items();
    };
  }

  String typeName() {
    return switch (part) {
      case KEYS -> "dict_keys";
      case VALUES -> "dict_values";
      case ITEMS -> "dict_items";
    };
  }
}
