package io.verdier.verticles.grammar;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.grammar.Budget;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.Grammar;
import io.verdier.engine.grammar.GrammarCompiler;
import io.verdier.engine.grammar.GrammarException;
import io.verdier.engine.grammar.Guide;
import io.verdier.engine.grammar.TokenGrammar;
import io.verdier.engine.grammar.TokenTrie;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.CompileQuery;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.observe.ServingMetrics;
import io.verdier.verticles.observe.TraceOnly;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.eventbus.Message;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Compiles constraints, each once. A worker verticle with {@link #THREADS} threads: one at a time
 * is this actor's and owns what is here, the others compile.
 *
 * <p><b>Two lanes.</b> Nearly every constraint is compiled within some milliseconds, and some, by
 * mistake or malice, take all the time there is. So each gets a short turn first; what is not done
 * by then begins again in the slow lane, where one at a time may take as long as one may. Whoever
 * comes behind many slow ones waits for some of their short turns, and not for them. Both lanes
 * have an end: beyond it, and where the slow one has kept somebody waiting for long, the server is
 * overloaded.
 *
 * <p>The vocabulary's tree takes a second for a large vocabulary. It is made in the background
 * right after the start, which does not wait for it; the first constraint does.
 *
 * <p>What masks share over the vocabulary is made with the grammar, so that no step has to.
 */
public final class GrammarVerticle extends VerticleBase {
  /** The actor's and one for each lane. */
  public static final int THREADS = 3;

  private static final Logger LOG = LoggerFactory.getLogger(GrammarVerticle.class);

  private static final long MILLI = 1_000_000;
  private static final long KNOWN_BYTES_MAX = 64L << 20;

  private final Supplier<TokenTrie> vocabulary;
  private final ServingMetrics metrics;
  private final Grammars grammars = new Grammars(KNOWN_BYTES_MAX);
  private final Map<Constraint, List<Message<Object>>> asked = new HashMap<>(); // who waits
  private final Lane quick = new Lane(200 * MILLI, 1024, Long.MAX_VALUE);
  private final Lane slow = new Lane(Budget.Limits.defaults().nanos(), 16, 4000 * MILLI);
  private @Nullable TokenTrie trie; // null: not made yet
  private boolean isTrieAsked;
  private Bus bus;

  /** A constraint that is to be compiled. */
  private record Job(Constraint constraint, long arrivedNanos) {}

  /** Jobs that run one after the other. */
  private static final class Lane {
    private final long turnNanos; // that each may take
    private final int jobsMax; // that wait
    private final long waitNanosMax;
    private final Deque<Job> jobs = new ArrayDeque<>();
    private boolean isBusy;

    private Lane(long turnNanos, int jobsMax, long waitNanosMax) {
      this.turnNanos = turnNanos;
      this.jobsMax = jobsMax;
      this.waitNanosMax = waitNanosMax;
    }
  }

  /** The compiler had no time left. */
  private static final class OutOfTime extends RuntimeException {
    private static final long serialVersionUID = 1;

    private OutOfTime() {
      super(null, null, false, false);
    }
  }

  /**
   * @param vocabulary of the model; called once, on a worker thread
   */
  @SuppressWarnings("NullAway.Init") // the bus comes with the deployment
  public GrammarVerticle(Supplier<TokenTrie> vocabulary, ServingMetrics metrics) {
    this.vocabulary = vocabulary;
    this.metrics = metrics;
  }

  @Override
  public Future<?> start() {
    bus = new Bus(vertx);
    makeTrie();
    return bus.consumeAny(Addresses.GRAMMAR, this::onMessage);
  }

  private void onMessage(Message<Object> message) {
    if (!(message.body() instanceof CompileQuery(Constraint constraint))) {
      throw new IllegalStateException("unexpected " + message.body().getClass());
    }
    Grammar known = grammars.get(constraint);
    if (known != null && trie != null) {
      metrics.onGrammarKnown();
      message.reply(new CompileQuery.Reply(new Guide(known, trie)));
      return;
    }
    List<Message<Object>> waiting = asked.get(constraint);
    if (waiting != null) {
      metrics.onGrammarKnown();
      waiting.add(message);
      return;
    }
    asked.put(constraint, new ArrayList<>(List.of(message)));
    enter(quick, new Job(constraint, System.nanoTime()));
    makeTrie();
  }

  private void makeTrie() {
    if (isTrieAsked) {
      return;
    }
    isTrieAsked = true;
    vertx
        .executeBlocking(vocabulary::get, false)
        .onComplete(
            made -> {
              trie = made.result();
              if (trie == null) {
                isTrieAsked = false; // the next one may have better luck
                quick.jobs.forEach(job -> answer(job, refused(made.cause())));
                quick.jobs.clear();
              }
              run(quick);
            });
  }

  private void enter(Lane lane, Job job) {
    if (lane.jobs.size() == lane.jobsMax) {
      answer(job, overloaded());
      return;
    }
    lane.jobs.add(job);
    run(lane);
  }

  private void run(Lane lane) {
    TokenTrie known = trie;
    while (known != null && !lane.isBusy && !lane.jobs.isEmpty()) {
      Job job = lane.jobs.remove();
      if (System.nanoTime() - job.arrivedNanos > lane.waitNanosMax) {
        answer(job, overloaded());
        continue;
      }
      lane.isBusy = true;
      vertx
          .executeBlocking(() -> compile(job.constraint, known, lane.turnNanos), false)
          .onComplete(
              done -> {
                lane.isBusy = false;
                onCompiled(lane, job, done.result(), done.cause());
                run(lane);
              });
    }
  }

  private Grammar compile(Constraint constraint, TokenTrie over, long nanos) {
    Budget.Limits limits = Budget.Limits.defaults();
    Budget budget =
        new Budget(new Budget.Limits(limits.states(), limits.work(), nanos), System::nanoTime);
    long start = System.nanoTime();
    try {
      Grammar grammar = GrammarCompiler.compile(constraint, budget);
      TokenGrammar.prepare(grammar, over, budget);
      metrics.onGrammarCompiled((System.nanoTime() - start) / 1e9);
      return grammar;
    } catch (GrammarException refused) {
      throw nanos < limits.nanos() && System.nanoTime() - start >= nanos
          ? new OutOfTime()
          : refused;
    } catch (StackOverflowError deep) { // whatever no limit has caught
      throw new GrammarException("the constraint is nested too deeply");
    }
  }

  private void onCompiled(Lane lane, Job job, @Nullable Grammar grammar, Throwable failed) {
    TokenTrie known = trie;
    if (grammar != null && known != null) {
      grammars.put(job.constraint, grammar);
      answer(job, new CompileQuery.Reply(new Guide(grammar, known)));
    } else if (failed instanceof OutOfTime && lane == quick) {
      enter(slow, job);
    } else {
      answer(job, refused(failed));
    }
  }

  private void answer(Job job, Object answer) {
    List<Message<Object>> waiting = asked.remove(job.constraint);
    if (waiting != null) {
      waiting.forEach(message -> message.reply(answer));
    }
  }

  private static Refused refused(Throwable failed) {
    if (failed instanceof GrammarException refused) {
      return Refused.of(
          new RejectedException(ErrorCode.INVALID_ARGUMENT, sentence(refused.getMessage())));
    }
    LOG.warn("A constraint could not be compiled", new TraceOnly(failed));
    return Refused.of(failed);
  }

  private static String sentence(@Nullable String text) {
    String known = text == null || text.isEmpty() ? "the constraint cannot be served" : text;
    String capital = known.substring(0, 1).toUpperCase(java.util.Locale.ROOT) + known.substring(1);
    return capital.endsWith(".") ? capital : capital + ".";
  }

  private static Refused overloaded() {
    return new Refused(
        ErrorCode.OVERLOADED,
        "Too many constraints that take long are being prepared. Try again soon, or make this one"
            + " smaller.",
        null);
  }
}
