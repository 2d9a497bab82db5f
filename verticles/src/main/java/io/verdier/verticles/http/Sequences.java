package io.verdier.verticles.http;

import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.balance.EnginePool;
import io.verdier.verticles.bus.AdapterRelease;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Deltas;
import io.verdier.verticles.bus.SequenceKey;
import io.verdier.verticles.bus.Submit;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Owned by one event loop: who waits for which sequence.
 *
 * <p>Every sequence has exactly one end, and it comes back here, waited for or not. Until then an
 * abandoned sequence keeps its place in {@link Admission}: its request may still wait in the
 * tokenizer's queue, and clients that come and leave at once must not fill that queue without
 * bound.
 *
 * <p>A cancellation goes to the scheduler straight away. It may overtake a request that is still
 * being tokenized, and the scheduler remembers no key it has not seen; so, where nothing was heard
 * of a sequence yet, another goes through its tokenizer, which keeps the order. A sequence that is
 * over before either arrives needs neither: its end is on the way.
 */
final class Sequences {
  private static final Logger LOG = LoggerFactory.getLogger(Sequences.class);

  private final Bus bus;
  private final int instance;
  private final EnginePool engines;
  private final Map<Long, Sequence> waiting = new HashMap<>();

  /** Sequences that nobody waits for, whose end is not back, with what holds their places. */
  private final Map<Long, Admission.Permit> abandoned = new HashMap<>();

  /** Sequences that have an adapter, whose end is not back. */
  private final Set<Long> adapted = new HashSet<>();

  private long counter;
  private boolean closed;

  Sequences(Bus bus, int instance, EnginePool engines) {
    this.bus = bus;
    this.instance = instance;
    this.engines = engines;
  }

  /** Keys of a prompt's continuations, all of them for one engine. */
  long[] nextKeys(Submit work, int count) {
    int engine = engines.choose(work, count);
    long[] keys = new long[count];
    for (int i = 0; i < count; i++) {
      keys[i] = SequenceKey.of(engine, instance, counter++);
    }
    return keys;
  }

  /** The tokenizer for a {@code Submit} with this as its first key. */
  String tokenizerOf(long key) {
    return engines.tokenizer(key);
  }

  void add(Sequence sequence) {
    waiting.put(sequence.key, sequence);
    if (sequence.hasAdapter) {
      adapted.add(sequence.key);
    }
  }

  void remove(Sequence sequence) {
    waiting.remove(sequence.key);
    leaveEngine(sequence.key);
  }

  /** The end is back: nothing is computed for the sequence's sake any more. */
  private void leaveEngine(long key) {
    engines.onEnd(SequenceKey.engine(key));
    if (adapted.remove(key)) {
      String adapters = engines.adaptersOf(SequenceKey.engine(key));
      bus.send(adapters, new AdapterRelease(new long[] {key}));
    }
  }

  void onDeltas(Deltas message) {
    long now = System.nanoTime();
    for (Delta delta : message.deltas()) {
      Sequence sequence = waiting.get(delta.key());
      if (sequence != null) {
        hand(sequence, delta, now);
      } else if (delta.end() != null) {
        release(delta.key());
      }
    }
  }

  /** The end of an abandoned sequence has come. */
  void release(long key) {
    leaveEngine(key);
    Admission.Permit permit = abandoned.remove(key);
    if (permit != null) {
      permit.releaseOne();
    }
  }

  /** What goes wrong here must not take the other sequences of the message along. */
  private static void hand(Sequence sequence, Delta delta, long now) {
    try {
      sequence.flight.onDelta(sequence, delta, now);
    } catch (RuntimeException | AssertionError bug) {
      onBug(sequence, bug);
    }
  }

  /** Telling the client may fail for the same reason as the news did. */
  private static void onBug(Sequence sequence, Throwable bug) {
    try {
      sequence.flight.onBug(bug);
    } catch (RuntimeException | AssertionError another) {
      LOG.warn("A failed request could not be answered and is cut", another);
      sequence.flight.cut();
    }
  }

  /**
   * Nobody waits for these sequences of one request any more.
   *
   * <p>Not silent: the detokenizer holds a sequence's text until it hears of its end, and this
   * instance the place.
   */
  void abandon(List<Sequence> left, Admission.Permit permit) {
    for (Sequence sequence : left) {
      waiting.remove(sequence.key);
      if (closed) {
        permit.releaseOne();
      } else {
        abandoned.put(sequence.key, permit);
      }
    }
    cancel(left);
  }

  /** Whoever has these sequences ends them, and says so. */
  void cancel(List<Sequence> left) {
    cancelOf(left).byEngine().forEach((engine, part) -> bus.send(engines.scheduler(engine), part));
    left.stream()
        .filter(sequence -> !sequence.heardOf)
        .collect(Collectors.groupingBy(sequence -> sequence.tokenizer))
        .forEach((tokenizer, there) -> bus.send(tokenizer, cancelOf(there)));
  }

  private static Cancel cancelOf(List<Sequence> sequences) {
    long[] keys = sequences.stream().mapToLong(sequence -> sequence.key).toArray();
    return new Cancel(keys, FinishReason.ABORT, false);
  }

  /** The instance stops: no more ends come, so abandoned places come back now. */
  void close() {
    closed = true;
    abandoned.values().forEach(Admission.Permit::releaseOne);
    abandoned.clear();
  }
}
