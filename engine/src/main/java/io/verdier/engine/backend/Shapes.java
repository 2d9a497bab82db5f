package io.verdier.engine.backend;

/** Checks that the tensors of one call agree. A disagreement is a bug of the caller. Stateless. */
public final class Shapes {
  private Shapes() {}

  public static void requireRows(int actual, int expected) {
    if (actual != expected) {
      throw new IllegalStateException(actual + " rows where " + expected + " are needed");
    }
  }

  public static void requireColumns(int actual, int expected) {
    if (actual != expected) {
      throw new IllegalStateException(actual + " columns where " + expected + " are needed");
    }
  }
}
