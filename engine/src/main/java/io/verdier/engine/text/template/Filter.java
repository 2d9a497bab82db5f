package io.verdier.engine.text.template;

/** One filter: {@code value | name(args)}. */
interface Filter {
  Object apply(Rendering rendering, Object value, Args args);
}
