package io.verdier.verticles.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.conf.ClusterConfig.Role;
import io.verdier.conf.ClusterConfig.Routing;
import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.text.TextParams;
import io.verdier.verticles.balance.EnginePool;
import io.verdier.verticles.balance.Prefixes;
import io.verdier.verticles.bus.CacheRoom;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.Truncation;
import io.verdier.verticles.cluster.Announcement.Load;
import io.verdier.verticles.cluster.Announcement.Phase;
import io.verdier.verticles.cluster.Router.Leaving;
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
  private final Router router = new Router(view, this::tell, delta -> {});

  private void tell(String node, Frame frame) {
    if (frame instanceof Frame.Work work) {
      gate(node).onWork("ingress", work);
    }
  }

  private EngineGate gate(String node) {
    return gates.computeIfAbsent(
        node,
        any -> {
          EnginePool pool = EnginePool.of(new EngineAddresses(0, List.of("s"), List.of("t"), "a"));
          EngineGate gate = new EngineGate(1, 64, pool, (to, frame) -> {}, (to, message) -> {});
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
}
