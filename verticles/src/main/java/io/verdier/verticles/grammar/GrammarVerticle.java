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
import io.verdier.verticles.grammar.CompileQueue.Job;
import io.verdier.verticles.grammar.CompileQueue.Runner;
import io.verdier.verticles.observe.ServingMetrics;
import io.verdier.verticles.observe.TraceOnly;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.eventbus.Message;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Compiles constraints, each once. A worker verticle with {@link #THREADS} threads: one at a time
 * is this actor's and owns what is here, the others compile.
 *
 * <p>In which order is the {@link CompileQueue}'s business. It has an end: beyond it, and where
 * somebody has waited for long, the server is overloaded.
 *
 * <p>The vocabulary's tree takes a second for a large vocabulary. It is made in the background
 * right after the start, which does not wait for it; the first constraint does.
 *
 * <p>What masks share over the vocabulary is made with the grammar, so that no step has to.
 */
public final class GrammarVerticle extends VerticleBase {
  /** The actor's and one for each runner. */
  public static final int THREADS = 1 + Runner.values().length;

  private static final Logger LOG = LoggerFactory.getLogger(GrammarVerticle.class);

  private static final long KNOWN_BYTES_MAX = 64L << 20;

  private final Supplier<TokenTrie> vocabulary;
  private final int model;
  private final ServingMetrics metrics;
  private final Grammars grammars = new Grammars(KNOWN_BYTES_MAX);
  private final Map<Constraint, List<Message<Object>>> asked = new HashMap<>(); // who waits
  private final CompileQueue queue = new CompileQueue();
  private final Set<Runner> free = EnumSet.allOf(Runner.class);
  private @Nullable TokenTrie trie; // null: not made yet
  private boolean isTrieAsked;
  private Bus bus;

  /** The turn was too short. */
  private static final class OutOfTime extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final long tookNanos;

    private OutOfTime(long tookNanos) {
      super(null, null, false, false);
      this.tookNanos = tookNanos;
    }
  }

  /**
   * @param model its number in this node
   * @param vocabulary of the model; called once, on a worker thread
   */
  @SuppressWarnings("NullAway.Init") // the bus comes with the deployment
  public GrammarVerticle(int model, Supplier<TokenTrie> vocabulary, ServingMetrics metrics) {
    this.model = model;
    this.vocabulary = vocabulary;
    this.metrics = metrics;
  }

  @Override
  public Future<?> start() {
    bus = new Bus(vertx);
    makeTrie();
    return bus.consumeAny(Addresses.grammar(model), this::onMessage);
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
    enter(Job.first(constraint, System.nanoTime()));
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
                Job job = queue.next(Runner.ALL_TURNS);
                for (; job != null; job = queue.next(Runner.ALL_TURNS)) {
                  answer(job, refused(made.cause()));
                }
              }
              run();
            });
  }

  private void enter(Job job) {
    if (queue.add(job)) {
      run();
    } else {
      answer(job, overloaded());
    }
  }

  private void run() {
    TokenTrie known = trie;
    if (known != null) {
      List.copyOf(free).forEach(runner -> run(runner, known));
    }
  }

  private void run(Runner runner, TokenTrie over) {
    Job next = queue.next(runner);
    while (next != null && next.isOverdue(System.nanoTime())) {
      answer(next, overloaded());
      next = queue.next(runner);
    }
    Job job = next;
    if (job == null) {
      return;
    }
    free.remove(runner);
    vertx
        .executeBlocking(() -> compile(job, over), false)
        .onComplete(
            done -> {
              free.add(runner);
              onCompiled(job, done.result(), done.cause());
              run();
            });
  }

  private Grammar compile(Job job, TokenTrie over) {
    Budget budget = new Budget(Budget.Limits.defaults().within(job.nanos()), System::nanoTime);
    long start = System.nanoTime();
    try {
      Grammar grammar = GrammarCompiler.compile(job.constraint(), budget);
      TokenGrammar.prepare(grammar, over, budget);
      metrics.onGrammarCompiled((System.nanoTime() - start) / 1e9);
      return grammar;
    } catch (GrammarException refused) {
      long took = System.nanoTime() - start;
      throw !job.isLast() && took >= job.nanos() ? new OutOfTime(took) : refused;
    } catch (StackOverflowError deep) { // whatever no limit has caught
      throw new GrammarException("the constraint is nested too deeply");
    }
  }

  private void onCompiled(Job job, @Nullable Grammar grammar, Throwable failed) {
    TokenTrie known = trie;
    if (grammar != null && known != null) {
      grammars.put(job.constraint(), grammar);
      answer(job, new CompileQuery.Reply(new Guide(grammar, known)));
    } else if (failed instanceof OutOfTime out) {
      enter(job.again(out.tookNanos));
    } else {
      answer(job, refused(failed));
    }
  }

  private void answer(Job job, Object answer) {
    List<Message<Object>> waiting = asked.remove(job.constraint());
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
