package io.verdier.verticles.http.api;

import io.verdier.verticles.http.Route;
import java.util.List;
import java.util.Locale;

/** Whose request body a field may stand in, or whose query where a route has no body. */
public enum Body {
  CHAT(
      "ChatCompletionRequest",
      "/v1/chat/completions",
      "/v1/chat/completions/render",
      "/v1/chat/completions/batch"),
  TEXT("CompletionRequest", "/v1/completions", "/v1/completions/render"),
  PREDICTIONS("PredictRequest", "/generate"),
  PREDICT("PredictInstance", "/generate"),
  TOKENIZE("TokenizeRequest", "/tokenize"),
  DETOKENIZE("DetokenizeRequest", "/detokenize"),
  EMBED("EmbeddingRequest", "/v1/embeddings"),
  POOLING("PoolingRequest", "/pooling"),
  CLASSIFY("ClassifyRequest", "/classify"),
  SCORE("ScoreRequest", "/score", "/v1/score"),
  RERANK("RerankRequest", "/rerank", "/v1/rerank", "/v2/rerank"),
  LOAD_ADAPTER("LoadLoRAAdapterRequest", "/v1/load_lora_adapter"),
  UNLOAD_ADAPTER("UnloadLoRAAdapterRequest", "/v1/unload_lora_adapter"),
  MESSAGES("MessagesRequest", "/v1/messages"),
  COUNT("CountTokensRequest", "/v1/messages/count_tokens"),
  RESPONSES("ResponsesRequest", "/v1/responses"),
  UPDATE_MODELS("UpdateModelsRequest", "/update_models"),
  ABORT("AbortRequestsRequest", "/abort_requests"),
  SLEEP(Place.QUERY, "/sleep"),
  WAKE_UP(Place.QUERY, "/wake_up"),
  PAUSE(Place.QUERY, "/pause"),
  RESET(Place.QUERY, "/reset_prefix_cache"),
  RETRIEVE(Place.QUERY, "GET", "/v1/responses/*");

  /** Where the fields stand. */
  public enum Place {
    /** In a JSON object. */
    BODY,
    /** In the query of the URL. */
    QUERY
  }

  @SuppressWarnings("Immutable") // a list of strings
  private final List<String> paths;

  private final String schema;
  private final Place place;
  private final String method;

  Body(String schema, String... paths) {
    this.paths = List.of(paths);
    this.schema = schema;
    this.place = Place.BODY;
    this.method = "POST";
  }

  Body(Place place, String path) {
    this(place, "POST", path);
  }

  Body(Place place, String method, String path) {
    this.paths = List.of(path);
    this.schema = "";
    this.place = place;
    this.method = method;
  }

  /** Where the fields stand. */
  public Place place() {
    return place;
  }

  /** The word for it in the table. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** Of the route; aliases are not told. */
  public String path() {
    return paths.getFirst();
  }

  /** Whether a route, or an alias of it, takes this body. */
  boolean isOf(Route route) {
    return paths.contains(route.path()) && method.equals(route.method());
  }

  /** Its name in the OpenAPI description; empty for a query. */
  public String schema() {
    return schema;
  }
}
