package io.verdier.engine.text.toolcall;

/**
 * Reads one call, or finds that it is none. Owned by its parser.
 *
 * <p>Each reader begins <em>held</em>: all it has seen, and the markers before it, are kept,
 * because they are content if this is no call. Once name and the first argument are there it is
 * certain enough, the call begins, and arguments go out as they come.
 */
interface CallReader {
  /** What became of a character. */
  enum Status {
    /** Taken; more is to come. */
    OPEN,
    /** Taken, and the last one. */
    CLOSED,
    /** Not taken: this is no call, or no longer one, and the character is for others. */
    REFUSED
  }

  Status accept(char c);

  /** The text has ended, or the character was refused: a call that has begun is cut off. */
  void leave();

  /** What is kept and belongs to no call, for when it was left. */
  CharSequence held();
}
