package io.verdier.engine.text.template;

/** Python's {@code None}. An object of its own, so that null never means a value. */
enum None {
  NONE
}
