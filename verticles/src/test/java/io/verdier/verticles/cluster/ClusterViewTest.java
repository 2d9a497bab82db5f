package io.verdier.verticles.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.cache.lora.AdapterSource;
import io.verdier.conf.ClusterConfig.Role;
import io.verdier.conf.ClusterConfig.Routing;
import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.text.TextParams;
import io.verdier.verticles.balance.Prefixes;
import io.verdier.verticles.bus.AdapterCard;
import io.verdier.verticles.bus.CacheRoom;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.Truncation;
import io.verdier.verticles.cluster.Announcement.Load;
import io.verdier.verticles.cluster.Announcement.Phase;
import io.verdier.verticles.cluster.ClusterView.Wish;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Which engine gets what. Costs some milliseconds. */
class ClusterViewTest {
  private static final long SILENCE = 4000;

  private final ClusterView view = view(Routing.PREFIX);

  private static ClusterView view(Routing routing) {
    return new ClusterView(routing, SILENCE, 60_000);
  }

  private static Announcement engine(Phase phase, Load load, String adapter) {
    return engine(phase, load, adapter, new Claim("m", 0, ""));
  }

  /** What an engine says that it serves. */
  private record Claim(String name, long createdSeconds, String fingerprint) {}

  private static Announcement engine(Phase phase, Load load, String adapter, Claim claim) {
    return engine(phase, load, adapter, claim, PrefixSummary.EMPTY);
  }

  private static Announcement engine(
      Phase phase, Load load, String adapter, Claim claim, PrefixSummary read) {
    List<AdapterCard> adapters = new ArrayList<>();
    if (!adapter.isEmpty()) {
      adapters.add(new AdapterCard(adapter, "r", "m", source(adapter)));
    }
    ModelCard card =
        new ModelCard(
            List.of(claim.name),
            List.of(),
            "",
            1,
            1,
            claim.createdSeconds,
            Map.of(),
            Optional.empty(),
            new Parsing(false, Optional.empty(), Optional.empty(), "", false),
            claim.fingerprint,
            adapters);
    return new Announcement(
        "n",
        "b",
        "h",
        "1",
        Set.of(Role.ENGINE),
        phase,
        Optional.of(card),
        load,
        Announcement.Tally.NONE,
        read,
        CacheRoom.NONE);
  }

  private void serving(String id, int live) {
    serving(view, id, live);
  }

  private static void serving(ClusterView view, String id, int live) {
    serving(view, id, live, PrefixSummary.EMPTY);
  }

  private void serving(String id, int live, PrefixSummary read) {
    serving(view, id, live, read);
  }

  private static void serving(ClusterView view, String id, int live, PrefixSummary read) {
    Claim claim = new Claim("m", 0, "");
    Load load = new Load(0, live, 0, 0, 0, 1, 0);
    view.onAnnouncement(id, engine(Phase.SERVING, load, "", claim, read));
  }

  private static AdapterSource source(String name) {
    return new AdapterSource("/adapters/" + name, AdapterSource.Namer.OPERATOR, name);
  }

  private static Submit submit(String prompt, String adapter) {
    return new Submit(
        new long[] {1},
        new Prompt.Text(prompt, true),
        SamplingParams.greedy(1),
        List.of(),
        Truncation.NONE,
        new TextParams(List.of(), false, true, true),
        0,
        "",
        adapter.isEmpty() ? null : source(adapter),
        null,
        OptionalDouble.empty());
  }

  private Optional<String> choose(Submit submit, Set<String> excluded) {
    return choose(view, submit, excluded);
  }

  private static Optional<String> choose(ClusterView view, Submit submit, Set<String> excluded) {
    return view.choose(submit, Prefixes.of(submit), new Wish(1, excluded, "")).map(node -> node.id);
  }

  private Optional<String> choose(String prompt) {
    Submit submit = submit(prompt, "");
    return choose(submit, Set.of());
  }

  @Test
  void conversation_goesOnWhereItBegan() {
    serving("a", 0);
    serving("b", 0);
    serving("c", 0);
    String conversation = "x".repeat(2000);
    String first = choose(conversation).orElseThrow();
    for (int turn = 0; turn < 20; turn++) {
      conversation += "another turn of the conversation, of some length. ".repeat(4);
      assertThat(choose(conversation)).contains(first);
      for (String id : List.of("a", "b", "c")) {
        serving(id, 0); // its sequence has ended by then
      }
    }
  }

  /** Work there would wait until an operator says so; elsewhere it is done now. */
  @Test
  void engine_paused_getsWorkOnlyWhereAllAre() {
    serving("a", 0);
    serving("b", 0);
    String conversation = "x".repeat(2000);
    String first = choose(conversation).orElseThrow();
    String second = first.equals("a") ? "b" : "a";
    Load none = new Load(0, 0, 0, 0, 0, 1, 0);
    serving(second, 30);
    view.onAnnouncement(first, engine(Phase.PAUSED, none, ""));
    assertThat(choose(conversation)).as("although it knows the prompt").contains(second);
    view.onAnnouncement(second, engine(Phase.PAUSED, none, ""));
    assertThat(choose(conversation)).contains(first);
    assertThat(view.cards()).as("models that are served").hasSize(1);
    serving(second, 30);
    assertThat(choose(conversation)).contains(second);
  }

  @Test
  void conversation_whereItBeganIsMuchBusier_goesElsewhere() {
    serving("a", 0);
    serving("b", 0);
    String conversation = "x".repeat(2000);
    String first = choose(conversation).orElseThrow();
    serving(first, 3);
    assertThat(choose(conversation)).as("some more sequences").contains(first);
    serving(first, 30);
    assertThat(choose(conversation)).as("many more").isPresent().isNotEqualTo(Optional.of(first));
  }

  @Test
  void requests_withoutCommonPrefix_areSpreadEvenly() {
    Map<String, Integer> counts = new HashMap<>();
    for (String id : List.of("a", "b", "c")) {
      serving(id, 0);
    }
    for (int i = 0; i < 300; i++) {
      counts.merge(choose("prompt " + i).orElseThrow(), 1, Integer::sum);
    }
    assertThat(counts.values()).containsExactly(100, 100, 100);
  }

  /** A workload of shared prefixes: most of what was read is read again where it was. */
  @Test
  void sharedPrefixes_areFoundAtLeastThreeTimesAsOftenAsByTurns() {
    assertThat(hits(Routing.PREFIX)).isGreaterThanOrEqualTo(3 * hits(Routing.ROUND_ROBIN));
  }

  /**
   * Of 600 questions about 60 documents at 6 engines, each of which keeps 15 documents, those that
   * came where theirs was kept.
   */
  private static int hits(Routing routing) {
    ClusterView view = view(routing);
    Random random = new Random(1);
    List<String> documents = new ArrayList<>();
    for (int i = 0; i < 60; i++) {
      documents.add(("document " + i + " ").repeat(200));
    }
    Map<String, Prefixes> kept = new HashMap<>();
    int hits = 0;
    for (int i = 0; i < 600; i++) {
      for (int e = 0; i % 10 == 0 && e < 6; e++) { // what came has been answered
        Prefixes read = kept.computeIfAbsent("e" + e, any -> new Prefixes());
        read.keep(15 * documents.getLast().length() / 4);
        serving(view, "e" + e, 0, PrefixSummary.of(read.all()));
      }
      String document = documents.get(random.nextInt(documents.size()));
      Submit submit = submit(document + "question " + i, "");
      String engine = choose(view, submit, Set.of()).orElseThrow();
      Prefixes read = Objects.requireNonNull(kept.get(engine));
      long[] whole = Prefixes.of(submit(document, ""));
      hits += read.has(whole[whole.length - 1]) ? 1 : 0;
      read.add(Prefixes.of(submit));
    }
    return hits;
  }

  @Test
  void sequences_thatHaveEnded_areNoLoad() {
    serving("a", 0);
    serving("b", 0);
    String conversation = "x".repeat(1000);
    String first = choose(conversation).orElseThrow();
    view.onLeft(first);
    for (int i = 0; i < 20; i++) { // all within a second, one after the other
      assertThat(choose(conversation)).contains(first);
      view.onLeft(first);
    }
    Set<String> sideBySide = new HashSet<>();
    for (int i = 0; i < 3; i++) {
      sideBySide.add(choose(conversation).orElseThrow());
    }
    assertThat(sideBySide).containsExactlyInAnyOrder("a", "b");
  }

  @Test
  void prefix_thatTheEngineNamesNoMore_isForgotten() {
    serving("a", 0);
    serving("b", 0);
    String conversation = "x".repeat(2000);
    String first = choose(conversation).orElseThrow();
    serving(first, 0); // it may have spoken before the prompt came
    assertThat(known(first, conversation)).isPositive();
    serving(first, 0);
    assertThat(known(first, conversation)).isZero();
    serving(first, 0, PrefixSummary.of(List.of(Prefixes.of(submit(conversation, ""))[0])));
    assertThat(known(first, conversation)).isEqualTo(1);
  }

  private int known(String engine, String prompt) {
    return Objects.requireNonNull(view.node(engine)).known(Prefixes.of(submit(prompt, "")));
  }

  @Test
  void policies_other_lookAtLoadOrAtTheTurn() {
    String known = "x".repeat(2000);
    Submit submit = submit(known, "");
    long[] prefixes = Prefixes.of(submit);
    ClusterView byLoad = view(Routing.LEAST_LOAD);
    serving(byLoad, "a", 1);
    serving(byLoad, "b", 0);
    Objects.requireNonNull(byLoad.node("a")).given.add(prefixes);
    assertThat(choose(byLoad, submit, Set.of())).contains("b");
    ClusterView byTurns = view(Routing.ROUND_ROBIN);
    serving(byTurns, "a", 9);
    serving(byTurns, "b", 0);
    Objects.requireNonNull(byTurns.node("b")).given.add(prefixes);
    List<String> chosen = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      chosen.add(choose(byTurns, submit, Set.of()).orElseThrow());
    }
    assertThat(chosen).isIn(List.of("a", "b", "a", "b"), List.of("b", "a", "b", "a"));
  }

  @Test
  void nodes_drainingSilentHungOrFull_getNothing() {
    serving("a", 0);
    view.onAnnouncement("b", engine(Phase.DRAINING, Load.NONE, ""));
    view.onAnnouncement("c", engine(Phase.LOADING, Load.NONE, ""));
    view.onAnnouncement("d", engine(Phase.SERVING, new Load(0, 1, 1, 0, 1, 1, 60_001), ""));
    for (int i = 0; i < 5; i++) {
      assertThat(choose("prompt " + i)).contains("a");
    }
    Submit submit = submit("x", "");
    assertThat(choose(submit, Set.of("a"))).isEmpty();
    assertThat(view.tick(SILENCE, "self")).contains("a");
    assertThat(choose("x")).isEmpty();
    assertThat(view.tick(1, "self")).as("told once").isEmpty();
    serving("a", 0);
    assertThat(choose("x")).contains("a");
  }

  @Test
  void adapter_servedByOne_goesThere() {
    serving("a", 0);
    view.onAnnouncement("b", engine(Phase.SERVING, new Load(0, 9, 0, 0, 0, 1, 0), "pirate"));
    Submit submit = submit("x", "pirate");
    assertThat(choose(submit, Set.of())).contains("b");
  }

  private void serving(String id, String model, long createdSeconds, String fingerprint) {
    view.onAnnouncement(
        id, engine(Phase.SERVING, Load.NONE, "", new Claim(model, createdSeconds, fingerprint)));
  }

  private List<String> choices(String model) {
    List<String> ids = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      choose(submit("prompt " + i, "").of(model), Set.of()).ifPresent(ids::add);
    }
    return ids.stream().distinct().sorted().toList();
  }

  private ClusterView.Node node(String id) {
    return Objects.requireNonNull(view.node(id));
  }

  @Test
  void models_ofDifferentNames_getTheirOwnRequests() {
    serving("a", "small", 2, "1");
    serving("b", "large", 1, "2");
    serving("c", "small", 3, "1");
    assertThat(choices("small")).containsExactly("a", "c");
    assertThat(choices("large")).containsExactly("b");
    assertThat(choices("other")).isEmpty();
    assertThat(view.anyEngine("large")).contains("b");
    assertThat(view.anyEngine("other")).isEmpty();
    assertThat(view.cards().stream().map(ModelCard::name)).containsExactly("large", "small");
  }

  @Test
  void engines_ofOneNameThatDiffer_areNotMixed() {
    serving("a", "m", 5, "later");
    assertThat(choices("m")).containsExactly("a");
    serving("b", "m", 4, "first");
    serving("c", "m", 6, "first");
    assertThat(choices("m")).containsExactly("b", "c");
    assertThat(Refusals.of(view, node("a")).orElseThrow())
        .isEqualTo(
            "The engine of n is not used: it serves m with other weights, tokenizer, template or"
                + " flags than n, which was there first.");
    assertThat(Refusals.of(view, node("c"))).isEmpty();
    assertThat(view.cards()).hasSize(1);

    Submit begun = submit("x", "").of("m");
    assertThat(view.choose(begun, Prefixes.of(begun), new Wish(1, Set.of(), "later")))
        .as("an answer that another model began")
        .isEmpty();
    view.onAnnouncement("b", engine(Phase.DRAINING, Load.NONE, "", new Claim("m", 4, "first")));
    view.remove("c");
    assertThat(choices("m")).as("the first ones have gone").containsExactly("a");
  }

  @Test
  void prefixes_ofTenantsAndAdapters_differ() {
    String prompt = "x".repeat(1000);
    long[] plain = Prefixes.of(submit(prompt, ""));
    assertThat(plain).hasSize(7);
    assertThat(Prefixes.of(submit(prompt, "pirate"))).doesNotContain(plain);
    assertThat(Prefixes.of(submit(prompt + " and more", ""))).startsWith(plain);
    PrefixSummary summary = PrefixSummary.of(List.of(plain[0], plain[1]));
    assertThat(summary.has(plain[0])).isTrue();
    assertThat(summary.has(plain[2])).isFalse();
  }
}
