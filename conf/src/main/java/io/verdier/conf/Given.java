package io.verdier.conf;

import java.util.List;

/**
 * A flag as one source gave it, not yet read as a value. Immutable.
 *
 * @param texts one text, or several of a list
 */
record Given(Flag flag, List<String> texts, Origin origin) {

  Given {
    texts = List.copyOf(texts);
  }

  /** The texts as one, fit for the log. */
  String shown() {
    return Shown.value(flag, String.join(" ", texts));
  }
}
