package io.verdier.engine.backend;

/**
 * Activations {@code [rows, columns]} in float32. Owned by the executor thread. The storage is the
 * backend's.
 */
public interface Tensor extends Rows {

  /** A window on some columns of the same storage, with a row selection of its own. */
  Tensor columns(int first, int count);
}
