package io.verdier.verticles.cluster;

import io.verdier.cache.lora.AdapterSource;
import io.verdier.conf.ClusterConfig.Routing;
import io.verdier.verticles.balance.Balance;
import io.verdier.verticles.balance.Candidate;
import io.verdier.verticles.balance.Prefixes;
import io.verdier.verticles.bus.CacheNodes;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.cluster.Announcement.Phase;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What this node knows of the others, and the choice of an engine. Owned by the cluster's event
 * loop. No clock: whoever owns it says how much time has passed.
 *
 * <p><b>Silence</b> is counted in ticks that this node was awake for. If this node itself was
 * stopped for a minute, that is one tick, and nobody else is blamed for it.
 *
 * <p><b>The choice</b> is {@link Balance}'s, among those that take work for the model: where all of
 * them are paused, work waits at one of these, as it does at a node that is alone.
 *
 * <p><b>One name, one model.</b> Of engines that announce the same name and differ in what decides
 * their answers, those are used that are like the one that began to serve first, of those that take
 * work at all; with equal times the smaller fingerprint counts. So all nodes that see the same
 * engines use the same ones.
 */
final class ClusterView {
  /** Above all that a prompt and a queue cost: only if there is nobody else. */
  private static final long DOUBT_CHARS = 1_000_000;

  /** In place of a model's name. */
  private static final String ANY = "";

  /** Whose claim to a name is older. */
  private static final Comparator<ModelCard> FIRST =
      Comparator.comparingLong(ModelCard::createdSeconds)
          .thenComparing(ModelCard::fingerprint)
          .thenComparing(ModelCard::name);

  /** A node that has been silent for so many times the time that counts was a ghost. */
  private static final int FORGOTTEN = 10;

  private final Map<String, Node> nodes = new TreeMap<>(); // by id, so that ties end the same way
  private final long silenceMillis;
  private final long hangMillis;
  private final Balance balance;

  ClusterView(Routing routing, long silenceMillis, long hangMillis) {
    this.balance = new Balance(routing);
    this.silenceMillis = silenceMillis;
    this.hangMillis = hangMillis;
  }

  /** One node, this one included. Owned by the cluster's event loop. */
  static final class Node implements Candidate {
    final String id;
    Prefixes given = new Prefixes(); // what this node sent there since it last spoke
    Prefixes givenBefore = new Prefixes(); // may not have been there when it spoke
    Announcement told;
    long silentMillis;
    int sent; // sequences sent there since it last spoke, less those that ended
    boolean isHung;

    private final long lateMillis;

    private Node(String id, long silenceMillis) {
      this.id = id;
      this.told = Announcement.NOTHING;
      this.lateMillis = silenceMillis / 2;
    }

    @Override
    public int known(long[] prefixes) {
      int count = 0;
      while (count < prefixes.length
          && (given.has(prefixes[count])
              || givenBefore.has(prefixes[count])
              || told.prefixes().has(prefixes[count]))) {
        count++;
      }
      return count;
    }

    private String host() {
      String address = told.busAddress();
      return address.substring(0, Math.max(0, address.lastIndexOf(':')));
    }

    /** Sequences there, about. */
    @Override
    public int load() {
      return Math.max(0, told.load().live() + sent) + told.load().waiting();
    }

    /** A node that is late with its word may be about to be gone. */
    @Override
    public long doubt() {
      return silentMillis > lateMillis ? DOUBT_CHARS : 0;
    }
  }

  /** A node said something, whatever it was. Returns whether nobody knew of it. */
  boolean onWord(String id) {
    Node node = nodes.get(id);
    if (node == null) {
      nodes.put(id, new Node(id, silenceMillis));
      return true;
    }
    node.silentMillis = 0;
    return false;
  }

  /** A node said how it is. Returns what it said before. */
  Announcement onAnnouncement(String id, Announcement told) {
    Node node = nodes.computeIfAbsent(id, any -> new Node(any, silenceMillis));
    Announcement before = node.told;
    node.told = told;
    node.silentMillis = 0;
    node.sent = 0;
    node.givenBefore = node.given;
    node.given = new Prefixes();
    node.isHung = told.load().stepMillis() > hangMillis;
    return before;
  }

  /** A sequence that this node sent there is there no more. */
  void onLeft(String id) {
    Node node = nodes.get(id);
    if (node != null) {
      node.sent--;
    }
  }

  /** So much time has passed; returns the nodes that have now been silent for too long. */
  List<String> tick(long millis, String self) {
    List<String> gone = new ArrayList<>();
    nodes.values().removeIf(node -> node.silentMillis > FORGOTTEN * silenceMillis);
    for (Node node : nodes.values()) {
      if (!node.id.equals(self)) {
        boolean was = node.silentMillis >= silenceMillis;
        node.silentMillis += millis;
        if (!was && node.silentMillis >= silenceMillis) {
          gone.add(node.id);
        }
      }
    }
    return gone;
  }

  void clear() {
    nodes.clear();
  }

  /** An engine of the model that can be asked something. */
  Optional<String> anyEngine(String model) {
    return nodes.values().stream()
        .filter(node -> isUsable(node, model, null))
        .findFirst()
        .map(node -> node.id);
  }

  void remove(String id) {
    nodes.remove(id);
  }

  @Nullable Node node(String id) {
    return nodes.get(id);
  }

  /** The one that operators call so; null: there is none. */
  @Nullable Node named(String name) {
    return nodes.values().stream()
        .filter(node -> node.id.equals(name) || node.told.name().equals(name))
        .findFirst()
        .orElse(null);
  }

  Collection<Node> nodes() {
    return nodes.values();
  }

  /** The models that engines in sight generate with; the one first that began to serve first. */
  List<ModelCard> cards() {
    Map<String, ModelCard> byName = new TreeMap<>();
    for (Node node : nodes.values()) {
      if (isUsable(node, ANY, null)) {
        byName.merge(
            card(node).name(),
            card(node),
            (one, other) -> FIRST.compare(one, other) <= 0 ? one : other);
      }
    }
    return byName.values().stream().sorted(FIRST).toList();
  }

  /** The other engine because of which this one is not used; null: it may be. */
  @Nullable Node rival(Node node) {
    if (!node.told.generates()) {
      return null;
    }
    Node ruling = node;
    for (Node other : nodes.values()) {
      boolean competes =
          other.told.generates()
              && other.told.phase().takesWork()
              && other.silentMillis < silenceMillis
              && card(other).name().equals(card(node).name());
      if (competes && FIRST.compare(card(other), card(ruling)) < 0) {
        ruling = other;
      }
    }
    return card(ruling).fingerprint().equals(card(node).fingerprint()) ? null : ruling;
  }

  private static ModelCard card(Node node) {
    return node.told.card().orElseThrow();
  }

  /** Those that keep blocks for engines and take more. They are where their bus is. */
  CacheNodes cacheNodes() {
    return new CacheNodes(
        nodes.values().stream()
            .filter(node -> node.silentMillis < silenceMillis)
            .filter(node -> node.told.phase().takesWork() && node.told.room().port() > 0)
            .map(node -> new CacheNodes.Address(node.host(), node.told.room().port()))
            .toList());
  }

  /** Nodes that say something. */
  int heardCount() {
    return (int) nodes.values().stream().filter(node -> node.silentMillis < silenceMillis).count();
  }

  /** Whether it takes new work for this model, or {@link #ANY}, with this adapter. */
  private boolean isUsable(Node node, String model, @Nullable AdapterSource adapter) {
    Announcement told = node.told;
    return told.generates()
        && told.phase().takesWork()
        && node.silentMillis < silenceMillis
        && !node.isHung
        && (model.equals(ANY) || card(node).name().equals(model))
        && rival(node) == null
        && (adapter == null
            || adapter.namer() == AdapterSource.Namer.CLIENT // whoever gets it fetches it
            || told.card().orElseThrow().adapters().stream()
                .anyMatch(it -> it.source().equals(adapter)));
  }

  /**
   * What counts when an engine is chosen, besides the prompt. Immutable.
   *
   * @param sequences that go there: of some requests a part alone
   * @param excluded nodes that had no room for them
   * @param fingerprint of the model that began the answers; empty: none has
   */
  record Wish(int sequences, Set<String> excluded, String fingerprint) {
    /** Of all continuations of a new request. */
    static Wish all(Submit submit) {
      return new Wish(submit.keys().length, Set.of(), "");
    }
  }

  /**
   * Chooses an engine and counts the work there.
   *
   * @param prefixes of its prompt
   * @param wish what else counts
   * @return empty if there is none
   */
  Optional<Node> choose(Submit submit, long[] prefixes, Wish wish) {
    List<Node> usable =
        nodes.values().stream()
            .filter(node -> !wish.excluded.contains(node.id))
            .filter(node -> isUsable(node, submit.model(), submit.adapter()))
            .filter(
                node ->
                    wish.fingerprint.isEmpty() || card(node).fingerprint().equals(wish.fingerprint))
            .toList();
    List<Node> working =
        usable.stream().filter(node -> node.told.phase() == Phase.SERVING).toList();
    Optional<Node> best = balance.choose(working.isEmpty() ? usable : working, prefixes);
    best.ifPresent(
        node -> {
          node.sent += wish.sequences;
          node.given.add(prefixes);
        });
    return best;
  }
}
