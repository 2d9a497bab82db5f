package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.conf.ServerConfig.Parsing;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** What requests say of tools and parts that are not taken, and how that is told. */
class ToolChoiceTest {
  private static final String TOOLS =
      ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":"
          + "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}}}]";

  private static HttpFixture start(String tools, String reasoning) throws Exception {
    return HttpFixture.start(
        options ->
            options.parsing =
                new Parsing(
                    !tools.isEmpty(),
                    Optional.of(tools).filter(name -> !name.isEmpty()),
                    Optional.of(reasoning).filter(name -> !name.isEmpty()),
                    "",
                    true));
  }

  private static HttpResponse<String> post(HttpFixture server, String more) throws Exception {
    server.engine.submitted.clear();
    return server.post(
        "/v1/chat/completions",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]" + more + "}");
  }

  @Test
  void choice_ofAnObject_typeIsFunctionOrLeftOut() throws Exception {
    try (HttpFixture server = start("hermes", "")) {
      server.engine.behave(submit -> server.engine.say(submit, "{}"));
      String choice = TOOLS + ",\"tool_choice\":{%s\"function\":{\"name\":\"get_weather\"}}";
      for (String good : List.of("", "\"type\":\"function\",")) {
        assertThat(post(server, choice.formatted(good)).statusCode()).as(good).isEqualTo(200);
      }
      HttpResponse<String> refused = post(server, choice.formatted("\"type\":\"banana\","));
      assertThat(refused.statusCode()).isEqualTo(400);
      assertThat(refused.body())
          .contains("tool_choice.type is \\\"banana\\\"; it must be function.");
    }
  }

  @Test
  void refusals_ofTypesAndNames_sayWhatWasSent() throws Exception {
    try (HttpFixture server = start("hermes", "")) {
      String nobody = TOOLS + ",\"tool_choice\":{\"function\":{\"name\":\"nobody\"}}";
      assertThat(post(server, nobody).body())
          .contains("tool_choice.function.name is \\\"nobody\\\"; it must be");
      String chat = "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}";
      assertThat(server.post("/v1/chat/completions", chat).body())
          .contains("messages.0.content.0.type is \\\"image_url\\\"; the model being served");
      String tools = ",\"tools\":[{\"type\":\"web_search\",\"name\":\"w\"}]}";
      assertThat(server.post("/v1/responses", "{\"input\":\"Hi\"" + tools).body())
          .contains("tools.0.type is \\\"web_search\\\"; this server runs no tools");
      String message = "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]";
      assertThat(server.post("/v1/messages", message + tools).body())
          .contains("tools.0.type is \\\"web_search\\\"; this server runs no tools");
    }
  }
}
