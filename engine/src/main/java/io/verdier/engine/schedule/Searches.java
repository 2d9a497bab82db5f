package io.verdier.engine.schedule;

import io.verdier.engine.schedule.StepInput.Cancellation;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepOutput.Fault;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * The beam searches under way: between the scheduler, which only knows sequences, and whoever reads
 * emissions, who only knows answers. Owned by the scheduler thread.
 *
 * <p>Their sequences have negative keys, which nobody else's have.
 */
final class Searches {
  private final SequenceRules rules;
  private final Map<Long, Search> byAnswer = new HashMap<>();
  private final Map<Long, Search> bySequence = new HashMap<>();
  private final List<Next> next = new ArrayList<>();
  private final List<Long> dropped = new ArrayList<>();
  private long lastKey = Long.MIN_VALUE;

  /** A sequence that a search wants to run, in the place of its request. */
  record Next(EngineRequest request, long arrival) {}

  Searches(SequenceRules rules) {
    this.rules = rules;
  }

  /** Whether a sequence is a search's, so that its news are not for others. */
  static boolean isHypothesis(long key) {
    return key < 0;
  }

  /** Whether a key is that of an answer that is searched for. */
  boolean serves(long key) {
    return byAnswer.containsKey(key);
  }

  /** Keys of all answers that are searched for. */
  LongStream keys() {
    return byAnswer.keySet().stream().mapToLong(key -> key);
  }

  void begin(EngineRequest request, BeamSearch asked, long arrival) {
    Search search = new Search(request, asked, arrival, rules);
    for (long key : asked.keys()) {
      byAnswer.put(key, search);
    }
    advance(search);
  }

  /** Sequences that are to run from now on. */
  List<Next> takeNext() {
    List<Next> taken = List.copyOf(next);
    next.clear();
    return taken;
  }

  /** Sequences that nobody needs any more; they may have ended. */
  List<Long> takeDropped() {
    List<Long> taken = List.copyOf(dropped);
    dropped.clear();
    return taken;
  }

  /** News of a search's sequence; returns what the search has to tell of it. */
  List<Emission> onNews(Emission news) {
    Search search = bySequence.get(news.key());
    if (search == null) {
      return List.of(); // it is over
    }
    Fault fault = search.take(news);
    if (fault != null) {
      forget(search);
      return search.endAll(FinishReason.ERROR, fault);
    }
    if (!search.isReady()) {
      return List.of();
    }
    release(search.hypotheses());
    if (search.step()) {
      forget(search);
      return search.answers();
    }
    advance(search);
    return List.of();
  }

  /** Ends one answer of a search, as if it was a sequence. */
  List<Emission> cancel(Cancellation cancellation, @Nullable Fault fault) {
    Search search = byAnswer.remove(cancellation.key());
    if (search == null) {
      return List.of();
    }
    List<Emission> last = List.of();
    if (cancellation.silent()) {
      search.silence(cancellation.key());
    } else {
      last = search.end(cancellation.key(), cancellation.reason(), fault);
    }
    if (search.isOver()) {
      forget(search);
    }
    return last;
  }

  private void advance(Search search) {
    for (EngineRequest sequence : search.advance(() -> lastKey++)) {
      bySequence.put(sequence.key(), search);
      next.add(new Next(sequence, search.arrival()));
    }
  }

  private void forget(Search search) {
    for (long key : search.keys()) {
      byAnswer.remove(key);
    }
    for (long key : search.hypotheses()) {
      dropped.add(key);
    }
    next.removeIf(it -> search == bySequence.get(it.request().key()));
    release(search.hypotheses());
  }

  private void release(long[] sequences) {
    for (long key : sequences) {
      bySequence.remove(key);
    }
  }
}
