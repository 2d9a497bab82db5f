package io.verdier.cache.host;

/** What came of {@link RemoteWork}, or of the cache nodes. A closed choice. Immutable. */
public sealed interface RemoteDone {

  /**
   * Of {@link RemoteWork.Ask}.
   *
   * @param there leading blocks that were there; 0 as well where nobody has answered in time
   */
  record Answer(long id, int there) implements RemoteDone {}

  /** Of a read or a write. */
  record Settled(long id, Outcome outcome) implements RemoteDone {}

  /** Whether there is a cache node that answers. Nobody is asked for anything while not. */
  record Sight(boolean any) implements RemoteDone {}

  /** How a read or a write ended. */
  enum Outcome {
    /** Of a read: the very contents asked for are in the slot. */
    DONE,
    /** Of a write: another engine had brought it. */
    WAS_THERE,
    FAILED
  }
}
