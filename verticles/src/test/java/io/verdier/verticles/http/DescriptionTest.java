package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.conf.ServerConfig;
import io.verdier.verticles.http.api.ApiField;
import io.verdier.verticles.http.api.ApiTable;
import io.verdier.verticles.http.api.Body;
import io.verdier.verticles.http.api.OpenApi;
import io.verdier.verticles.http.routes.Routes;
import io.verdier.verticles.launch.InProcessServer;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import io.vertx.json.schema.Draft;
import io.vertx.json.schema.JsonSchema;
import io.vertx.json.schema.JsonSchemaOptions;
import io.vertx.json.schema.OutputUnit;
import io.vertx.json.schema.Validator;
import io.vertx.openapi.contract.OpenAPIContract;
import java.net.URI;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class DescriptionTest {

  @Test
  void openApi_asked_describesEveryRouteAndField() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      HttpResponse<String> response = server.get("/openapi.json");
      assertThat(response.headers().firstValue("Content-Type")).hasValue("application/json");
      JsonNode api = new ObjectMapper().readTree(response.body());
      assertThat(api.get("openapi").textValue()).isEqualTo("3.1.0");
      assertThat(api.at("/info/version").textValue()).isEqualTo("1.2.3");
      for (Route route : Routes.table(server.config)) {
        if (!route.path().equals("/*")) {
          JsonNode path = api.get("paths").path(route.path().replace("/*", "/{id}"));
          JsonNode operation = path.path(route.method().toLowerCase(Locale.ROOT));
          assertThat(operation.path("summary").asText()).as(route.toString()).isNotEmpty();
          assertThat(operation.at("/responses/200/description").isTextual()).isTrue();
        }
      }
      JsonNode chat = api.at("/components/schemas/ChatCompletionRequest/properties");
      assertThat(chat.at("/temperature/maximum").asInt()).isEqualTo(2);
      assertThat(chat.at("/top_p/exclusiveMinimum").isNumber()).isTrue();
      assertThat(chat.at("/stream_options/properties/include_usage/type").textValue())
          .isEqualTo("boolean");
      assertThat(
              chat.at("/messages/items/properties/content/anyOf/1/items/properties/text/type")
                  .textValue())
          .isEqualTo("string");
      assertThat(chat.at("/messages/items/properties/*").isMissingNode()).isTrue();
      assertThat(chat.at("/stream/default").isBoolean()).isTrue();
      assertThat(chat.at("/n/default").intValue()).isEqualTo(1);
      // The model may say it: who writes 1.0 out would win over that.
      assertThat(chat.at("/temperature/default").isMissingNode()).isTrue();
      assertThat(chat.at("/max_tokens/default").isMissingNode()).isTrue();
      assertThat(
              api.at("/components/schemas/CompletionRequest/properties/max_tokens/default")
                  .intValue())
          .isEqualTo(16);
      assertThat(chat.at("/truncation_side/enum").toString()).isEqualTo("[\"left\",\"right\"]");
      assertThat(chat.at("/n/format").textValue()).isEqualTo("int32");
      assertThat(chat.at("/seed/format").textValue()).isEqualTo("int64");
      assertThat(chat.at("/tools/items/properties/function/required").toString())
          .isEqualTo("[\"name\"]");
      assertThat(chat.at("/best_of/x-verdier-status").textValue()).isEqualTo("refused");
      for (JsonNode reference : api.findValues("$ref")) {
        String name = reference.textValue();
        assertThat(name).startsWith("#/");
        assertThat(api.at(name.substring(1)).isMissingNode()).as(name).isFalse();
      }
    }
  }

  /** By another's validator, with the schemas that come with OpenAPI 3.1. */
  @Test
  void openApi_ofEveryRoute_isWhatTheSpecificationAsks() throws Exception {
    ServerConfig everything =
        InProcessServer.config(
            "--admin-api-key=key", "--enable-lora", "--allow-runtime-lora-updating", "--cluster");
    Map<String, Object> described = OpenApi.describe("1.2.3", Routes.table(everything));
    String json = new ObjectMapper().writeValueAsString(described);
    Vertx vertx = Vertx.vertx();
    try (HttpFixture server = HttpFixture.start()) {
      JsonObject whole = new JsonObject(json);
      assertThat(whole.getJsonObject("paths").size()).isGreaterThan(40);
      check(vertx, whole);
      check(vertx, new JsonObject(server.get("/openapi.json").body()));
      for (String broken :
          List.of(
              json.replaceFirst("\"in\":\"path\"", "\"in\":\"body\""),
              json.replaceFirst("\"type\":\"integer\"", "\"type\":\"int\""),
              json.replaceFirst("\"description\":\"[^\"]*\",\"content\"", "\"content\""))) {
        assertThat(broken).isNotEqualTo(json);
        assertThatThrownBy(() -> check(vertx, new JsonObject(broken))).as(broken).isNotNull();
      }
    } finally {
      vertx.close().await();
    }
  }

  /** Another's reading of the schemas, of bodies that the server takes or refuses. */
  @Test
  void schemas_ofBodies_takeAndRefuseAsTheServerDoes() {
    String chat = "ChatCompletionRequest";
    String message = "{\"role\":\"user\",\"content\":\"Hi\"}";
    assertTakes(chat, "{\"messages\":[" + message + "]}", true);
    assertTakes(chat, "{}", false);
    assertTakes(chat, "{\"messages\":[{\"content\":\"Hi\"}]}", false);
    assertTakes(chat, "{\"messages\":[" + message + "],\"top_p\":0}", false);
    assertTakes(chat, "{\"messages\":[" + message + "],\"truncation_side\":\"up\"}", false);
    assertTakes(
        chat, "{\"messages\":[" + message + "],\"tools\":[{\"type\":\"function\"}]}", false);
    assertTakes("CompletionRequest", "{\"prompt\":[5,7]}", true);
    assertTakes("CompletionRequest", "{\"prompt\":5}", false);
    assertTakes("MessagesRequest", "{\"messages\":[" + message + "]}", false);
    assertTakes("MessagesRequest", "{\"messages\":[" + message + "],\"max_tokens\":5}", true);
    for (Body body : Body.values()) {
      for (ApiField field : ApiTable.of(body).values()) {
        if (field.hasFallback() && field.isTopLevel() && body.place() == Body.Place.BODY) {
          JsonObject schema = schema(body.schema()).getJsonObject("properties");
          assertThat(schema.getJsonObject(field.name()).getValue("default"))
              .as(body + " " + field.name())
              .hasToString(field.fallback().toString());
          OutputUnit read =
              validator(schema.getJsonObject(field.name())).validate(field.fallback());
          assertThat(read.getValid()).as(body + " " + field.name()).isTrue();
        }
      }
    }
  }

  private static void assertTakes(String schema, String body, boolean takes) {
    assertThat(validator(schema(schema)).validate(new JsonObject(body)).getValid())
        .as(schema + " " + body)
        .isEqualTo(takes);
  }

  private static JsonObject schema(String name) {
    JsonObject described = new JsonObject(OpenApi.describe("1", List.of()));
    JsonObject read = new JsonObject(described.encode()); // lists and maps as a client has them
    return read.getJsonObject("components").getJsonObject("schemas").getJsonObject(name);
  }

  private static Validator validator(JsonObject schema) {
    return Validator.create(
        JsonSchema.of(schema),
        new JsonSchemaOptions().setBaseUri("app://test").setDraft(Draft.DRAFT202012));
  }

  private static void check(Vertx vertx, JsonObject description) {
    OpenAPIContract contract = OpenAPIContract.from(vertx, description).await();
    assertThat(contract.operations()).isNotEmpty();
  }

  @Test
  void docs_asked_aPageOfTheServersOwn() throws Exception {
    try (HttpFixture server = HttpFixture.start(options -> options.rootPath = "/under")) {
      HttpResponse<String> response = server.get("/under/docs");
      assertThat(response.statusCode()).isEqualTo(307);
      assertThat(response.headers().firstValue("Location")).hasValue("/under/docs.html");
      for (String file : List.of("docs.html", "docs.js", "docs.css")) {
        HttpResponse<String> page = server.get("/under/" + file);
        assertThat(page.statusCode()).as(file).isEqualTo(200);
        assertThat(page.body()).as(file).doesNotContain("http://", "https://");
        checkNeeds(server, page.body());
      }
    }
  }

  /** What a page, its styles and its scripts load, from the server itself. */
  private static final Pattern NEEDED =
      Pattern.compile(
          "(?:src|href)=\"([^\"]+)\"|url\\(([^)]+)\\)|(?:from|import) \"([^\"]+)\"|fetch\\(\"([^\"]+)\"");

  private static void checkNeeds(HttpFixture server, String text) throws Exception {
    Matcher needed = NEEDED.matcher(text);
    while (needed.find()) {
      String file =
          IntStream.rangeClosed(1, needed.groupCount())
              .mapToObj(needed::group)
              .filter(Objects::nonNull)
              .findFirst()
              .orElseThrow();
      if (!file.startsWith("#")) {
        assertThat(file).doesNotContain(":").doesNotStartWith("//");
        String path = URI.create("/under/docs.html").resolve(file).getPath();
        assertThat(server.get(path).statusCode()).as(file).isEqualTo(200);
      }
    }
    if (text.startsWith("<!doctype")) {
      assertThat(text).contains("default-src 'none'", "script-src 'self'", "connect-src 'self'");
    }
  }

  @Test
  void docs_switchedOff_areNotThere() throws Exception {
    try (HttpFixture server = HttpFixture.start(options -> options.apiPages = false)) {
      assertThat(server.get("/openapi.json").statusCode()).isEqualTo(404);
      assertThat(server.get("/docs").statusCode()).isEqualTo(404);
    }
  }
}
