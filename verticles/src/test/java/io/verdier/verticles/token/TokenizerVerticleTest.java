package io.verdier.verticles.token;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.verdier.cache.lora.AdapterSource;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.grammar.Budget;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.GrammarCompiler;
import io.verdier.engine.grammar.Guide;
import io.verdier.engine.grammar.Thinking;
import io.verdier.engine.grammar.TokenTrie;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.text.ChatTemplate;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.Tokenizer;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import io.verdier.engine.text.template.RenderLimits;
import io.verdier.verticles.bus.AdapterQuery;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.CompileQuery;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Deltas;
import io.verdier.verticles.bus.Demand;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.Tokenized;
import io.verdier.verticles.bus.Truncation;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.ThreadingModel;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.Message;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TokenizerVerticleTest {
  private static final int REQUESTS = 50;
  private static final Demand DEMAND =
      new Demand(new Constraint.Regex("a+"), "structured_outputs.regex");
  private static final Guide GUIDE =
      new Guide(
          GrammarCompiler.compile(DEMAND.constraint(), Budget.defaults()),
          TokenTrie.of(1, id -> new byte[] {'a'}));

  private static final AdapterSource ADAPTER = AdapterSource.ofClient("gs://bucket/a");
  @TempDir static Path natives;

  private final BlockingQueue<Object> scheduler = new LinkedBlockingQueue<>();
  private final BlockingQueue<Delta> told = new LinkedBlockingQueue<>();
  private final BlockingQueue<Message<Object>> compiling = new LinkedBlockingQueue<>();
  private final BlockingQueue<Message<Object>> adapters = new LinkedBlockingQueue<>();
  private Tokenizer tokenizer;
  private Vertx vertx;
  private Bus bus;

  @BeforeEach
  void deploy() throws Exception {
    vertx = Vertx.vertx();
    bus = Bus.register(vertx);
    join(bus.consumeAny(Addresses.scheduler(0), message -> scheduler.add(message.body())));
    join(bus.consume(Addresses.http(0), Deltas.class, deltas -> told.addAll(deltas.deltas())));
    join(bus.consumeAny(Addresses.grammar(0), compiling::add));
    join(bus.consumeAny(Addresses.adapters(0), adapters::add));
    deploy(1, Clock.systemUTC());
  }

  private void deploy(int instance, Clock clock) throws Exception {
    tokenizer = Tokenizer.load(Path.of("../engine/src/main/resources/demo-model"), natives);
    ChatRenderer renderer =
        new ChatRenderer(
            ChatTemplate.of("{{ messages }}", Map.of()),
            Map.of(),
            new RenderLimits(1000, 1000),
            clock);
    DeploymentOptions worker =
        new DeploymentOptions().setThreadingModel(ThreadingModel.WORKER).setWorkerPoolSize(1);
    PromptEncoder encoder = new PromptEncoder(tokenizer, renderer, 2048, Integer.MAX_VALUE, 64);
    join(vertx.deployVerticle(new TokenizerVerticle(instance, 0, encoder), worker));
  }

  @AfterEach
  void close() {
    join(vertx.close());
  }

  @Test
  void cancel_ofARequestThatIsScheduled_isPassedOn() throws Exception {
    bus.send(Addresses.tokenizer(1), submit(null, 1));
    assertThat(tokenized().requests().getFirst().key()).isEqualTo(1);
    bus.send(Addresses.tokenizer(1), new Cancel(new long[] {1}, FinishReason.ABORT, false));
    assertThat(((Cancel) take(scheduler)).keys()).containsExactly(1);
    assertThat(told).isEmpty();
  }

  /** Clients that come and leave at once must not keep the tokenizer busy for nobody. */
  @Test
  void cancel_whileOthersAreEncoded_isInsteadOfEncoding() throws Exception {
    HeldClock clock = new HeldClock();
    deploy(2, clock);
    bus.send(Addresses.tokenizer(2), dated(0));
    assertThat(clock.asked.tryAcquire(5, TimeUnit.SECONDS)).isTrue();
    for (int key = 1; key <= REQUESTS; key++) {
      bus.send(Addresses.tokenizer(2), dated(key, 100 + key));
      bus.send(
          Addresses.tokenizer(2),
          new Cancel(new long[] {key, 100 + key}, FinishReason.ABORT, false));
    }
    bus.send(Addresses.tokenizer(2), dated(98, 99));
    bus.send(Addresses.tokenizer(2), new Cancel(new long[] {98}, FinishReason.ABORT, false));
    clock.go.release(Integer.MAX_VALUE / 2);
    assertThat(tokenized().requests().getFirst().key()).isEqualTo(0);
    List<EngineRequest> requests = tokenized().requests();
    assertThat(requests).extracting(EngineRequest::key).containsExactly(99L);
    assertThat(told).hasSize(2 * REQUESTS + 1);
    assertThat(told)
        .extracting(delta -> Objects.requireNonNull(delta.end()).reason())
        .containsOnly(FinishReason.ABORT);
    assertThat(scheduler).isEmpty();
    assertThat(clock.asked.availablePermits()).as("prompts encoded since").isEqualTo(1);
  }

  /** An adapter is asked for in the name of those alone that will give it back. */
  @Test
  void submit_withAdapterPartlyCancelledInTheQueue_asksForTheRest() throws Exception {
    HeldClock clock = new HeldClock();
    deploy(2, clock);
    bus.send(Addresses.tokenizer(2), dated(0));
    assertThat(clock.asked.tryAcquire(5, TimeUnit.SECONDS)).isTrue();
    bus.send(Addresses.tokenizer(2), adapted(null, 1, 2));
    bus.send(Addresses.tokenizer(2), new Cancel(new long[] {1}, FinishReason.ABORT, false));
    clock.go.release(Integer.MAX_VALUE / 2);
    assertThat(((AdapterQuery) take(adapters).body()).keys()).containsExactly(2);
  }

  /** Says the date only where it is let. */
  private static final class HeldClock extends Clock {
    final Semaphore asked = new Semaphore(0);
    final Semaphore go = new Semaphore(0);

    @Override
    public ZoneId getZone() {
      return ZoneOffset.UTC;
    }

    @Override
    public Clock withZone(ZoneId zone) {
      return this;
    }

    @Override
    public Instant instant() {
      asked.release();
      go.acquireUninterruptibly();
      return Instant.EPOCH;
    }
  }

  /** Whose prompt has the date in it. */
  private static Submit dated(long... keys) {
    Prompt.Chat chat =
        new Prompt.Chat(
            List.of(Map.of("role", "user", "content", "Hi")),
            null,
            Map.of(),
            true,
            false,
            true,
            "{{ strftime_now('%Y') }}");
    Submit base = submit(null, keys);
    return base.with(chat, base.sampling());
  }

  @Test
  void submit_constrained_waitsForItsConstraintAndNobodyForIt() throws Exception {
    bus.send(Addresses.tokenizer(1), submit(DEMAND, 1, 2));
    bus.send(Addresses.tokenizer(1), submit(null, 3));
    assertThat(tokenized().requests().getFirst().key()).isEqualTo(3);
    Message<Object> query = take(compiling);
    assertThat(query.body()).isEqualTo(new CompileQuery(DEMAND.constraint()));
    query.reply(new CompileQuery.Reply(GUIDE));
    List<EngineRequest> requests = tokenized().requests();
    assertThat(requests).extracting(EngineRequest::key).containsExactly(1L, 2L);
    assertThat(requests).extracting(EngineRequest::guide).containsOnly(GUIDE);
  }

  /** The demo model's vocabulary has no tokens for the marks. */
  @Test
  void submit_constrainedAndThinking_saysWhereItBegins() throws Exception {
    Demand first = DEMAND.behind(Optional.of(ReasoningFormat.DEEPSEEK_R1));
    bus.send(Addresses.tokenizer(1), submit(first, 1));
    take(compiling).reply(new CompileQuery.Reply(GUIDE));
    Thinking thinking = guide(tokenized()).thinking();
    assertThat(thinking.isOpen()).isTrue();
    assertThat(thinking.openings()).isEmpty();
    assertThat(thinking.endings()).isEmpty();
    assertThat(thinking.endingTexts()).containsExactly("</think>");
    bus.send(Addresses.tokenizer(1), submit(DEMAND.behind(Optional.of(ReasoningFormat.QWEN3)), 2));
    take(compiling).reply(new CompileQuery.Reply(GUIDE));
    assertThat(guide(tokenized()).thinking().isOpen()).isFalse();
  }

  /** Where an answer's constraint begins is said by its prompt, however much of it is there. */
  @ParameterizedTest
  @CsvSource({
    "QWEN3, Hi<think>, 'first, let me', true", // among thoughts that the template opened
    "GRANITE, Hi Here's my thought process:, 'first, let me', true",
    "MISTRAL, Hi[THINK], 'first, let me', true",
    "DEEPSEEK_R1, Hi<think></think>, 'aaaa', false", // in what the template let begin at once
    "DEEPSEEK_R1, Hi, 'well</think>', true", // just behind the thoughts
    "QWEN3, Hi, '<think>', false", // just behind an opening of the model's own
  })
  void submit_movedAnswerThatMayThink_beginsWhereItDidAtFirst(
      ReasoningFormat format, String prompt, String said, boolean isOpen) throws Exception {
    Submit fresh = submit(DEMAND.behind(Optional.of(format)), 1);
    int[] promptIds = tokenizer.encode(prompt, false);
    int[] before = tokenizer.encode(said, false);
    bus.send(
        Addresses.tokenizer(1),
        fresh
            .with(fresh.prompt(), SamplingParams.greedy(64))
            .resumed(0, new Prompt.Tokens(promptIds), before));
    take(compiling).reply(new CompileQuery.Reply(GUIDE));
    Tokenized moved = tokenized();
    EngineRequest request = moved.requests().getFirst();
    assertThat(request.promptTokens()).isEqualTo(promptIds.length);
    assertThat(request.tokens()).hasSize(promptIds.length + before.length).endsWith(before);
    assertThat(guide(moved).thinking().isOpen()).isEqualTo(isOpen);
    boolean mayThink = !prompt.endsWith("</think>");
    assertThat(guide(moved).thinking().endingTexts())
        .isEqualTo(mayThink ? format.endings() : List.of());
  }

  private static Guide guide(Tokenized tokenized) {
    return Objects.requireNonNull(tokenized.requests().getFirst().guide());
  }

  @Test
  void submit_constraintIsRefused_isToldWithItsField() throws Exception {
    bus.send(Addresses.tokenizer(1), submit(DEMAND, 1, 2));
    take(compiling).reply(new Refused(ErrorCode.INVALID_ARGUMENT, "No.", null));
    for (long key = 1; key <= 2; key++) {
      Delta delta = take(told);
      assertThat(delta.key()).isEqualTo(key);
      assertThat(refusal(delta))
          .isEqualTo(new Refused(ErrorCode.INVALID_ARGUMENT, "No.", "structured_outputs.regex"));
    }
    assertNothingElse();
  }

  /** What HTTP does when a client leaves early: some of the sequences end, and they end here. */
  @Test
  void cancel_whileTheConstraintIsCompiled_isInsteadOfTheRequest() throws Exception {
    bus.send(Addresses.tokenizer(1), submit(DEMAND, 1, 2, 3));
    Message<Object> query = take(compiling);
    bus.send(Addresses.tokenizer(1), new Cancel(new long[] {1, 9}, FinishReason.ABORT, false));
    bus.send(Addresses.tokenizer(1), new Cancel(new long[] {2}, FinishReason.ABORT, true));
    Delta end = take(told);
    assertThat(end.key()).isEqualTo(1);
    assertThat(Objects.requireNonNull(end.end()).reason()).isEqualTo(FinishReason.ABORT);
    assertThat(((Cancel) take(scheduler)).keys()).containsExactly(9);
    query.reply(new CompileQuery.Reply(GUIDE));
    assertThat(tokenized().requests()).extracting(EngineRequest::key).containsExactly(3L);
    bus.send(Addresses.tokenizer(1), new Cancel(new long[] {3}, FinishReason.ABORT, false));
    assertThat(((Cancel) take(scheduler)).keys()).containsExactly(3);
    assertNothingElse();
  }

  private static Submit moved(boolean isStreaming, long key) {
    Submit base = submit(DEMAND, key);
    return new Submit(
        base.keys(),
        base.prompt(),
        base.sampling(),
        List.of(),
        Truncation.NONE,
        new TextParams(List.of(), false, true, isStreaming),
        0,
        "",
        null,
        DEMAND,
        OptionalDouble.empty(),
        new int[] {300, 301},
        "");
  }

  /** It is told whole, and what it has of text comes of its turn alone. */
  @Test
  void cancel_movedAnswerThatIsToldWhole_endsWhenItMayBegin() throws Exception {
    Cancel cancel = new Cancel(new long[] {1}, FinishReason.ABORT, false);
    bus.send(Addresses.tokenizer(1), moved(false, 1));
    Message<Object> query = take(compiling);
    bus.send(Addresses.tokenizer(1), cancel);
    bus.send(Addresses.tokenizer(1), cancel);
    query.reply(new CompileQuery.Reply(GUIDE));
    assertThat(tokenized().requests()).extracting(EngineRequest::key).containsExactly(1L);
    assertThat(((Cancel) take(scheduler)).keys()).containsExactly(1);
    assertNothingElse();

    bus.send(Addresses.tokenizer(1), moved(false, 1));
    query = take(compiling);
    bus.send(Addresses.tokenizer(1), cancel);
    query.reply(new Refused(ErrorCode.OVERLOADED, "Busy.", null));
    assertThat(Objects.requireNonNull(take(told).end()).reason()).isEqualTo(FinishReason.ABORT);

    bus.send(Addresses.tokenizer(1), moved(true, 1));
    query = take(compiling);
    bus.send(Addresses.tokenizer(1), cancel);
    assertThat(Objects.requireNonNull(take(told).end()).reason())
        .as("its client has its text")
        .isEqualTo(FinishReason.ABORT);
    query.reply(new CompileQuery.Reply(GUIDE));
    assertNothingElse();
  }

  @Test
  void submit_withAdapter_waitsForItAndItsConstraint() throws Exception {
    bus.send(Addresses.tokenizer(1), adapted(null, 1, 2));
    bus.send(Addresses.tokenizer(1), adapted(DEMAND, 3));
    bus.send(Addresses.tokenizer(1), submit(null, 4));
    assertThat(tokenized().requests().getFirst().adapter()).isEmpty();
    Message<Object> first = take(adapters);
    AdapterQuery query = (AdapterQuery) first.body();
    assertThat(query.keys()).containsExactly(1, 2);
    assertThat(query.source()).isEqualTo(ADAPTER);
    take(adapters).reply(new AdapterQuery.Reply("hash"));
    first.reply(new AdapterQuery.Reply("hash"));
    assertThat(tokenized().requests())
        .extracting(EngineRequest::key, EngineRequest::adapter)
        .containsExactly(tuple(1L, "hash"), tuple(2L, "hash"));
    take(compiling).reply(new CompileQuery.Reply(GUIDE));
    EngineRequest both = tokenized().requests().getFirst();
    assertThat(both.adapter()).isEqualTo("hash");
    assertThat(both.guide()).isEqualTo(GUIDE);
  }

  @Test
  void submit_adapterIsRefused_isToldWithItsField() throws Exception {
    bus.send(Addresses.tokenizer(1), adapted(DEMAND, 1));
    take(adapters).reply(new Refused(ErrorCode.UNAVAILABLE, "No.", null));
    assertThat(refusal(take(told)))
        .isEqualTo(new Refused(ErrorCode.UNAVAILABLE, "No.", "dynamic-lora"));
    take(compiling).reply(new CompileQuery.Reply(GUIDE));
    bus.send(Addresses.tokenizer(1), adapted(null, 2));
    Message<Object> query = take(adapters);
    bus.send(Addresses.tokenizer(1), new Cancel(new long[] {2}, FinishReason.ABORT, false));
    assertThat(Objects.requireNonNull(take(told).end()).reason()).isEqualTo(FinishReason.ABORT);
    query.reply(new AdapterQuery.Reply("hash"));
    assertNothingElse();
  }

  private static Submit adapted(@Nullable Demand demand, long... keys) {
    Submit base = submit(demand, keys);
    return new Submit(
        keys,
        base.prompt(),
        base.sampling(),
        base.badWords(),
        Truncation.NONE,
        base.text(),
        0,
        "",
        ADAPTER,
        demand,
        OptionalDouble.empty());
  }

  /** Readers of the text see some special tokens: where one is spelled, it may stand. */
  @Test
  void submit_callsBetweenMarks_isHeldWithThoseThatAreSpecialTokens() throws Exception {
    Constraint.StructuralTag tag = new Constraint.StructuralTag("{}", Constraint.JsonStyle.USUAL);
    Submit base = submit(new Demand(tag, "tools", true, Optional.empty()), 1);
    TextParams text = base.text().withVisibleTokens(Set.of("<|python_tag|>", "<tool_call>"));
    bus.send(
        Addresses.tokenizer(1),
        new Submit(
            base.keys(),
            base.prompt(),
            base.sampling(),
            List.of(),
            Truncation.NONE,
            text,
            0,
            "",
            null,
            base.demand(),
            OptionalDouble.empty()));
    Message<Object> query = take(compiling);
    assertThat(query.body())
        .isEqualTo(
            new CompileQuery( // the other is spelled by letters in this vocabulary
                new Constraint.StructuralTag(tag.tag(), tag.style(), List.of("<|python_tag|>"))));
    query.reply(new CompileQuery.Reply(GUIDE));
    assertThat(tokenized().requests().getFirst().guide()).isEqualTo(GUIDE);
  }

  @Test
  void submit_promptCannotBe_isRefusedWithoutItsConstraint() throws Exception {
    Submit submit = submit(DEMAND, 1);
    bus.send(
        Addresses.tokenizer(1),
        new Submit(
            submit.keys(),
            new Prompt.Tokens(new int[0]),
            submit.sampling(),
            List.of(),
            Truncation.NONE,
            submit.text(),
            0,
            "",
            null,
            DEMAND,
            OptionalDouble.empty()));
    assertThat(refusal(take(told)).parameter()).isEqualTo("prompt");
    take(compiling).reply(new CompileQuery.Reply(GUIDE));
    assertNothingElse();
  }

  private Tokenized tokenized() throws Exception {
    return (Tokenized) take(scheduler);
  }

  /** Behind one more request, which everything else would come before. */
  private void assertNothingElse() throws Exception {
    bus.send(Addresses.tokenizer(1), submit(null, 99));
    assertThat(tokenized().requests().getFirst().key()).isEqualTo(99);
    assertThat(told).isEmpty();
  }

  private static <T> T take(BlockingQueue<T> queue) throws Exception {
    T next = queue.poll(5, TimeUnit.SECONDS);
    assertThat(next).isNotNull();
    return next;
  }

  private static Submit submit(@Nullable Demand demand, long... keys) {
    return new Submit(
        keys,
        new Prompt.Text("Hello there", true),
        SamplingParams.greedy(8),
        List.of(),
        Truncation.NONE,
        new TextParams(List.of(), false, true, true),
        0,
        "",
        null,
        demand,
        OptionalDouble.empty());
  }

  private static void join(Future<?> future) {
    assertThat(future.toCompletionStage().toCompletableFuture())
        .succeedsWithin(10, TimeUnit.SECONDS);
  }

  private static Refused refusal(Delta delta) {
    return Objects.requireNonNull(Objects.requireNonNull(delta.end()).refusal());
  }
}
