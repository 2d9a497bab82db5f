package io.verdier.verticles.token;

import io.verdier.cache.lora.AdapterSource;
import io.verdier.engine.RejectedException;
import io.verdier.engine.grammar.Guide;
import io.verdier.engine.grammar.Thinking;
import io.verdier.engine.schedule.BeamSearch;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.bus.AdapterQuery;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.CompileQuery;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Deltas;
import io.verdier.verticles.bus.Demand;
import io.verdier.verticles.bus.DetokenizeQuery;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.SequenceKey;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.TokenizeQuery;
import io.verdier.verticles.bus.Tokenized;
import io.verdier.verticles.observe.TraceOnly;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.eventbus.Message;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Renders chat templates and encodes prompts, for all engines of a model. Owned by its tokenizer
 * thread; several instances share the work, each with an address of its own.
 *
 * <p>A request is encoded behind all messages that are there when it comes, so that a cancellation
 * never waits for prompts, least of all for the one that nobody wants any more. One that comes
 * before its request's turn is that request's end; another is passed on to the scheduler, where it
 * arrives behind its request.
 *
 * <p>A request whose answer must match something is encoded while its constraint is compiled
 * elsewhere, and one with an adapter while that is brought to host memory. It waits for both, if
 * need be, without holding up the others. If it is cancelled meanwhile, that is its end: the
 * scheduler hears of neither. Only an answer that moved here and is told whole waits all the same,
 * and ends when it may begin: its client has none of its text, and it takes its turn to make it.
 *
 * <p>Whatever goes wrong with a prompt ends that request here: the scheduler never hears of it.
 */
public final class TokenizerVerticle extends VerticleBase {
  private static final Logger LOG = LoggerFactory.getLogger(TokenizerVerticle.class);

  private final int instance;
  private final int model;
  private final PromptEncoder encoder;
  private final Deque<Submit> queued = new ArrayDeque<>(); // to be encoded
  private final Set<Long> pending = new HashSet<>(); // sequences that wait for their turn or more
  private final Set<Long> untold = new HashSet<>(); // of those: have text that nobody has told
  private final Set<Long> ending = new HashSet<>(); // of these: shall end once they may begin
  private Bus bus;

  /**
   * @param instance its number among the tokenizers of all models
   * @param model the model's number in this node
   */
  @SuppressWarnings("NullAway.Init") // the bus comes with the deployment
  public TokenizerVerticle(int instance, int model, PromptEncoder encoder) {
    this.instance = instance;
    this.model = model;
    this.encoder = encoder;
  }

  @Override
  public Future<?> start() {
    bus = new Bus(vertx);
    return bus.consumeAny(Addresses.tokenizer(instance), this::onMessage);
  }

  private void onMessage(Message<Object> message) {
    switch (message.body()) {
      case Submit submit -> onSubmit(submit);
      case Cancel cancel -> onCancel(cancel);
      case TokenizeQuery query -> message.reply(answer(() -> tokenize(query)));
      case DetokenizeQuery query -> message.reply(answer(() -> detokenize(query)));
      default -> throw new IllegalStateException("unexpected " + message.body().getClass());
    }
  }

  private void onSubmit(Submit submit) {
    boolean isUntold = submit.generated().length > 0 && !submit.text().streaming();
    for (long key : submit.keys()) {
      pending.add(key);
      if (isUntold) {
        untold.add(key);
      }
    }
    queued.add(submit);
    context.runOnContext(ignored -> encode(queued.remove()));
  }

  private void encode(Submit submit) {
    long[] wanted = Arrays.stream(submit.keys()).filter(pending::contains).toArray();
    if (wanted.length == 0) {
      return;
    }
    Demand demand = encoder.demand(submit);
    Future<CompileQuery.@Nullable Reply> compiled = compiled(demand);
    Future<String> adapter = adapter(submit, wanted);
    List<EngineRequest> requests;
    try {
      requests = encoder.requests(submit);
    } catch (RuntimeException | Error failed) { // whatever it is: HTTP waits for the end
      refuse(submit, refused(failed));
      return;
    }
    if (demand == null && submit.adapter() == null) {
      schedule(takePending(requests));
      return;
    }
    Future.all(compiled, adapter)
        .onSuccess(both -> onComplete(demand, requests, compiled.result(), adapter.result()))
        .onFailure(failed -> onIncomplete(submit, adapter, failed));
  }

  /** The constraint, compiled; null where there is none. */
  private Future<CompileQuery.@Nullable Reply> compiled(@Nullable Demand demand) {
    return demand == null
        ? Future.succeededFuture()
        : bus.request(
            Addresses.grammar(model),
            new CompileQuery(demand.constraint()),
            CompileQuery.Reply.class);
  }

  /**
   * The adapter's identity, once it may be used; empty where there is none.
   *
   * @param wanted the sequences that will use it, and give it back: those that have ended did so
   */
  private Future<String> adapter(Submit submit, long[] wanted) {
    AdapterSource source = submit.adapter();
    return source == null
        ? Future.succeededFuture("")
        : bus.request(
                Addresses.adapters(model),
                new AdapterQuery(wanted, source),
                AdapterQuery.Reply.class)
            .map(AdapterQuery.Reply::identity);
  }

  /**
   * All requests of a submission have one prompt. It alone says whether the answer begins with
   * thoughts, however much of the answer a sequence that moved here has already.
   */
  private Guide guide(Guide compiled, Demand demand, List<EngineRequest> requests) {
    return compiled.behind(
        demand
            .thoughts()
            .map(format -> encoder.thinking(format, requests.getFirst().prompt()))
            .orElse(Thinking.NONE));
  }

  private void onComplete(
      @Nullable Demand demand,
      List<EngineRequest> requests,
      CompileQuery.@Nullable Reply compiled,
      String adapter) {
    List<EngineRequest> left = takePending(requests);
    Guide guide =
        compiled == null || demand == null ? null : guide(compiled.guide(), demand, requests);
    schedule(
        left.stream()
            .map(request -> request.withAdapter(adapter))
            .map(request -> guide == null ? request : request.with(guide))
            .toList());
  }

  private boolean takeEnding(long key) {
    untold.remove(key);
    return ending.remove(key);
  }

  /** All of one submission, and so of one engine. */
  private void schedule(List<EngineRequest> requests) {
    if (requests.isEmpty()) {
      return;
    }
    int engine = SequenceKey.engine(requests.getFirst().key());
    bus.send(Addresses.scheduler(engine), new Tokenized(requests));
    long[] over =
        requests.stream().mapToLong(EngineRequest::key).filter(this::takeEnding).toArray();
    cancel(new Cancel(over, FinishReason.ABORT, false));
  }

  private void cancel(Cancel scheduled) {
    scheduled.byEngine().forEach((engine, part) -> bus.send(Addresses.scheduler(engine), part));
  }

  private void onIncomplete(Submit submit, Future<String> adapter, Throwable failed) {
    Refused why = refused(failed);
    refuse(submit, new Refused(why.code(), why.text(), parameter(submit, adapter)));
  }

  /** The field at fault. */
  private static @Nullable String parameter(Submit submit, Future<String> adapter) {
    AdapterSource source = submit.adapter();
    Demand demand = submit.demand();
    if (adapter.failed() && source != null) {
      return source.namer() == AdapterSource.Namer.CLIENT ? "dynamic-lora" : "model";
    }
    return demand == null ? null : demand.parameter();
  }

  /** Those that were not cancelled. */
  private List<EngineRequest> takePending(List<EngineRequest> requests) {
    return requests.stream().filter(this::takePending).toList();
  }

  /** A search is all of its answers, or none: then the others end with those that did. */
  private boolean takePending(EngineRequest request) {
    BeamSearch search = request.search();
    if (search == null) {
      return pending.remove(request.key());
    }
    long[] left = Arrays.stream(search.keys()).filter(pending::remove).toArray();
    if (left.length == search.keys().length) {
      return true;
    }
    tell(ended(left, FinishReason.ABORT));
    return false;
  }

  private static List<Delta> ended(long[] keys, FinishReason reason) {
    return Arrays.stream(keys).mapToObj(key -> Delta.ended(key, reason)).toList();
  }

  private void onCancel(Cancel cancel) {
    long[] passed = Arrays.stream(cancel.keys()).filter(key -> !pending.contains(key)).toArray();
    cancel(new Cancel(passed, cancel.reason(), cancel.silent()));
    List<Delta> ends = new ArrayList<>();
    for (long key : cancel.keys()) {
      if (untold.contains(key) && !cancel.silent()) {
        ending.add(key);
      } else if (pending.remove(key)) {
        takeEnding(key);
        if (!cancel.silent()) {
          ends.add(Delta.ended(key, cancel.reason()));
        }
      }
    }
    tell(ends);
  }

  /** Those that were not cancelled; those that were to end do. */
  private void refuse(Submit submit, Refused refused) {
    List<Delta> ends = new ArrayList<>();
    for (long key : submit.keys()) {
      if (pending.remove(key)) {
        ends.add(
            takeEnding(key)
                ? Delta.ended(key, FinishReason.ABORT)
                : Delta.refused(key, refused.code(), refused.text(), refused.parameter()));
      }
    }
    tell(ends);
  }

  /** All of one request, and so of one HTTP instance. */
  private void tell(List<Delta> deltas) {
    if (!deltas.isEmpty()) {
      bus.send(Addresses.http(SequenceKey.instance(deltas.getFirst().key())), new Deltas(deltas));
    }
  }

  private TokenizeQuery.Reply tokenize(TokenizeQuery query) {
    int[] ids = encoder.encode(query.prompt());
    List<String> strings = new ArrayList<>();
    if (query.tokenStrings()) {
      for (int id : ids) {
        strings.add(encoder.tokenizer().spelling(id));
      }
    }
    return new TokenizeQuery.Reply(ids, strings);
  }

  private DetokenizeQuery.Reply detokenize(DetokenizeQuery query) {
    return new DetokenizeQuery.Reply(encoder.tokenizer().decode(query.ids(), false));
  }

  /** The answer, or why there is none. */
  private static Object answer(Supplier<Object> work) {
    try {
      return work.get();
    } catch (RuntimeException | Error failed) { // whatever it is: somebody waits for the reply
      return refused(failed);
    }
  }

  private static Refused refused(Throwable failed) {
    if (!(failed instanceof RejectedException)) {
      LOG.warn("A prompt could not be encoded", new TraceOnly(failed));
    }
    return Refused.of(failed);
  }
}
