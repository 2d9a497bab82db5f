package io.verdier.engine.backend;

/**
 * Activations {@code [rows, columns]}, float32 or what the backend computes in. Owned by the
 * executor thread. The storage is the backend's; this is a movable window on its rows.
 */
public interface Tensor {
  int columns();

  /** Rows of the storage. */
  int rowsMax();

  /** Rows that operations work on. */
  int rows();

  /** Moves the window: operations see {@code count} rows from {@code first} on. */
  void select(int first, int count);

  /** A window on some columns of the same storage, with a row selection of its own. */
  Tensor columns(int first, int count);
}
