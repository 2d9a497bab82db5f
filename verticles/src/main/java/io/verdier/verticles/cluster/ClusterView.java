package io.verdier.verticles.cluster;

import io.verdier.cache.lora.AdapterSource;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.cluster.Announcement.Load;
import io.verdier.verticles.cluster.Announcement.Phase;
import java.util.ArrayList;
import java.util.Collection;
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
 * <p><b>The choice</b> is the least cost, in characters to be read: those of the prompt that the
 * engine does not know yet, and {@link #LIVE_CHARS} for each sequence that it has. So a
 * conversation goes on where it began, until that engine has so many more sequences than another
 * that reading the prompt again is the shorter wait.
 */
final class ClusterView {
  /** A running sequence delays others about as much as reading so many characters does. */
  static final int LIVE_CHARS = 512;

  /** A node that has been silent for so many times the time that counts was a ghost. */
  private static final int FORGOTTEN = 10;

  private final Map<String, Node> nodes = new TreeMap<>(); // by id, so that ties end the same way
  private final long silenceMillis;
  private final long hangMillis;
  private int turn;

  ClusterView(long silenceMillis, long hangMillis) {
    this.silenceMillis = silenceMillis;
    this.hangMillis = hangMillis;
  }

  /** One node, this one included. Owned by the cluster's event loop. */
  static final class Node {
    final String id;
    final Prefixes given = new Prefixes(); // what this node sent there; the others' it announces
    Announcement told;
    long silentMillis;
    int sent; // sequences sent there since it last spoke
    boolean isHung;

    private Node(String id, Announcement told) {
      this.id = id;
      this.told = told;
    }

    /** Sequences there, about. */
    int live() {
      return told.load().live() + sent;
    }
  }

  /** A node said something, whatever it was. Returns whether nobody knew of it. */
  boolean onWord(String id) {
    Node node = nodes.get(id);
    if (node == null) {
      nodes.put(id, new Node(id, Announcement.NOTHING));
      return true;
    }
    node.silentMillis = 0;
    return false;
  }

  /** A node said how it is. Returns what it said before. */
  Announcement onAnnouncement(String id, Announcement told) {
    Node node = nodes.computeIfAbsent(id, any -> new Node(any, Announcement.NOTHING));
    Announcement before = node.told;
    node.told = told;
    node.silentMillis = 0;
    node.sent = 0;
    node.isHung = told.load().stepMillis() > hangMillis;
    return before;
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

  /** An engine that can be asked something. */
  Optional<String> anyEngine() {
    return nodes.values().stream()
        .filter(node -> isUsable(node, null))
        .findFirst()
        .map(node -> node.id);
  }

  void remove(String id) {
    nodes.remove(id);
  }

  @Nullable Node node(String id) {
    return nodes.get(id);
  }

  Collection<Node> nodes() {
    return nodes.values();
  }

  /** The model that engines in sight generate with, and how many do. */
  Optional<ModelCard> card() {
    return nodes.values().stream()
        .filter(node -> isUsable(node, null))
        .findFirst()
        .flatMap(node -> node.told.card());
  }

  /** Nodes that say something. */
  int heardCount() {
    return (int) nodes.values().stream().filter(node -> node.silentMillis < silenceMillis).count();
  }

  /** Whether it takes new work with this adapter. */
  private boolean isUsable(Node node, @Nullable AdapterSource adapter) {
    Announcement told = node.told;
    return told.generates()
        && told.phase() == Phase.SERVING
        && node.silentMillis < silenceMillis
        && !node.isHung
        && (adapter == null
            || adapter.namer() == AdapterSource.Namer.CLIENT // whoever gets it fetches it
            || told.card().orElseThrow().adapters().stream()
                .anyMatch(it -> it.source().equals(adapter)));
  }

  /**
   * Chooses an engine and counts the work there.
   *
   * @param excluded nodes that had no room for it
   * @return empty if there is none
   */
  Optional<String> choose(Submit submit, long[] prefixes, Set<String> excluded) {
    Node best = null;
    long least = Long.MAX_VALUE;
    List<Node> usable =
        nodes.values().stream()
            .filter(node -> isUsable(node, submit.adapter()) && !excluded.contains(node.id))
            .toList();
    turn++;
    for (int i = 0; i < usable.size(); i++) {
      Node node = usable.get(Math.floorMod(i + turn, usable.size()));
      int unknown = prefixes.length - known(node, prefixes);
      // A node that is late with its word may be about to be gone.
      long doubt = node.silentMillis > silenceMillis / 2 ? 1_000_000 : 0;
      Load load = node.told.load();
      long cost =
          (long) unknown * Prefixes.CHUNK_CHARS
              + (long) LIVE_CHARS * (node.live() + load.waiting())
              + doubt;
      if (cost < least) {
        least = cost;
        best = node;
      }
    }
    if (best == null) {
      return Optional.empty();
    }
    best.sent += submit.keys().length;
    best.given.add(prefixes);
    return Optional.of(best.id);
  }

  private static int known(Node node, long[] prefixes) {
    int count = 0;
    while (count < prefixes.length
        && (node.given.has(prefixes[count]) || node.told.prefixes().has(prefixes[count]))) {
      count++;
    }
    return count;
  }
}
