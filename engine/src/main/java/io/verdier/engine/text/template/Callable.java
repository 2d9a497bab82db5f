package io.verdier.engine.text.template;

/** Something that a template may call. */
interface Callable {
  Object call(Rendering rendering, Args args);

  /** How it prints. */
  default String shown() {
    return "<function>";
  }
}
