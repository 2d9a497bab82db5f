package io.verdier.engine.backend;

/** Rows in a backend's storage, of which operations see a movable window. */
public interface Rows {
  int columns();

  /** Rows of the storage. */
  int rowsMax();

  /** Rows that operations work on. */
  int rows();

  /** Moves the window: operations see {@code count} rows from {@code first} on. */
  void select(int first, int count);
}
