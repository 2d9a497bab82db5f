package io.verdier.engine.weights;

import java.util.Optional;
import java.util.Set;

/**
 * The tensors of a model by name. Owned by the thread that loads the model.
 *
 * <p>Whoever asks says which shape the model's formulas need: real weights are compared with it,
 * made-up ones get it.
 */
public sealed interface Weights extends AutoCloseable permits WeightMap, DummyWeights {

  boolean contains(String name);

  /**
   * @param shape as {@link StoredTensor#shape}
   * @throws WeightsException if there is no such tensor, or it has another shape or a type that no
   *     weight may have
   */
  StoredTensor tensor(String name, long... shape);

  /**
   * The same for a rehearsal, which reads only shapes of matrices: without what costs memory. Valid
   * while these are open, and not to be closed itself.
   */
  Weights shapes();

  /** Names that nobody has asked for yet, sorted. */
  Set<String> unused();

  /** What they come from; empty: they are made up. */
  Optional<Checkpoint> checkpoint();

  /** Frees the bytes; the tensors must not be used afterwards. */
  @Override
  void close();
}
