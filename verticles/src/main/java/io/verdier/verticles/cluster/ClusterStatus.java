package io.verdier.verticles.cluster;

import io.verdier.verticles.bus.CacheRoom;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.cluster.Announcement.Load;
import io.verdier.verticles.cluster.Announcement.Phase;
import io.verdier.verticles.cluster.Announcement.Tally;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.Locale;

/** What this node knows, as JSON for operators. Stateless. */
final class ClusterStatus {
  private ClusterStatus() {}

  static String json(ClusterView view, String self, Router router, ServerState state) {
    JsonArray nodes = new JsonArray();
    view.nodes().forEach(node -> nodes.add(node(view, node, self)));
    return new JsonObject()
        .put("node", self)
        .put("state", state.getClass().getSimpleName().toLowerCase(Locale.ROOT))
        .put("nodes", nodes)
        .put("streams", router.liveCount())
        .put("migrations", router.migrations())
        .put("late_news", router.lateNews())
        .encode();
  }

  private static JsonObject node(ClusterView view, ClusterView.Node node, String self) {
    Announcement told = node.told;
    JsonArray roles = new JsonArray();
    told.roles().stream()
        .map(role -> role.name().toLowerCase(Locale.ROOT))
        .sorted()
        .forEach(roles::add);
    JsonObject json =
        new JsonObject()
            .put("id", node.id)
            .put("name", told.name())
            .put("self", node.id.equals(self))
            .put("version", told.version())
            .put("http", told.httpAddress())
            .put("bus", told.busAddress())
            .put("roles", roles)
            .put("phase", told.phase().name().toLowerCase(Locale.ROOT))
            .put("draining", told.phase() == Phase.DRAINING || told.phase() == Phase.LEAVING)
            .put("silent_ms", node.id.equals(self) ? 0 : node.silentMillis)
            .put("hung", node.isHung);
    Refusals.of(view, node).ifPresent(why -> json.put("refused", why));
    told.card()
        .ifPresent(
            card -> {
              JsonArray adapters = new JsonArray();
              card.adapters().forEach(adapter -> adapters.add(adapter.name()));
              json.put("model", card.name())
                  .put("fingerprint", card.fingerprint())
                  .put("adapters", adapters);
            });
    if (told.generates()) {
      json.put("cache", cache(told.tally())).put("migrations", migrations(told.tally()));
    }
    if (told.room().port() > 0) {
      json.put("room", room(told.room()));
    }
    return json.put("load", load(told));
  }

  private static JsonObject load(Announcement told) {
    Load load = told.load();
    return new JsonObject()
        .put("streams", load.streams())
        .put("live", load.live())
        .put("running", load.running())
        .put("waiting", load.waiting())
        .put("blocks_used", load.blocksUsed())
        .put("blocks_free", load.blocksTotal() - load.blocksUsed())
        .put("blocks_total", load.blocksTotal())
        .put("steps", told.tally().steps())
        .put("step_ms", load.stepMillis());
  }

  private static JsonObject cache(Tally tally) {
    return new JsonObject()
        .put("prefixes", tally.prefixes())
        .put("queried_tokens", tally.queriedTokens())
        .put("hit_tokens", tally.hitTokens());
  }

  private static JsonObject room(CacheRoom room) {
    return new JsonObject()
        .put("blocks", room.blocks())
        .put("bytes_used", room.bytesUsed())
        .put("bytes_total", room.bytesMax());
  }

  private static JsonObject migrations(Tally tally) {
    return new JsonObject().put("in", tally.movedIn()).put("out", tally.movedOut());
  }
}
