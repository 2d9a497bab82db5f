package io.verdier.verticles.cluster;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.balance.EnginePool;
import io.verdier.verticles.balance.Prefixes;
import io.verdier.verticles.bus.AdapterRelease;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Deltas;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.SequenceKey;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.cluster.Frame.Bounce;
import io.verdier.verticles.cluster.Frame.Item;
import io.verdier.verticles.cluster.Frame.Stop;
import io.verdier.verticles.cluster.Frame.Work;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/**
 * The engines' side of the cluster: to the engines of its node it is one more HTTP instance, whose
 * clients are the ingresses. Owned by the cluster's event loop; no clock, no I/O.
 *
 * <p>Ingresses make keys without asking each other, so inside the engine each sequence has a key of
 * this gate's own. A sequence leaves the books with its end, wanted or not, as at the real HTTP
 * instances; what nobody waits for any more is {@code dropped}, and its news go nowhere.
 */
final class EngineGate {
  /** Of news of several sequences; hidden states and scores of one can be more. */
  static final long NEWS_BYTES_MAX = 16 << 20;

  private final int instance;
  private final int jobsMax;
  private final EnginePool engines;
  private final BiConsumer<String, Frame> tell;
  private final BiConsumer<String, Object> send;
  private final Prefixes prefixes = new Prefixes();
  private final Map<Owner, Job> byOwner = new HashMap<>();
  private final Map<Long, Job> byKey = new LinkedHashMap<>();
  private boolean isAccepting;
  private boolean isMute;
  private long counter;
  private int wanted; // sequences that somebody waits for
  private long movedIn;
  private long movedOut;

  /** A sequence as its ingress knows it. */
  private record Owner(String ingress, long key) {}

  /** A sequence of the engine. Owned by the cluster's event loop. */
  private static final class Job {
    final Owner owner;
    final long key;
    final int attempt;
    final String tokenizer;
    final boolean hasAdapter;
    int count; // generated tokens
    boolean isHeardOf;
    boolean isDropped;

    Job(Owner owner, long key, Work work, String tokenizer) {
      this.owner = owner;
      this.key = key;
      this.attempt = work.attempt();
      this.tokenizer = tokenizer;
      this.hasAdapter = work.submit().adapter() != null;
      this.count = work.submit().generated().length;
    }
  }

  /**
   * @param instance number of this gate among the HTTP instances of its node
   * @param jobsMax sequences that the engines may have
   * @param engines of this node
   * @param tell takes a frame for a node, this one among them
   * @param send takes a message for an address of the engine
   */
  EngineGate(
      int instance,
      int jobsMax,
      EnginePool engines,
      BiConsumer<String, Frame> tell,
      BiConsumer<String, Object> send) {
    this.instance = instance;
    this.jobsMax = jobsMax;
    this.engines = engines;
    this.tell = tell;
    this.send = send;
  }

  /** Whether new work is taken. */
  void accept(boolean accepting) {
    isAccepting = accepting;
  }

  /** Nothing that the engine says from now on can be trusted: its end is near. */
  void mute() {
    isMute = true;
    isAccepting = false;
  }

  /** Sequences in the engine, those that nobody waits for among them. */
  int liveCount() {
    return byKey.size();
  }

  /** Sequences that somebody waits for. */
  int wantedCount() {
    return wanted;
  }

  Prefixes prefixes() {
    return prefixes;
  }

  /** Sequences that came from other engines, since the start. */
  long movedIn() {
    return movedIn;
  }

  /** Sequences that went on at other engines and were ended here, since the start. */
  long movedOut() {
    return movedOut;
  }

  void onWork(String ingress, Work work) {
    Submit submit = work.submit();
    boolean isFull = byKey.size() + submit.keys().length > jobsMax;
    if (!isAccepting || isFull) {
      Refused why =
          isFull
              ? new Refused(ErrorCode.OVERLOADED, "All engines are full. Try again later.", null)
              : new Refused(
                  ErrorCode.UNAVAILABLE, "No engine takes work now. Try again soon.", null);
      tell.accept(ingress, new Bounce(submit.keys(), work.attempt(), why));
      return;
    }
    for (long key : submit.keys()) {
      Job old = byOwner.get(new Owner(ingress, key));
      if (old != null && old.attempt >= work.attempt()) {
        return; // it came twice
      }
    }
    prefixes.keep(engines.cacheTokens());
    prefixes.add(work.prefixes());
    movedIn += work.attempt() > 1 ? submit.keys().length : 0;
    long[] keys = new long[submit.keys().length];
    int chosen = engines.choose(submit.model(), keys.length, work::prefixes);
    for (int i = 0; i < keys.length; i++) {
      keys[i] = SequenceKey.of(chosen, instance, counter++);
    }
    String tokenizer = engines.tokenizer(keys[0]);
    for (int i = 0; i < keys.length; i++) {
      Owner owner = new Owner(ingress, submit.keys()[i]);
      Job job = new Job(owner, keys[i], work, tokenizer);
      byKey.put(job.key, job);
      wanted++;
      Job old = byOwner.put(owner, job);
      if (old != null) {
        drop(List.of(old));
      }
    }
    send.accept(tokenizer, submit.withKeys(keys));
  }

  /** Whoever waits for the end of what is not here, or not any more, gets one all the same. */
  void onStop(String ingress, Stop stop) {
    List<Job> jobs = new ArrayList<>();
    List<Item> unknown = new ArrayList<>();
    for (int i = 0; i < stop.keys().length; i++) {
      long key = stop.keys()[i];
      int attempt = stop.attempts()[i];
      Job job = byOwner.get(new Owner(ingress, key));
      if (job != null && job.attempt == attempt) {
        jobs.add(job);
      } else {
        unknown.add(new Item(attempt, 0, Delta.ended(key, FinishReason.ABORT)));
      }
    }
    switch (stop.why()) {
      case ABORTED -> {
        cancel(jobs);
        if (!unknown.isEmpty()) {
          tell.accept(ingress, new Frame.News(unknown));
        }
      }
      case UNWANTED -> drop(jobs);
      case MOVED -> {
        movedOut += jobs.size();
        drop(jobs);
      }
    }
  }

  /** The ingress is gone, or begins anew: nobody waits for its sequences. */
  void drop(String ingress) {
    drop(having(job -> job.owner.ingress.equals(ingress)));
  }

  /** This node is not one of the cluster any more. */
  void dropAll() {
    drop(having(job -> true));
  }

  private List<Job> having(Predicate<Job> what) {
    return byKey.values().stream().filter(job -> !job.isDropped && what.test(job)).toList();
  }

  private void drop(List<Job> jobs) {
    for (Job job : jobs) {
      wanted -= job.isDropped ? 0 : 1; // a message may name it twice
      job.isDropped = true;
      byOwner.remove(job.owner, job);
    }
    cancel(jobs);
  }

  /** As the HTTP instances do: its end comes back, whoever has the sequence now. */
  private void cancel(List<Job> jobs) {
    if (jobs.isEmpty()) {
      return;
    }
    cancelOf(jobs)
        .byEngine()
        .forEach((engine, part) -> send.accept(engines.scheduler(engine), part));
    jobs.stream()
        .filter(job -> !job.isHeardOf)
        .collect(Collectors.groupingBy(job -> job.tokenizer))
        .forEach((tokenizer, there) -> send.accept(tokenizer, cancelOf(there)));
  }

  private static Cancel cancelOf(List<Job> jobs) {
    long[] keys = jobs.stream().mapToLong(job -> job.key).toArray();
    return new Cancel(keys, FinishReason.ABORT, false);
  }

  /** What a step, or the tokenizer, gave: one message for each ingress, or some if it is much. */
  void onDeltas(Deltas message) {
    Map<String, Parcel> byIngress = new LinkedHashMap<>();
    for (Delta delta : message.deltas()) {
      Job job = byKey.get(delta.key());
      if (job == null) {
        continue;
      }
      job.isHeardOf = true;
      if (delta.end() != null) {
        byKey.remove(job.key);
        wanted -= job.isDropped ? 0 : 1;
        engines.onEnd(SequenceKey.engine(job.key));
        if (job.hasAdapter) {
          send.accept(
              engines.adaptersOf(SequenceKey.engine(job.key)),
              new AdapterRelease(new long[] {job.key}));
        }
        byOwner.remove(job.owner, job);
      }
      if (!job.isDropped && !isMute) {
        Delta theirs = DeltaCodec.withKey(delta, job.owner.key);
        Item item = new Item(job.attempt, job.count, theirs);
        byIngress.computeIfAbsent(job.owner.ingress, Parcel::new).add(item);
        job.count += delta.tokens().length;
      }
    }
    byIngress.values().forEach(Parcel::send);
  }

  /** News for one ingress. Owned by the cluster's event loop. */
  private final class Parcel {
    private final String ingress;
    private List<Item> items = new ArrayList<>();
    private long bytes;

    Parcel(String ingress) {
      this.ingress = ingress;
    }

    void add(Item item) {
      long more = DeltaCodec.bytesMax(item.delta());
      if (!items.isEmpty() && bytes + more > NEWS_BYTES_MAX) {
        send();
        items = new ArrayList<>();
        bytes = 0;
      }
      items.add(item);
      bytes += more;
    }

    void send() {
      tell.accept(ingress, new Frame.News(items));
    }
  }
}
