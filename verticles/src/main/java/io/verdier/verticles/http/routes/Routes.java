package io.verdier.verticles.http.routes;

import io.verdier.conf.ServerConfig;
import io.verdier.verticles.http.Problem.Dialect;
import io.verdier.verticles.http.Route;
import io.verdier.verticles.http.Route.Action;
import io.verdier.verticles.http.Route.Gate;
import java.util.ArrayList;
import java.util.List;

/** The table of routes. Immutable. Where two rows name the same path, the first one counts. */
public final class Routes {
  private Routes() {}

  /** All routes of a server that is configured so. */
  public static List<Route> table(ServerConfig config) {
    Action pages = new Pages()::run;
    String rootPath = config.http().rootPath();
    List<Route> table = new ArrayList<>();
    table.add(new Route("POST", "/v1/chat/completions", Gate.WORK, ChatCompletions::run));
    table.add(new Route("POST", "/v1/chat/completions/batch", Gate.WORK, BatchChats::run));
    table.add(new Route("POST", "/v1/completions", Gate.WORK, Completions::run));
    table.add(new Route("POST", "/v1/embeddings", Gate.WORK, Embeddings::embeddings));
    table.add(new Route("POST", "/pooling", Gate.WORK, Embeddings::pooling));
    table.add(new Route("POST", "/classify", Gate.WORK, Classify::run));
    for (String path : List.of("/score", "/v1/score")) {
      table.add(new Route("POST", path, Gate.WORK, Scoring::score));
    }
    for (String path : List.of("/rerank", "/v1/rerank", "/v2/rerank")) {
      table.add(new Route("POST", path, Gate.WORK, Scoring::rerank));
    }
    table.add(new Route("POST", "/v1/responses", Gate.WORK, Responses::run));
    table.add(new Route("GET", "/v1/responses/*", Gate.KEY, Responses::get));
    table.add(new Route("POST", "/v1/responses/*", Gate.KEY, Responses::cancel));
    table.add(anthropic("/v1/messages", Messages::run));
    table.add(anthropic("/v1/messages/count_tokens", Messages::countTokens));
    table.add(new Route("POST", "/v1/chat/completions/render", Gate.WORK, Render::chat));
    table.add(new Route("POST", "/v1/completions/render", Gate.WORK, Render::completions));
    table.add(new Route("POST", "/invocations", Gate.WORK, Invocations::run));
    table.add(new Route("POST", "/tokenize", Gate.WORK, Tokenize::run));
    table.add(new Route("POST", "/detokenize", Gate.WORK, Detokenize::run));
    table.add(new Route("GET", "/v1/models", Gate.KEY, Models::list));
    table.add(new Route("GET", "/v1/models/*", Gate.KEY, Models::one));
    table.add(new Route("GET", "/version", Gate.KEY, Version::run));
    table.add(new Route("GET", "/load", Gate.KEY, Load::run));
    table.add(new Route("GET", "/metrics", Gate.KEY, Metrics::run));
    if (config.http().apiPages()) {
      table.add(new Route("GET", "/openapi.json", Gate.KEY, new Description()::run));
      table.add(new Route("GET", "/docs", Gate.KEY, Description::page));
    }
    table.add(new Route("GET", "/health", Gate.OPEN, Health::run));
    table.add(new Route("GET", "/ping", Gate.OPEN, Health::run));
    table.add(new Route("POST", "/ping", Gate.OPEN, Health::run));
    table.add(new Route("POST", "/generate", Gate.WORK, Predict::run));
    if (!config.http().adminKeys().isEmpty()) { // without a key nobody can be an administrator
      addOperators(table);
    }
    addAdapters(table, config);
    ServerConfig.Vertex vertex = config.vertex();
    vertex
        .healthRoute()
        .ifPresent(path -> table.add(new Route("GET", path, Gate.OPEN, Health::run)));
    vertex
        .predictRoute()
        .ifPresent(path -> table.add(new Route("POST", path, Gate.WORK, Predict::run)));
    if (!rootPath.isEmpty()) {
      table.add(new Route("GET", rootPath, Gate.KEY, Pages::redirect));
    }
    table.add(new Route("GET", "/", Gate.KEY, pages));
    table.add(new Route("GET", "/*", Gate.KEY, pages));
    addCluster(table, config);
    return List.copyOf(table);
  }

  /**
   * An adapter's name is everybody's, so where there are administrators they alone give it. Without
   * any, the API key does, as in vLLM: the operator has allowed it by a flag of its own.
   */
  private static void addAdapters(List<Route> table, ServerConfig config) {
    if (config.adapters().enabled() && config.adapters().changeable()) {
      Gate gate = config.http().adminKeys().isEmpty() ? Gate.WORK : Gate.ADMIN;
      table.add(new Route("POST", "/v1/load_lora_adapter", gate, LoraAdapters::load));
      table.add(new Route("POST", "/v1/unload_lora_adapter", gate, LoraAdapters::unload));
    }
  }

  private static void addOperators(List<Route> table) {
    table.add(new Route("POST", "/update_models", Gate.ADMIN, ModelChanges::run));
    table.add(new Route("POST", "/abort_requests", Gate.ADMIN, AbortRequests::run));
    table.add(control("POST", "/pause", EngineRoutes::pause));
    table.add(control("POST", "/resume", EngineRoutes::resume));
    table.add(control("GET", "/is_paused", EngineRoutes::isPaused));
    table.add(control("POST", "/sleep", EngineRoutes::sleep));
    table.add(control("POST", "/wake_up", EngineRoutes::wakeUp));
    table.add(control("GET", "/is_sleeping", EngineRoutes::isSleeping));
    table.add(control("POST", "/reset_prefix_cache", EngineRoutes::resetPrefixCache));
  }

  private static Route control(String method, String path, Action action) {
    return new Route(method, path, Gate.CONTROL, action);
  }

  /** A node that takes no requests is only asked how it is. */
  private static void addCluster(List<Route> table, ServerConfig config) {
    if (!config.cluster().enabled()) {
      return;
    }
    table.add(0, new Route("GET", "/cluster", Gate.KEY, Cluster::status));
    table.add(0, new Route("GET", "/cluster/ui", Gate.KEY, Cluster::page));
    if (!config.http().adminKeys().isEmpty()) {
      table.add(0, control("POST", "/cluster/nodes/*", Cluster::drain));
    }
    if (!config.cluster().serves()) {
      table.removeIf(row -> row.gate() == Gate.WORK);
    }
  }

  private static Route anthropic(String path, Action action) {
    return new Route("POST", path, Gate.WORK, Dialect.ANTHROPIC, action);
  }
}
