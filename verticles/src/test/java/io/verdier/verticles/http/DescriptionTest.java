package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.verticles.http.routes.Routes;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Locale;
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
      assertThat(chat.at("/best_of/x-verdier-status").textValue()).isEqualTo("refused");
      for (JsonNode reference : api.findValues("$ref")) {
        String name = reference.textValue();
        assertThat(name).startsWith("#/");
        assertThat(api.at(name.substring(1)).isMissingNode()).as(name).isFalse();
      }
    }
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
      }
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
