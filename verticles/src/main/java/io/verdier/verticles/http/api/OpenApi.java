package io.verdier.verticles.http.api;

import io.verdier.verticles.http.Route;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The API as OpenAPI 3.1: the routes that a server has, with the tables' words. Stateless.
 *
 * <p>Of a request it says every field; of an answer that it is JSON. Source: OpenAPI Specification
 * 3.1.0.
 */
public final class OpenApi {
  private static final String JSON = "application/json";
  private static final String COMPONENTS = "#/components/schemas/";
  private static final Map<String, Object> OBJECT = Map.of("type", "object");

  private OpenApi() {}

  /**
   * @param version of the server
   * @param routes that it has
   */
  public static Map<String, Object> describe(String version, List<Route> routes) {
    Map<String, Object> paths = new LinkedHashMap<>();
    for (Route route : routes) {
      if (!route.path().equals("/*")) {
        String path = route.path().replace("/*", "/{id}");
        @SuppressWarnings("unchecked") // built here, and nowhere else
        Map<String, Object> operations =
            (Map<String, Object>) paths.computeIfAbsent(path, it -> new LinkedHashMap<>());
        operations.putIfAbsent(route.method().toLowerCase(Locale.ROOT), operation(route));
      }
    }
    Map<String, Object> whole = new LinkedHashMap<>();
    whole.put("openapi", "3.1.0");
    whole.put(
        "info",
        map("title", "Verdier", "version", version, "summary", "LLM inference, as vLLM serves it"));
    whole.put("paths", paths);
    whole.put("components", components());
    return whole;
  }

  /** A name for those who make clients of the description. */
  private static String id(Route route) {
    String words = route.path().replace("/*", "/id").replaceAll("[^A-Za-z0-9]+", "_");
    return route.method().toLowerCase(Locale.ROOT) + words;
  }

  private static Map<String, Object> operation(Route route) {
    Map<String, Object> operation = new LinkedHashMap<>();
    operation.put("operationId", id(route));
    operation.put("summary", summary(route));
    List<Object> parameters = new ArrayList<>();
    if (route.path().endsWith("/*")) {
      parameters.add(
          map("name", "id", "in", "path", "required", true, "schema", map("type", "string")));
    }
    parameters.addAll(query(route));
    if (!parameters.isEmpty()) {
      operation.put("parameters", parameters);
    }
    boolean hasBody = route.gate() == Route.Gate.WORK || route.gate() == Route.Gate.ADMIN;
    if (hasBody) {
      operation.put("requestBody", map("required", true, "content", json(request(route))));
    }
    Map<String, Object> responses = new LinkedHashMap<>();
    responses.put("200", map("description", "the answer"));
    if (hasBody || !parameters.isEmpty()) {
      responses.put("400", error("a field is wrong or not supported; param names it"));
    }
    if (route.gate() == Route.Gate.OPEN) {
      operation.put("security", List.of());
    } else {
      responses.put("401", error("the API key is missing or wrong"));
    }
    responses.put("503", error("the model is loading, or the server is full or leaving"));
    operation.put("responses", responses);
    return operation;
  }

  /** What may stand behind the path. */
  private static List<Object> query(Route route) {
    List<Object> parameters = new ArrayList<>();
    for (Body body : Body.values()) {
      if (body.place() == Body.Place.QUERY && body.isOf(route)) {
        properties(body, "")
            .forEach(
                (name, schema) ->
                    parameters.add(map("name", name, "in", "query", "schema", schema)));
      }
    }
    return parameters;
  }

  private static String summary(Route route) {
    return ApiTable.routes().stream()
        .filter(row -> row.path().equals(route.path()) && row.method().equals(route.method()))
        .map(ApiRoute::help)
        .findFirst()
        .orElse("named by the server's environment");
  }

  private static Map<String, Object> request(Route route) {
    for (Body body : Body.values()) {
      if (body.place() == Body.Place.BODY && body.isOf(route)) {
        return map("$ref", COMPONENTS + body.schema());
      }
    }
    return OBJECT;
  }

  private static Map<String, Object> components() {
    Map<String, Object> schemas = new LinkedHashMap<>();
    for (Body body : Body.values()) {
      if (body.place() == Body.Place.BODY) {
        schemas.put(body.schema(), schema(body));
      }
    }
    schemas.put(Body.PREDICTIONS.schema(), predictions());
    schemas.put("Error", errorSchema());
    Map<String, Object> key = map("type", "http", "scheme", "bearer");
    return map("schemas", schemas, "securitySchemes", map("key", key));
  }

  private static Map<String, Object> predictions() {
    Map<String, Object> properties = properties(Body.PREDICTIONS, "");
    List<Object> kinds =
        List.of(
            map("$ref", COMPONENTS + Body.PREDICT.schema()),
            map("$ref", COMPONENTS + Body.CHAT.schema()));
    properties.put("instances", map("type", "array", "items", map("anyOf", kinds)));
    return map(
        "type",
        "object",
        "description",
        "instances, or one instance itself, or a chat beside @requestFormat chatCompletions",
        "properties",
        properties);
  }

  private static Map<String, Object> errorSchema() {
    Map<String, Object> text = map("type", "string");
    Map<String, Object> error = new LinkedHashMap<>();
    error.put("message", text);
    error.put("type", text);
    error.put("param", map("type", List.of("string", "null")));
    error.put("code", map("type", "integer"));
    return map(
        "type", "object", "properties", map("error", map("type", "object", "properties", error)));
  }

  private static Map<String, Object> schema(Body body) {
    Map<String, Object> schema = map("type", "object");
    inside(schema, body, "");
    return schema;
  }

  /** Says what is known of the fields of an object. */
  private static void inside(Map<String, Object> schema, Body body, String prefix) {
    Map<String, Object> properties = properties(body, prefix);
    if (!properties.isEmpty()) {
      ApiType.inside(schema, properties, ApiTable.required(body, prefix));
    }
  }

  /**
   * Fields of the body, or of an object in it.
   *
   * @param prefix name of the object with a dot behind it; empty: the body itself
   */
  private static Map<String, Object> properties(Body body, String prefix) {
    Map<String, Object> properties = new LinkedHashMap<>();
    for (ApiField field : ApiTable.of(body).values()) {
      if (field.name().startsWith(prefix)) {
        String key = field.name().substring(prefix.length());
        if (key.indexOf('.') < 0 && !key.equals(ApiField.ANY)) {
          Map<String, Object> property = property(field);
          inside(property, body, field.name() + ".");
          properties.put(key, property);
        }
      }
    }
    return properties;
  }

  private static Map<String, Object> property(ApiField field) {
    Map<String, Object> property = field.type().schema();
    property.put("description", description(field));
    if (field.hasFallback()) {
      property.put("default", field.fallback());
    }
    if (field.status().kind() == Status.Kind.REFUSED) {
      property.put("deprecated", true);
    }
    property.put("x-verdier-status", field.status().kind().word());
    return property;
  }

  private static String description(ApiField field) {
    StringBuilder text = new StringBuilder(field.help());
    if (!field.presence().isRequired() && !field.presence().text().isEmpty()) {
      text.append("; default ").append(field.presence().text());
    }
    if (!field.status().why().isEmpty()) {
      text.append(" (").append(field.status().kind().word()).append(": ");
      text.append(field.status().why()).append(')');
    }
    return text.toString();
  }

  private static Map<String, Object> error(String when) {
    return map("description", when, "content", json(map("$ref", COMPONENTS + "Error")));
  }

  private static Map<String, Object> json(Map<String, Object> schema) {
    return map(JSON, map("schema", schema));
  }

  /** Keeps the order that it is given. */
  private static Map<String, Object> map(Object... namesAndValues) {
    Map<String, Object> map = new LinkedHashMap<>();
    for (int i = 0; i < namesAndValues.length; i += 2) {
      map.put((String) namesAndValues[i], namesAndValues[i + 1]);
    }
    return map;
  }
}
