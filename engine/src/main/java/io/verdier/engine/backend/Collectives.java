package io.verdier.engine.backend;

/**
 * What the ranks of a model do together. Owned by its rank's thread, like the rank's backend; all
 * ranks call the same operations in the same order, with tensors of the same shape and selection.
 *
 * <p><b>One order.</b> A sum is rank 0's number plus rank 1's plus rank 2's and so on, for every
 * element, whatever the number of rows: so every rank has the same bits, and a row the same ones in
 * any batch.
 *
 * <p>A call waits for the other ranks (or queues work that does). When one of them fails, {@link
 * Meeting#abort} ends all waits with {@link RankFailure}; none is for ever.
 */
public interface Collectives extends AutoCloseable {

  /** Which rank this is. */
  Rank rank();

  /** {@code tensor = Σ tensor of each rank}, over the selected rows, on every rank. */
  void allReduceSum(Tensor tensor);

  /**
   * Puts the selected rows of all ranks side by side, on every rank.
   *
   * @param out {@code [rows, ranks · columns]}; rank r's columns begin at {@code r · columns}
   * @param part {@code [rows, columns]}
   */
  void allGather(Tensor out, Tensor part);

  /**
   * Makes all connections that exchanges will use, whatever their size: some are made at the first
   * of a size, and take memory that then is not there for a plan. Waits for the others, and for
   * what they do. Nothing where ranks see each other's memory.
   *
   * @param floatsMax most numbers of a rank in one operation
   */
  default void connect(long floatsMax) {}

  /** Has memory for operations on a tensor of such rows, however many of them are selected. */
  default void reserve(Tensor largest) {}

  /**
   * Has what is queued on this rank's device watched while the rank's thread does something else:
   * if it fails, {@link Meeting#abort} is called. Waits for nothing; nothing where all that fails
   * does so in the rank's thread.
   */
  default void watch() {}

  /** Frees what was made for the ranks to talk; the other ranks may have closed theirs. */
  @Override
  void close();

  /** Of a rank that has the whole model: a sum of one, and nothing to wait for. */
  static Collectives alone() {
    return Alone.INSTANCE;
  }

  /** Stateless. */
  final class Alone implements Collectives {
    private static final Alone INSTANCE = new Alone();

    private Alone() {}

    @Override
    public Rank rank() {
      return Rank.ALONE;
    }

    @Override
    public void allReduceSum(Tensor tensor) {}

    @Override
    public void allGather(Tensor out, Tensor part) {
      throw new IllegalStateException("nothing to gather: there is one rank");
    }

    @Override
    public void close() {}
  }
}
