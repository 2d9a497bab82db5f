package io.verdier.verticles.page;

import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Nodes that are not there, as {@code GET /cluster} tells of them. Thread-safe: tests change them,
 * an event loop reads them.
 */
final class FakeCluster {
  static final String ADMIN_KEY = "admin";

  private final Map<String, JsonObject> nodes = new LinkedHashMap<>();
  private int migrations;

  FakeCluster() {
    reset();
  }

  /** An ingress and two engines. */
  synchronized void reset() {
    nodes.clear();
    migrations = 0;
    JsonObject ingress = node("ingress-1", "http").put("self", true);
    ingress.getJsonObject("load").put("streams", 12);
    nodes.put("ingress-1", ingress);
    nodes.put("engine-1", engine("engine-1", 8));
    nodes.put("engine-2", engine("engine-2", 4));
  }

  private static JsonObject node(String name, String... roles) {
    JsonObject load = new JsonObject().put("streams", 0).put("live", 0).put("running", 0);
    load.put("waiting", 0).put("blocks_used", 0).put("blocks_free", 0).put("blocks_total", 0);
    load.put("steps", 0).put("step_ms", 0);
    return new JsonObject()
        .put("id", name)
        .put("name", name)
        .put("self", false)
        .put("version", "1")
        .put("http", "127.0.0.1:8000")
        .put("bus", "127.0.0.1:9000")
        .put("roles", JsonArray.of((Object[]) roles))
        .put("phase", "serving")
        .put("draining", false)
        .put("silent_ms", 0)
        .put("hung", false)
        .put("load", load);
  }

  private static JsonObject engine(String name, int live) {
    JsonObject node = node(name, "engine", "cache");
    node.put("model", "verdier-demo").put("adapters", JsonArray.of("pirate"));
    node.put("cache", new JsonObject().put("prefixes", 77).put("queried_tokens", 4000));
    node.getJsonObject("cache").put("hit_tokens", 3000);
    node.put("migrations", new JsonObject().put("in", 3).put("out", 5));
    node.getJsonObject("load").put("live", live).put("running", live - 1).put("waiting", 1);
    node.getJsonObject("load").put("blocks_used", 300).put("blocks_free", 700);
    node.getJsonObject("load").put("blocks_total", 1000).put("steps", 500);
    return node;
  }

  /** A node says something else of itself. */
  synchronized void change(String node, String field, Object value) {
    nodes.get(node).put(field, value);
  }

  /** A node is not told of any more. */
  synchronized void kill(String node) {
    nodes.remove(node);
    migrations += 8;
  }

  synchronized JsonObject status() {
    JsonArray all = new JsonArray();
    nodes.values().forEach(node -> all.add(node.copy()));
    return new JsonObject()
        .put("node", "ingress-1")
        .put("state", "ready")
        .put("nodes", all)
        .put("streams", 12)
        .put("migrations", migrations)
        .put("late_news", 0);
  }

  /** {@code cluster/nodes/NAME/drain} or {@code resume}. */
  synchronized void onWish(HttpServerRequest request, String path) {
    String[] parts = path.split("/");
    JsonObject node = nodes.get(parts[2]);
    if (!("Bearer " + ADMIN_KEY).equals(request.getHeader("Authorization"))) {
      request.response().setStatusCode(401).end("{}");
    } else if (node == null || !request.method().name().equals("POST")) {
      request.response().setStatusCode(404).end("{\"error\":{\"message\":\"No such node.\"}}");
    } else {
      boolean drain = parts[3].equals("drain");
      node.put("phase", drain ? "draining" : "serving").put("draining", drain);
      request.response().end("{}");
    }
  }
}
