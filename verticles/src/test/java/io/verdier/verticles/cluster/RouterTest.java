package io.verdier.verticles.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.conf.ClusterConfig.Role;
import io.verdier.conf.ClusterConfig.Routing;
import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.text.TextParams;
import io.verdier.verticles.balance.EnginePool;
import io.verdier.verticles.balance.Prefixes;
import io.verdier.verticles.bus.CacheRoom;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.Truncation;
import io.verdier.verticles.cluster.Announcement.Load;
import io.verdier.verticles.cluster.Announcement.Phase;
import io.verdier.verticles.cluster.Router.Leaving;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** What becomes of streams that move, beyond their tokens. Costs some milliseconds. */
class RouterTest {
  private static final String CONVERSATION = "You are a helpful assistant. ".repeat(40);

  private final ClusterView view = new ClusterView(Routing.PREFIX, 4000, 60_000);
  private final Map<String, EngineGate> gates = new HashMap<>();
  private final List<Delta> delivered = new ArrayList<>();
  private final List<Frame> told = new ArrayList<>(); // to engines, since the test cleared it
  private final Router router = new Router(view, this::tell, delivered::add);

  private void tell(String node, Frame frame) {
    told.add(frame);
    switch (frame) {
      case Frame.Work work -> gate(node).onWork("ingress", work);
      case Frame.Stop stop -> gate(node).onStop("ingress", stop);
      default -> throw new IllegalStateException("unexpected " + frame);
    }
  }

  private void answer(String node, Frame frame) {
    if (frame instanceof Frame.News news) {
      router.onNews(node, news.items());
    }
  }

  private EngineGate gate(String node) {
    return gates.computeIfAbsent(
        node,
        any -> {
          EnginePool pool = EnginePool.of(new EngineAddresses(0, List.of("s"), List.of("t"), "a"));
          EngineGate gate =
              new EngineGate(1, 64, pool, (to, frame) -> answer(node, frame), (to, message) -> {});
          gate.accept(true);
          return gate;
        });
  }

  /** An engine says how it is, and what it has read. */
  private void announce(String node) {
    ModelCard card =
        new ModelCard(
            List.of("m"),
            List.of(),
            "",
            1,
            1,
            0,
            Map.of(),
            Optional.empty(),
            new Parsing(false, Optional.empty(), Optional.empty(), "", false),
            "",
            List.of());
    view.onAnnouncement(
        node,
        new Announcement(
            node,
            "b",
            "h",
            "1",
            Set.of(Role.ENGINE),
            Phase.SERVING,
            Optional.of(card),
            new Load(0, gate(node).liveCount(), 0, 0, 0, 1, 0),
            Announcement.Tally.NONE,
            PrefixSummary.of(gate(node).prefixes().all()),
            CacheRoom.NONE));
  }

  private static Submit submit(long[] keys, String text) {
    return new Submit(
        keys,
        new Prompt.Chat(
            List.of(Map.of("role", "user", "content", text)),
            null,
            Map.of(),
            true,
            false,
            false,
            null),
        SamplingParams.greedy(64),
        List.of(),
        Truncation.NONE,
        new TextParams(List.of(), false, true, true),
        0,
        "",
        null,
        null,
        OptionalDouble.empty());
  }

  /** The engine that a stream moved to gets it in tokens, and the next turn comes in words. */
  @Test
  void conversation_whoseStreamMoved_goesOnWhereItIsNow() {
    announce("a");
    announce("b");
    router.onSubmit(submit(new long[] {7}, CONVERSATION));
    String first = gate("a").liveCount() > 0 ? "a" : "b";
    String second = first.equals("a") ? "b" : "a";
    Delta.Start start = new Delta.Start(new int[] {1, 2, 3}, "", "");
    Delta news = new Delta(7, start, "ab", new int[] {4, 5}, List.of(), List.of(), null);
    router.onNews(first, List.of(new Frame.Item(1, 0, news)));
    view.remove(first);
    router.leave(first, Leaving.DEATH);
    assertThat(gate(second).liveCount()).isEqualTo(1);

    gates.remove(first); // it comes back and knows nothing
    for (int round = 0; round < 3; round++) {
      announce("a");
      announce("b");
    }
    Submit next = submit(new long[] {8}, CONVERSATION + "And then?");
    ClusterView.Node there = Objects.requireNonNull(view.node(second));
    assertThat(there.known(Prefixes.of(next))).isGreaterThan(5);
    router.onSubmit(next);
    assertThat(gate(second).liveCount()).as("although it has more to do").isEqualTo(2);
  }

  /** Of four continuations one lost a message: one more sequence is there, not four. */
  @Test
  void choice_thatMovesAlone_isCountedAlone() {
    announce("a");
    announce("b");
    router.onSubmit(submit(new long[] {1, 2, 3, 4}, "Hi"));
    String first = gate("a").liveCount() > 0 ? "a" : "b";
    String second = first.equals("a") ? "b" : "a";
    Delta late = new Delta(3, null, "x", new int[] {9}, List.of(), List.of(), null);
    router.onNews(first, List.of(new Frame.Item(1, 5, late)));
    assertThat(gate(second).liveCount()).isEqualTo(1);
    assertThat(Objects.requireNonNull(view.node(second)).load()).isEqualTo(1);
    assertThat(Objects.requireNonNull(view.node(first)).load()).isEqualTo(3);
  }

  private static Frame.Item item(int attempt, int offset, String text, int... tokens) {
    Delta.Start start = offset == 0 ? new Delta.Start(new int[] {1, 2, 3}, "", "") : null;
    return new Frame.Item(
        attempt, offset, new Delta(7, start, text, tokens, List.of(), List.of(), null));
  }

  private static Delta.End endOf(Delta delta) {
    return Objects.requireNonNull(delta.end());
  }

  /** Begins a stream of one engine alone, which has told two tokens. */
  private void begin(String engine) {
    announce(engine);
    router.onSubmit(submit(new long[] {7}, "Hi"));
    router.onNews(engine, List.of(item(1, 0, "ab", 4, 5)));
    delivered.clear();
    told.clear();
  }

  private void cancel() {
    router.onCancel(new Cancel(new long[] {7}, FinishReason.ABORT, false));
  }

  /** Else the stream, and its place, would be there for ever. */
  @Test
  void cancel_engineKnowsNothingOfTheStream_endsItAllTheSame() {
    announce("a");
    router.onSubmit(submit(new long[] {7}, "Hi"));
    gate("a").drop("ingress");
    cancel();
    assertThat(router.liveCount()).isZero();
    assertThat(delivered).hasSize(1);
    assertThat(endOf(delivered.getFirst()).reason()).isEqualTo(FinishReason.ABORT);
  }

  /** A client that does not stream has no text yet, and an engine alone can make it. */
  @Test
  void cancel_beforeTheStreamMoves_goesWithItAndNothingIsLost() {
    begin("a");
    announce("b");
    cancel();
    assertThat(delivered).isEmpty();
    told.clear();
    view.remove("a");
    router.leave("a", Leaving.DEATH);
    assertThat(told).hasSize(3);
    assertThat(((Frame.Work) told.get(1)).submit().generated()).containsExactly(4, 5);
    Frame.Stop stop = (Frame.Stop) told.get(2);
    assertThat(stop.why()).isEqualTo(Frame.Stop.Why.ABORTED);
    assertThat(stop.attempts()).containsExactly(2);
    Delta end = // of a tokenizer, where it waits for its grammar or adapter
        new Delta(
            7,
            null,
            "",
            new int[0],
            List.of(),
            List.of(),
            new Delta.End(FinishReason.ABORT, null, -1, 0, 0, null));
    router.onNews("b", List.of(new Frame.Item(2, 2, end)));
    assertThat(endOf(delivered.getFirst()).generatedTokens()).isEqualTo(2);
    assertThat(router.liveCount()).isZero();
  }

  @Test
  void cancel_noEngineIsLeft_endsAtOnce() {
    begin("a");
    cancel();
    view.remove("a");
    router.leave("a", Leaving.DEATH);
    assertThat(endOf(delivered.getFirst()).generatedTokens()).isEqualTo(2);
    assertThat(router.liveCount()).isZero();
  }

  private static Frame.Item refusal(int attempt, int offset, ErrorCode code) {
    return new Frame.Item(attempt, offset, Delta.refused(7, code, "Busy.", null));
  }

  /** As where its grammar's compiler has too much to do. */
  @Test
  void engineOfAResumedStream_isTooBusy_anotherGoesOn() {
    begin("a");
    announce("b");
    announce("c");
    view.remove("a");
    router.leave("a", Leaving.DEATH);
    String first = gate("b").liveCount() > 0 ? "b" : "c";
    String second = first.equals("b") ? "c" : "b";
    router.onNews(first, List.of(refusal(2, 2, ErrorCode.OVERLOADED)));
    assertThat(delivered).isEmpty();
    assertThat(gate(second).liveCount()).isEqualTo(1);
    router.onNews(second, List.of(item(3, 2, "c", 6)));
    assertThat(delivered).extracting(Delta::text).containsExactly("c");
    router.onNews(second, List.of(refusal(3, 3, ErrorCode.UNAVAILABLE)));
    assertThat(endOf(delivered.getLast()).refusal())
        .as("behind what it said itself it is the end")
        .isNotNull();
  }

  @Test
  void engineOfAResumedStream_refusesForGood_isBelieved() {
    begin("a");
    announce("b");
    view.remove("a");
    router.leave("a", Leaving.DEATH);
    router.onNews("b", List.of(refusal(2, 2, ErrorCode.INVALID_ARGUMENT)));
    assertThat(endOf(delivered.getFirst()).reason()).isEqualTo(FinishReason.ERROR);
  }

  @Test
  void work_tooLargeToBeSent_isRefused() {
    announce("a");
    router.onSubmit(submit(new long[] {7}, "Hi"));
    Frame.News answer = (Frame.News) TooLarge.answer(told.getFirst()).orElseThrow();
    router.onNews("a", answer.items());
    assertThat(endOf(delivered.getFirst()).refusal()).isEqualTo(TooLarge.WHY);
    assertThat(router.liveCount()).isZero();
  }

  /** However many tries there are in between: the client is not to wait for ever. */
  @Test
  void engineOfAResumedStream_staysTooBusy_isWaitedForAndGivenUp() {
    begin("a");
    announce("b");
    view.remove("a");
    router.leave("a", Leaving.DEATH);
    int attempt = 2;
    long millis = 0;
    while (router.liveCount() > 0) {
      assertThat(millis).isLessThanOrEqualTo(Router.PARKED_MILLIS + 2_000);
      router.onNews("b", List.of(refusal(attempt++, 2, ErrorCode.OVERLOADED)));
      router.tick(1_000); // without an engine; with this it has one again
      router.tick(1_000); // which takes so long
      millis += 2_000;
    }
    assertThat(millis).isGreaterThan(Router.PARKED_MILLIS - 2_000);
    Refused why = Objects.requireNonNull(endOf(delivered.getLast()).refusal());
    assertThat(why.code()).isEqualTo(ErrorCode.UNAVAILABLE);
  }
}
