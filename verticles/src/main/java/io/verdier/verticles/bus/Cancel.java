package io.verdier.verticles.bus;

import io.verdier.engine.schedule.FinishReason;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.LongStream;

/**
 * Ends sequences: the client is gone, a stop string appeared, the deadline passed. One of the two
 * back edges. Immutable.
 *
 * <p>HTTP sends it to the scheduler that has the sequences, and where nothing was heard of a
 * sequence yet also to the tokenizer that has its {@link Submit}: the first may overtake that
 * request, the second is passed on behind it.
 *
 * @param silent whether nobody waits for a last word of the scheduler
 */
public record Cancel(long[] keys, FinishReason reason, boolean silent) {

  /** One for each engine that has some of the sequences, by the engine's number. */
  public Map<Integer, Cancel> byEngine() {
    Map<Integer, LongStream.Builder> keysOf = new TreeMap<>();
    for (long key : keys) {
      keysOf.computeIfAbsent(SequenceKey.engine(key), any -> LongStream.builder()).add(key);
    }
    Map<Integer, Cancel> parts = new TreeMap<>();
    keysOf.forEach(
        (engine, some) -> parts.put(engine, new Cancel(some.build().toArray(), reason, silent)));
    return parts;
  }
}
