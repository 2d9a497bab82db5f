package io.verdier.verticles.cluster;

import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.Submit;
import java.util.List;

/**
 * What one node tells another. A closed choice. Immutable.
 *
 * <p>A sequence is named by its key, which its ingress made, and by the number of the attempt: each
 * time it moves to another engine that number grows, and what an engine says of an earlier one is
 * not listened to.
 */
sealed interface Frame {

  /** Once a second, and whenever something changes. */
  record Announce(Announcement announcement) implements Frame {}

  /**
   * Generate these.
   *
   * @param prefixes of the prompt as its client sent it, and as it begins the next turn of a
   *     conversation: a later attempt has it in tokens
   */
  record Work(int attempt, Submit submit, long[] prefixes) implements Frame {}

  /**
   * End these.
   *
   * @param attempts one per key
   */
  record Stop(long[] keys, int[] attempts, Why why) implements Frame {

    /** Why they shall end. */
    enum Why {
      /** Their client wants it so, and waits for the last word. */
      ABORTED,
      /** Their client is gone. */
      UNWANTED,
      /** They go on elsewhere. */
      MOVED
    }
  }

  /** What a step gave to all sequences of one ingress. */
  record News(List<Item> items) implements Frame {}

  /**
   * News of one sequence.
   *
   * @param offset generated tokens before those of the delta: whoever has another number has missed
   *     something
   */
  record Item(int attempt, int offset, Delta delta) {}

  /** No room for these; somebody else may have it. */
  record Bounce(long[] keys, int attempt, Refused why) implements Frame {}

  /** A frame was lost on the way: all work between the two nodes begins anew. */
  record Reset() implements Frame {}

  /**
   * A question for a tokenizer: {@link io.verdier.verticles.bus.TokenizeQuery} or {@link
   * io.verdier.verticles.bus.DetokenizeQuery}.
   */
  record Query(long id, Object query) implements Frame {}

  /** Its reply, or {@link Refused}. */
  record Answer(long id, Object reply) implements Frame {}

  /** An operator wants the node to finish what it has and take no more, or to go on. */
  record Drain(boolean wanted) implements Frame {}
}
