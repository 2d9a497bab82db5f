package io.verdier.verticles.observe;

/**
 * Counts answers of one kind that were read for calls of tools. Thread-safe.
 *
 * @param calling those that had some
 * @param plain those that had none
 */
public record ToolReads(Exposition.Counter calling, Exposition.Counter plain) {

  /** An answer was read to its end. */
  public void onRead(boolean calls) {
    (calls ? calling : plain).add(1);
  }
}
