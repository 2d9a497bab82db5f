package io.verdier.engine.grammar;

/**
 * What it takes to find out what may follow a text, bounded. Owned by the thread of its {@link
 * StateSpace}.
 *
 * <p>What is remembered makes finding out cheaper, and must not make it possible: else the same
 * request would fail or not by what was asked for before it. So what is counted is what it takes
 * whoever remembers nothing, and remembered things count as what they took: a piece of work (one
 * mask, one place's tokens, one byte) counts every state that it comes to, and every step that it
 * goes, the first time, whether they were known or not.
 *
 * <p>The bounds are some tens of milliseconds and some ten megabytes a piece. Honest constraints
 * take a hundredth of it.
 */
final class Effort {
  /** Steps up to this count as nothing beside what their state does. */
  private static final int CHEAP = 8;

  private final int pieceMax;
  private final int stepMax;
  private int piece; // its number
  private int spent; // by this piece
  private int taken; // by this step

  Effort() {
    this(1 << 17, 1 << 15);
  }

  /**
   * @param pieceMax of a piece of work
   * @param stepMax of one byte
   */
  Effort(int pieceMax, int stepMax) {
    this.pieceMax = pieceMax;
    this.stepMax = stepMax;
  }

  /** A new piece of work: what it may take is counted from here. */
  void begin() {
    piece++;
    spent = 0;
  }

  /** The number of this piece: states that it came to have it. */
  int piece() {
    return piece;
  }

  /** What this piece has taken so far. */
  int spent() {
    return spent;
  }

  /**
   * @throws GrammarException if it is too much for a piece
   */
  void spend(int more) {
    spent += more;
    require(spent, pieceMax);
  }

  /**
   * For what several pieces took together.
   *
   * @throws GrammarException if it is too much for a few
   */
  void requireFew(long sum) {
    require(sum, 4L * pieceMax);
  }

  /** One byte more, or one call left. */
  void beginStep() {
    taken = 0;
  }

  /**
   * @throws GrammarException if it is too much for a step
   */
  void step(int more) {
    taken += more;
    require(taken, stepMax);
  }

  /** What the step took, as it is {@linkplain #spendStep counted}; 0: little. */
  byte stepCost() {
    return (byte) (taken <= CHEAP ? 0 : Integer.SIZE - Integer.numberOfLeadingZeros(taken - 1));
  }

  void spendStep(byte cost) {
    if (cost != 0) {
      spend(1 << cost);
    }
  }

  private static void require(long sum, long max) {
    if (sum > max) {
      throw new GrammarException(
          "the constraint is too ambiguous: what may come next takes too long to find");
    }
  }
}
