package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.verticles.http.api.ApiField;
import io.verdier.verticles.http.api.ApiTable;
import io.verdier.verticles.http.api.Body;
import java.net.http.HttpResponse;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What the objects of a request have that nobody knows is told as what the body itself has. */
class NestedFieldsTest {
  private static final String MESSAGES = "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]";

  private static HttpFixture server;

  @BeforeAll
  static void start() throws Exception {
    server = HttpFixture.start();
    server.engine.behave(submit -> server.engine.say(submit, "Hello"));
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static Optional<String> ignored(HttpResponse<String> response) {
    return response.headers().firstValue("X-Verdier-Ignored-Fields");
  }

  private static String ignoredByChat(String more) throws Exception {
    HttpResponse<String> response =
        server.post("/v1/chat/completions", "{" + MESSAGES + "," + more + "}");
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    return ignored(response).orElse("");
  }

  @Test
  void objectsOfTheTable_withWhatNobodyKnows_areNamed() throws Exception {
    int objects = 0;
    for (Body body : Body.values()) {
      TreeSet<String> names = new TreeSet<>();
      for (String name : ApiTable.of(body).keySet()) {
        if (name.indexOf('.') >= 0 && !ApiTable.of(body).containsKey(object(name) + ".*")) {
          names.add(object(name));
        }
      }
      for (String name : names) {
        String value = "{\"foo\":1}";
        List<String> parts = Arrays.asList(name.split("\\."));
        for (int i = parts.size() - 1; i >= 0; i--) {
          String whole = String.join(".", parts.subList(0, i + 1));
          boolean isList =
              Objects.requireNonNull(ApiTable.field(body, whole)).type().fits(List.of());
          value = "{\"" + parts.get(i) + "\":" + (isList ? "[" + value + "]" : value) + "}";
        }
        String sent = body == Body.PREDICT ? "{\"instances\":[" + value + "]}" : value;
        assertThat(ignored(server.post(body.path(), sent)).orElse(""))
            .as(name + " of " + body)
            .isEqualTo(name + ".foo");
        objects++;
      }
    }
    assertThat(objects).isGreaterThan(60);
  }

  private static String object(String name) {
    return name.substring(0, name.lastIndexOf('.'));
  }

  @Test
  void severalMessagesAndTools_withTheSameField_tellItOnce() throws Exception {
    String part = "{\"type\":\"text\",\"text\":\"Hi\",\"cache_control\":{},\"foo\":1}";
    String message = "{\"role\":\"user\",\"content\":[" + part + "," + part + "]}";
    HttpResponse<String> response =
        server.post("/v1/chat/completions", "{\"messages\":[" + message + "," + message + "]}");
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    assertThat(ignored(response)).hasValue("messages.content.cache_control, messages.content.foo");
    String tool = "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"paramters\":{\"a\":1}}}";
    assertThat(ignoredByChat("\"tool_choice\":\"none\",\"tools\":[" + tool + "," + tool + "]"))
        .isEqualTo("tools.function.paramters");
  }

  @Test
  void freeObjects_withAnything_tellNothing() throws Exception {
    for (String free :
        List.of(
            "\"chat_template_kwargs\":{\"foo\":{\"bar\":1}}",
            "\"logit_bias\":{\"5\":1}",
            "\"documents\":[{\"foo\":1}]",
            "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
                + "\"schema\":{\"type\":\"object\",\"foo\":{\"bar\":1}}}}",
            "\"structured_outputs\":{\"json\":{\"foo\":1}}",
            "\"tool_choice\":\"none\",\"tools\":[{\"type\":\"function\",\"function\":"
                + "{\"name\":\"f\",\"parameters\":{\"foo\":1}}}]",
            "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\",\"foo\":1}]")) {
      String body = free.startsWith("\"messages") ? free : MESSAGES + "," + free;
      assertThat(ignored(server.post("/v1/chat/completions", "{" + body + "}"))).as(free).isEmpty();
    }
    assertThat(ignoredByChat("\"metadata\":{\"foo\":1}")).isEqualTo("metadata");
  }

  @Test
  void structuredOutputs_withWhatNobodyKnows_heldToTheRest() throws Exception {
    assertThat(ignoredByChat("\"structured_outputs\":{\"regex\":\"a\",\"foo\":1}"))
        .isEqualTo("structured_outputs.foo");
  }

  @Test
  void dotsOfTheClient_areNotTheTables() throws Exception {
    assertThat(ignoredByChat("\"stream_options.include_usage\":true"))
        .isEqualTo("stream_options.include_usage");
  }

  @Test
  void predictions_besideInstancesAndInParameters_areNamed() throws Exception {
    HttpResponse<String> response =
        server.post(
            "/generate",
            "{\"instances\":[{\"prompt\":\"Hi\"}],\"foo\":1,\"parameters\":{\"bar\":1}}");
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    assertThat(ignored(response)).hasValue("foo, bar");
  }

  @Test
  void nestedFields_known_areCountedByName() throws Exception {
    ignoredByChat("\"stream\":true,\"stream_options\":{\"include_obfuscation\":true,\"foo\":1}");
    assertThat(server.metrics.text())
        .contains("field=\"stream_options.include_obfuscation\"", "field=\"other\"")
        .doesNotContain("field=\"stream_options.foo\"");
  }

  @Test
  void rows_ofObjects_haveTheirObject() {
    for (ApiField field : ApiTable.fields()) {
      if (!field.isTopLevel()) {
        for (Body body : field.bodies()) {
          assertThat(ApiTable.of(body)).as(field.name()).containsKey(object(field.name()));
        }
      }
    }
  }
}
