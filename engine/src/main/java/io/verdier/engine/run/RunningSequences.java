package io.verdier.engine.run;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The sequences that the executor remembers, by key. Owned by the executor thread.
 *
 * <p>A plan names nearly the same sequences as the one before, in the same order. So what was asked
 * for last is asked for first, and the map, which boxes a key for every look-up, only where that
 * fails: where sequences have come or gone.
 */
final class RunningSequences {
  private static final int SKIPPED_MAX = 8; // sequences that ended side by side

  private final Map<Long, RunningSequence> all = new HashMap<>();
  private List<RunningSequence> last = new ArrayList<>(); // in the order of the last plan
  private List<RunningSequence> current = new ArrayList<>();
  private int at; // in the last plan's

  /** Returns the sequence of this key that was there before, if any. */
  @Nullable RunningSequence put(RunningSequence sequence) {
    return forgotten(all.put(sequence.key(), sequence));
  }

  @Nullable RunningSequence remove(long key) {
    return forgotten(all.remove(key));
  }

  private static @Nullable RunningSequence forgotten(@Nullable RunningSequence sequence) {
    if (sequence != null) {
      sequence.forget();
    }
    return sequence;
  }

  /** A plan begins, whose sequences will be asked for in order. */
  void rewind() {
    List<RunningSequence> spare = last;
    last = current;
    current = spare;
    current.clear();
    at = 0;
  }

  /** The next of the plan's sequences. */
  RunningSequence next(long key) {
    RunningSequence sequence = find(key);
    if (sequence == null) {
      throw new IllegalStateException("sequence " + key + " was never started");
    }
    current.add(sequence);
    return sequence;
  }

  private @Nullable RunningSequence find(long key) {
    for (int i = at; i < Math.min(last.size(), at + SKIPPED_MAX); i++) {
      RunningSequence candidate = last.get(i);
      if (candidate.key() == key && !candidate.isForgotten()) {
        at = i + 1;
        return candidate;
      }
    }
    return all.get(key);
  }

  void clear() {
    all.clear();
    last.clear();
    current.clear();
  }
}
