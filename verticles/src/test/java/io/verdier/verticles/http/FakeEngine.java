package io.verdier.verticles.http;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Deltas;
import io.verdier.verticles.bus.DetokenizeQuery;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.SequenceKey;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.TokenizeQuery;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.DeliveryOptions;
import io.vertx.core.eventbus.Message;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Thread-safe: stands for everything behind the ingress. Answers each submission with a fixed
 * script, or keeps it until the test speaks.
 */
final class FakeEngine {
  static final int[] PROMPT = {1, 2, 3};
  static final int TOKENIZERS = 3;

  final BlockingQueue<Submit> submitted = new LinkedBlockingQueue<>();
  final BlockingQueue<Cancel> cancelled = new LinkedBlockingQueue<>();

  /** What waits in the tokenizers' queues while they are stalled. */
  final BlockingQueue<Object> tokenizing = new LinkedBlockingQueue<>();

  private final Set<Long> live = ConcurrentHashMap.newKeySet();
  private final Bus bus;
  private volatile boolean stalled;
  private volatile boolean deaf;
  private volatile String promptTail = "";
  private volatile Consumer<Submit> behaviour = submit -> say(submit, "Hello", " world");

  FakeEngine(Vertx vertx) {
    bus = new Bus(vertx);
    for (int tokenizer = 0; tokenizer < TOKENIZERS; tokenizer++) {
      await(bus.consumeAny(Addresses.tokenizer(tokenizer), this::onMessage));
    }
    await(bus.consume(Addresses.scheduler(0), Cancel.class, this::onCancel));
  }

  /** Ends what it knows, forgets what it does not. */
  private void onCancel(Cancel cancel) {
    cancelled.add(cancel);
    abortLive(cancel);
  }

  private void abortLive(Cancel cancel) {
    for (long key : cancel.keys()) {
      if (!deaf && live.remove(key)) {
        abort(key);
      }
    }
  }

  /** The end that a cancellation brings. */
  void abort(long key) {
    send(new Delta(key, null, "", new int[0], List.of(), List.of(), end(FinishReason.ABORT, 0)));
  }

  /** From now on cancellations are noted only. */
  void ignoreCancels() {
    deaf = true;
  }

  /** From now on tokenizing takes until {@link #tokenize}. */
  void stallTokenizers() {
    stalled = true;
  }

  /** The tokenizers do what they were asked for, in order. */
  void tokenize() {
    stalled = false;
    List<Object> queued = new ArrayList<>();
    tokenizing.drainTo(queued);
    for (Object message : queued) {
      switch (message) {
        case Submit submit -> onSubmit(submit);
        case Cancel cancel -> abortLive(cancel);
        default -> throw new IllegalStateException("unexpected " + message);
      }
    }
  }

  private void onSubmit(Submit submit) {
    for (long key : submit.keys()) {
      live.add(key);
    }
    submitted.add(submit);
    behaviour.accept(submit);
  }

  private static void await(io.vertx.core.Future<?> future) {
    future.toCompletionStage().toCompletableFuture().join();
  }

  /** Prompts end so from now on. */
  void endPromptsWith(String text) {
    promptTail = text;
  }

  /** What to do with each submission from now on. */
  void behave(Consumer<Submit> newBehaviour) {
    behaviour = newBehaviour;
  }

  /** Submissions are kept. */
  void hold() {
    behaviour = submit -> {};
  }

  Submit awaitSubmit() throws InterruptedException {
    Submit submit = submitted.poll(5, TimeUnit.SECONDS);
    if (submit == null) {
      throw new AssertionError("nothing was submitted");
    }
    return submit;
  }

  Cancel awaitCancel() throws InterruptedException {
    Cancel cancel = cancelled.poll(5, TimeUnit.SECONDS);
    if (cancel == null) {
      throw new AssertionError("nothing was cancelled");
    }
    return cancel;
  }

  private void onMessage(Message<Object> message) {
    DeliveryOptions local = new DeliveryOptions().setLocalOnly(true);
    switch (message.body()) {
      case Submit submit when stalled -> tokenizing.add(submit);
      case Cancel cancel when stalled -> tokenizing.add(cancel);
      case Submit submit -> onSubmit(submit);
      case Cancel cancel -> abortLive(cancel);
      case TokenizeQuery query ->
          message.reply(
              new TokenizeQuery.Reply(
                  PROMPT, query.tokenStrings() ? List.of("a", "b", "c") : List.of()),
              local);
      case DetokenizeQuery query when query.ids().length == 0 ->
          message.reply(new Refused(ErrorCode.INVALID_ARGUMENT, "no tokens", "tokens"), local);
      case DetokenizeQuery query ->
          message.reply(new DetokenizeQuery.Reply("text of " + query.ids().length), local);
      default -> throw new IllegalStateException("unexpected " + message.body());
    }
  }

  /** Answers every choice with these texts, one token each, and a stop. */
  void say(Submit submit, String... texts) {
    for (int i = 0; i < texts.length; i++) {
      List<Delta> deltas = new ArrayList<>();
      for (long key : submit.keys()) {
        boolean last = i == texts.length - 1;
        Delta.End end = last ? end(FinishReason.STOP, texts.length) : null;
        deltas.add(withTail(delta(submit, key, i, texts[i], end)));
      }
      send(deltas);
    }
  }

  private Delta withTail(Delta delta) {
    Delta.Start start = delta.start();
    return start == null
        ? delta
        : new Delta(
            delta.key(),
            new Delta.Start(start.promptTokens(), promptTail, start.promptHead()),
            delta.text(),
            delta.tokens(),
            delta.scores(),
            delta.promptScores(),
            delta.end());
  }

  static Delta.End end(FinishReason reason, int tokens) {
    return new Delta.End(reason, null, -1, 2, tokens, null);
  }

  static Delta delta(Submit submit, long key, int index, String text, Delta.@Nullable End end) {
    int[] tokens = {10 + index};
    List<Delta.Scores> scores =
        submit.sampling().logprobs() < 0
            ? List.of()
            : List.of(scores(10 + index, text, submit.sampling().logprobs()));
    List<Delta.Scores> prompt =
        submit.sampling().promptLogprobs() < 0 || index > 0
            ? List.of()
            : List.of(scores(2, "b", 0), scores(3, "c", 1));
    Delta.Start start = index == 0 ? new Delta.Start(PROMPT, "", "a") : null;
    return new Delta(key, start, text, tokens, scores, prompt, end);
  }

  static Delta.Scores scores(int id, String text, int top) {
    List<Delta.Score> best = new ArrayList<>();
    for (int i = 0; i < top; i++) {
      best.add(
          i == 0
              ? score(id, text, -0.5f, 1)
              : score(90 + i, "alt" + i, Float.NEGATIVE_INFINITY, i + 1));
    }
    return new Delta.Scores(score(id, text, -0.5f, 1), best);
  }

  private static Delta.Score score(int id, String text, float logprob, int rank) {
    return new Delta.Score(id, text, text.getBytes(StandardCharsets.UTF_8), logprob, rank);
  }

  /** A delta in the middle of a sequence. */
  static Delta text(long key, String text) {
    return new Delta(key, null, text, new int[] {7}, List.of(), List.of(), null);
  }

  void send(List<Delta> deltas) {
    deltas.stream().filter(delta -> delta.end() != null).forEach(delta -> live.remove(delta.key()));
    bus.send(Addresses.http(SequenceKey.instance(deltas.getFirst().key())), new Deltas(deltas));
  }

  void send(Delta delta) {
    send(List.of(delta));
  }
}
