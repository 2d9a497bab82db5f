package io.verdier.verticles.cluster;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.text.SequenceText;
import io.verdier.verticles.balance.Prefixes;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.cluster.ClusterView.Wish;
import io.verdier.verticles.cluster.Frame.Bounce;
import io.verdier.verticles.cluster.Frame.Item;
import io.verdier.verticles.cluster.Frame.Stop;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The ingress's side of the cluster: which engine has which stream, and how it goes on elsewhere.
 * Owned by the cluster's event loop; no clock, no I/O.
 *
 * <p><b>Idea.</b> An answer is a pure function of prompt, parameters, seed and the tokens so far,
 * and the scheduler takes a sequence that knows some tokens already: a preemption is that within a
 * node. So whoever has the prompt and the tokens that were told to the client can let any engine go
 * on with the very next one. Grammar, stop strings and sampler are functions of the tokens, and the
 * engine makes their state anew from them.
 *
 * <p><b>Exactly once.</b> Each news says how many tokens came before it, and of which attempt it
 * is. An attempt ends when the stream moves; what the old engine still says is dropped by its
 * number. Within an attempt a number that does not fit means that something was lost, and the
 * stream moves (maybe to the same engine) from what the client has.
 *
 * <p><b>Limits.</b> A request that kills its engine must not kill them all: after {@link
 * #DEATHS_MAX} deaths a stream ends with an error. One that no engine takes waits for {@link
 * #PARKED_MILLIS} in all, until one goes on with it.
 *
 * <p><b>Cancelled</b> streams move as well: a client that does not stream has none of its text yet,
 * and only an engine can make text of tokens. So the next one gets the work and right behind it the
 * order to end it.
 */
final class Router {
  static final int DEATHS_MAX = 3;
  static final long PARKED_MILLIS = 30_000;

  private static final int[] NOTHING = {};

  private final ClusterView view;
  private final BiConsumer<String, Frame> tell;
  private final Consumer<Delta> deliver;
  private final Map<Long, Stream> streams = new LinkedHashMap<>();
  private long millis; // since the start, of those that ticks have told
  private long migrations;
  private long lateNews;

  /** Why streams leave an engine. */
  enum Leaving {
    /** It is dead, silent or hung: it may be their fault. */
    DEATH,
    /** It drains, has no room, or something was lost on the way. */
    ORDERLY
  }

  /** One sequence. Owned by the cluster's event loop. */
  private static final class Stream {
    final long key;
    final Submit submit;
    final int choice;
    final long[] prefixes;
    final Set<String> bounced = new HashSet<>(); // engines that had no room
    @Nullable String engine; // null: it waits for one
    String fingerprint = ""; // of the model that has begun; another one would go on differently
    int attempt;
    int @Nullable [] prompt; // null: its engine has not told yet
    int[] generated = NOTHING; // with room at the end
    int count; // of them
    int scored; // prompt scores that the client has
    int scoredNow; // those that this attempt has told
    int reasoningTokens = SequenceText.UNCOUNTED;
    boolean hasBegun; // this attempt has told something
    int deaths;
    long givenMillis; // when its engine got it
    long waitedMillis; // without an engine, or for one that then refused it, since it last went on
    boolean isCancelled;

    Stream(Submit submit, int choice, long[] prefixes) {
      this.key = submit.keys()[choice];
      this.submit = submit;
      this.choice = choice;
      this.prefixes = prefixes;
    }

    boolean isOfSearch() {
      return submit.lengthPenalty().isPresent();
    }

    /** Whatever is said of the attempt before is not listened to. */
    void beginAnew() {
      attempt++;
      scoredNow = 0;
      hasBegun = false;
    }

    void append(int[] tokens) {
      if (count + tokens.length > generated.length) {
        generated = Arrays.copyOf(generated, Math.max(64, 2 * (count + tokens.length)));
      }
      System.arraycopy(tokens, 0, generated, count, tokens.length);
      count += tokens.length;
    }
  }

  /**
   * @param tell takes a frame for a node
   * @param deliver takes news for the HTTP instance that the key names
   */
  Router(ClusterView view, BiConsumer<String, Frame> tell, Consumer<Delta> deliver) {
    this.view = view;
    this.tell = tell;
    this.deliver = deliver;
  }

  int liveCount() {
    return streams.size();
  }

  /** Streams that went on elsewhere, since the start. */
  long migrations() {
    return migrations;
  }

  /** News of attempts that were over, since the start. */
  long lateNews() {
    return lateNews;
  }

  // ---- From HTTP -----------------------------------------------------------------------------

  void onSubmit(Submit submit) {
    long[] prefixes = Prefixes.of(submit);
    ClusterView.Node engine = view.choose(submit, prefixes, Wish.all(submit)).orElse(null);
    if (engine == null) {
      for (long key : submit.keys()) {
        deliver.accept(
            Delta.refused(
                key, ErrorCode.UNAVAILABLE, "No engine is available. Try again soon.", null));
      }
      return;
    }
    for (int choice = 0; choice < submit.keys().length; choice++) {
      Stream stream = new Stream(submit, choice, prefixes);
      give(stream, engine);
      stream.attempt = 1;
      streams.put(stream.key, stream);
    }
    tell.accept(engine.id, new Frame.Work(1, submit, prefixes));
  }

  private void give(Stream stream, ClusterView.Node engine) {
    stream.engine = engine.id;
    stream.givenMillis = millis;
    stream.fingerprint = engine.told.card().map(ModelCard::fingerprint).orElse("");
  }

  /** The engine ends them, and says so; one that nobody has ends here. */
  void onCancel(Cancel cancel) {
    for (long key : cancel.keys()) {
      Stream stream = streams.get(key);
      if (stream == null || stream.isCancelled) {
        continue;
      }
      stream.isCancelled = true;
      String engine = stream.engine;
      if (engine == null) {
        end(stream, FinishReason.ABORT, null);
      } else if (cancel.silent()) {
        stop(engine, stream, Stop.Why.UNWANTED);
        forget(stream);
      } else {
        stop(engine, stream, Stop.Why.ABORTED);
      }
    }
  }

  private void stop(String engine, Stream stream, Stop.Why why) {
    tell.accept(engine, new Stop(new long[] {stream.key}, new int[] {stream.attempt}, why));
  }

  // ---- From engines ---------------------------------------------------------------------------

  void onNews(String engine, List<Item> items) {
    for (Item item : items) {
      Stream stream = streams.get(item.delta().key());
      if (stream == null || item.attempt() != stream.attempt || !engine.equals(stream.engine)) {
        lateNews++;
      } else if (item.offset() != stream.count) {
        move(List.of(stream), Leaving.ORDERLY);
      } else {
        Refused passing = passing(stream, item.delta());
        if (passing == null) {
          pass(stream, item.delta());
        } else {
          bounce(engine, List.of(stream), passing);
        }
      }
    }
  }

  /**
   * Why an engine did not go on with what another one had begun; null: it did, or never will. What
   * is only too busy just now must not end an answer of which the client has a part.
   */
  private static @Nullable Refused passing(Stream stream, Delta delta) {
    Refused refusal = delta.end() == null ? null : delta.end().refusal();
    boolean isPassing =
        refusal != null
            && (refusal.code() == ErrorCode.OVERLOADED || refusal.code() == ErrorCode.UNAVAILABLE);
    return isPassing && stream.attempt > 1 && !stream.hasBegun ? refusal : null;
  }

  private void pass(Stream stream, Delta news) {
    Delta.Start start = news.start();
    Delta delta = wholeEnd(stream, news);
    Delta fresh = delta;
    stream.hasBegun = true;
    stream.waitedMillis = 0;
    stream.reasoningTokens = Math.max(stream.reasoningTokens, delta.reasoningTokens());
    if (start != null) {
      boolean first = stream.prompt == null;
      stream.prompt = start.promptTokens();
      fresh = first ? delta : DeltaCodec.without(delta, null, 0);
    }
    int scores = delta.promptScores().size();
    if (scores > 0) {
      // A later attempt scores the prompt from its beginning.
      fresh = DeltaCodec.without(fresh, fresh.start(), stream.scored - stream.scoredNow);
      stream.scoredNow += scores;
      stream.scored = Math.max(stream.scored, stream.scoredNow);
    }
    stream.append(delta.tokens());
    if (delta.end() != null) {
      forget(stream);
    }
    deliver.accept(fresh);
  }

  /** Who ends a stream before its engine has begun with it knows nothing of what came before. */
  private static Delta wholeEnd(Stream stream, Delta delta) {
    Delta.End end = delta.end();
    int count = stream.count + delta.tokens().length;
    return end == null || end.reason() != FinishReason.ABORT || end.generatedTokens() >= count
        ? delta
        : DeltaCodec.withEnd(
            delta,
            Math.max(stream.reasoningTokens, delta.reasoningTokens()),
            new Delta.End(end.reason(), null, -1, end.cachedTokens(), count, null));
  }

  void onBounce(String engine, Bounce bounce) {
    List<Stream> left = new ArrayList<>();
    for (long key : bounce.keys()) {
      Stream stream = streams.get(key);
      if (stream != null && stream.attempt == bounce.attempt() && engine.equals(stream.engine)) {
        left.add(stream);
      }
    }
    bounce(engine, left, bounce.why());
  }

  /** An engine takes these not, or not yet; somebody else may. */
  private void bounce(String engine, List<Stream> left, Refused why) {
    for (Stream stream : left) {
      stream.bounced.add(engine);
      stream.waitedMillis += millis - stream.givenMillis;
    }
    move(left, Leaving.ORDERLY);
    for (Stream stream : left) {
      boolean isFresh = stream.prompt == null && stream.deaths == 0;
      if (stream.engine == null && isFresh && streams.containsKey(stream.key)) {
        end(stream, FinishReason.ERROR, why);
      }
    }
  }

  /** All streams of an engine go on elsewhere. */
  void leave(String engine, Leaving why) {
    move(having(stream -> engine.equals(stream.engine)), why);
  }

  /** Nobody can be reached: all streams wait. */
  void leaveAll() {
    for (Stream stream : having(any -> true)) {
      stream.engine = null;
      stream.beginAnew();
      if (stream.isCancelled) {
        end(stream, FinishReason.ABORT, null);
      }
    }
  }

  /** So much time has passed: those that wait for an engine are tried again. */
  void tick(long passed) {
    millis += passed;
    List<Stream> parked = having(stream -> stream.engine == null);
    for (Stream stream : parked) {
      stream.waitedMillis += passed;
      stream.bounced.clear();
    }
    List<Stream> late =
        parked.stream().filter(stream -> stream.waitedMillis > PARKED_MILLIS).toList();
    for (Stream stream : late) {
      Refused none =
          new Refused(ErrorCode.UNAVAILABLE, "No engine is left to go on with the answer.", null);
      end(stream, FinishReason.ERROR, none);
    }
    send(parked.stream().filter(stream -> !late.contains(stream)).toList());
  }

  private List<Stream> having(Predicate<Stream> what) {
    return streams.values().stream().filter(what).toList();
  }

  private void move(List<Stream> leaving, Leaving why) {
    if (leaving.isEmpty()) {
      return;
    }
    List<Stream> whole = withTheirSearches(leaving);
    tellToForget(whole);
    List<Stream> going = new ArrayList<>();
    for (Stream stream : whole) {
      leaveEngine(stream);
      stream.beginAnew();
      stream.deaths += why == Leaving.DEATH ? 1 : 0;
      if (stream.isCancelled && (stream.count == 0 || stream.deaths > DEATHS_MAX)) {
        end(stream, FinishReason.ABORT, null); // there is nothing that anybody could tell of it
      } else if (stream.deaths > DEATHS_MAX) {
        String text = "The request failed inside the server, on several engines.";
        end(stream, FinishReason.ERROR, new Refused(ErrorCode.INTERNAL, text, null));
      } else {
        going.add(stream);
      }
    }
    send(going);
  }

  /** A beam search is one piece of work, whichever of its answers is asked about. */
  private List<Stream> withTheirSearches(List<Stream> leaving) {
    Set<Submit> searches = Collections.newSetFromMap(new IdentityHashMap<>());
    for (Stream stream : leaving) {
      if (stream.isOfSearch()) {
        searches.add(stream.submit);
      }
    }
    return searches.isEmpty()
        ? leaving
        : having(stream -> leaving.contains(stream) || searches.contains(stream.submit));
  }

  /** Should their engine live. All of them have the same one. */
  private void tellToForget(List<Stream> leaving) {
    String engine = leaving.getFirst().engine;
    if (engine != null) {
      long[] keys = leaving.stream().mapToLong(stream -> stream.key).toArray();
      int[] attempts = leaving.stream().mapToInt(stream -> stream.attempt).toArray();
      tell.accept(engine, new Stop(keys, attempts, Stop.Why.MOVED));
    }
  }

  /** Choices of one prompt stay together: only the first of them reads it. */
  private void send(List<Stream> parked) {
    Map<Long, List<Stream>> groups = new LinkedHashMap<>();
    for (Stream stream : parked) {
      groups.computeIfAbsent(stream.submit.keys()[0], any -> new ArrayList<>()).add(stream);
    }
    for (List<Stream> group : groups.values()) {
      Stream first = group.getFirst();
      Wish wish = new Wish(group.size(), first.bounced, first.fingerprint);
      ClusterView.Node engine = view.choose(first.submit, first.prefixes, wish).orElse(null);
      if (engine == null) {
        group.stream()
            .filter(stream -> stream.isCancelled)
            .forEach(stream -> end(stream, FinishReason.ABORT, null));
        continue;
      }
      for (Stream stream : group) {
        give(stream, engine);
        migrations++;
        if (!stream.isOfSearch()) {
          Submit rest = resumed(stream);
          tell.accept(engine.id, new Frame.Work(stream.attempt, rest, stream.prefixes));
        }
      }
      if (first.isOfSearch()) { // it has told nothing yet, and begins anew
        tell.accept(engine.id, new Frame.Work(first.attempt, first.submit, first.prefixes));
      }
      group.stream()
          .filter(stream -> stream.isCancelled)
          .forEach(stream -> stop(engine.id, stream, Stop.Why.ABORTED));
    }
  }

  private static Submit resumed(Stream stream) {
    int[] prompt = stream.prompt;
    return stream.submit.resumed(
        stream.choice,
        prompt == null ? stream.submit.prompt() : new Prompt.Tokens(prompt),
        Arrays.copyOf(stream.generated, stream.count));
  }

  private void forget(Stream stream) {
    leaveEngine(stream);
    streams.remove(stream.key);
  }

  private void leaveEngine(Stream stream) {
    String engine = stream.engine;
    if (engine != null) {
      view.onLeft(engine);
      stream.engine = null;
    }
  }

  /** The last word, where no engine has one. */
  private void end(Stream stream, FinishReason reason, @Nullable Refused refusal) {
    forget(stream);
    Delta.End end = new Delta.End(reason, null, -1, 0, stream.count, refusal);
    Delta bare = new Delta(stream.key, null, "", NOTHING, List.of(), List.of(), end);
    deliver.accept(DeltaCodec.withEnd(bare, stream.reasoningTokens, end));
  }
}
