package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.conf.ServerConfig;
import io.verdier.verticles.bus.Submit;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/** Routes that operators and their tools call. */
class OperatorRoutesTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String HI = "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}";
  private static final String ADMIN = "Authorization";

  private static JsonNode ok(HttpResponse<String> response) throws Exception {
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    return JSON.readTree(response.body());
  }

  private static CompletableFuture<HttpResponse<String>> postLater(
      HttpFixture server, String path, String body, String... headers) {
    return CompletableFuture.supplyAsync(
        () -> {
          try {
            return server.post(path, body, headers);
          } catch (Exception failed) {
            throw new IllegalStateException(failed);
          }
        });
  }

  @Test
  void render_chatAndCompletions_tokensAndText() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      JsonNode chat = ok(server.post("/v1/chat/completions/render", HI));
      assertThat(chat.get("request_id").asText()).startsWith("chatcmpl-");
      assertThat(chat.get("token_ids").toString()).isEqualTo("[1,2,3]");
      assertThat(chat.get("prompt").asText()).isEqualTo("text of 3");
      JsonNode cut =
          ok(
              server.post(
                  "/v1/completions/render",
                  "{\"prompt\":[\"a\",\"b\"],\"truncate_prompt_tokens\":2}"));
      assertThat(cut).hasSize(2);
      assertThat(cut.get(1).get("token_ids").toString()).isEqualTo("[2,3]");
      assertThat(server.engine.submitted).isEmpty();
      HttpResponse<String> bad = server.post("/v1/completions/render", "{\"prompt\":[]}");
      assertThat(bad.statusCode()).isEqualTo(400);
    }
  }

  @Test
  void invocations_bodySaysWhichRoute() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      assertThat(ok(server.post("/invocations", HI)).get("object").asText())
          .isEqualTo("chat.completion");
      assertThat(ok(server.post("/invocations", "{\"prompt\":\"a\"}")).get("object").asText())
          .isEqualTo("text_completion");
      assertThat(server.post("/invocations", "{}").statusCode()).isEqualTo(400);
    }
  }

  @Test
  void load_whileRequestsRun_isTold() throws Exception {
    try (HttpFixture server = HttpFixture.start(options -> options.tellsLoad = true)) {
      assertThat(ok(server.get("/load")).toString()).isEqualTo("{\"server_load\":0}");
      server.engine.hold();
      var answer = postLater(server, "/v1/chat/completions", HI);
      Submit submit = server.engine.awaitSubmit();
      String three = "{\"prompt\":[\"a\",\"b\",\"c\"]}";
      var other = postLater(server, "/v1/completions", three);
      List<Submit> prompts = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        prompts.add(server.engine.awaitSubmit());
      }
      assertThat(ok(server.get("/load")).get("server_load").asInt()).isEqualTo(2);
      server.engine.say(submit, "Hello");
      ok(answer.get());
      awaitLoad(server, 1);
      prompts.forEach(prompt -> server.engine.say(prompt, "Hello"));
      ok(other.get());
      awaitLoad(server, 0);
    }
    try (HttpFixture server = HttpFixture.start()) {
      assertThat(ok(server.get("/load")).get("server_load").asInt()).isZero();
    }
  }

  /** The client may read the end of an answer before the server hears that it has left. */
  private static void awaitLoad(HttpFixture server, int load) throws Exception {
    while (ok(server.get("/load")).get("server_load").asInt() != load) {
      Thread.onSpinWait();
    }
  }

  @Test
  void adapters_whoMayNameThem_dependsOnWhetherThereAreAdministrators() throws Exception {
    String incomplete = "{}"; // refused by the route, if it is reached
    for (String path : List.of("/v1/load_lora_adapter", "/v1/unload_lora_adapter")) {
      try (HttpFixture server = HttpFixture.start(options -> changeable(options))) {
        assertThat(server.post(path, incomplete).statusCode()).isEqualTo(401);
        assertThat(server.post(path, incomplete, ADMIN, "Bearer user").statusCode()).isEqualTo(400);
      }
      try (HttpFixture server =
          HttpFixture.start(
              options -> {
                changeable(options);
                options.adminKeys = List.of("admin");
              })) {
        for (String key : List.of("", "user")) {
          assertThat(server.post(path, incomplete, ADMIN, "Bearer " + key).statusCode())
              .as(key)
              .isEqualTo(401);
        }
        assertThat(server.post(path, incomplete, ADMIN, "Bearer admin").statusCode())
            .isEqualTo(400);
      }
      try (HttpFixture server = HttpFixture.start(options -> options.adminKeys = List.of("a"))) {
        assertThat(server.post(path, incomplete, ADMIN, "Bearer a").statusCode()).isEqualTo(404);
      }
      try (HttpFixture server =
          HttpFixture.start(
              options -> {
                changeable(options);
                options.adminKeys = List.of("admin");
                options.ready = false;
              })) {
        assertThat(server.post(path, incomplete, ADMIN, "Bearer admin").statusCode())
            .isEqualTo(503);
      }
    }
  }

  private static void changeable(HttpFixture.Options options) {
    ServerConfig.Adapters own = options.adapters;
    options.apiKeys = List.of("user");
    options.adapters =
        new ServerConfig.Adapters(
            true, own.slots(), own.hostRooms(), own.rankMax(), own.modules(), true, own.sources());
  }

  @Test
  void abort_named_endsThatRequestAlone() throws Exception {
    try (HttpFixture server =
        HttpFixture.start(
            options -> {
              options.apiKeys = List.of("user");
              options.adminKeys = List.of("admin");
              options.instances = 2;
            })) {
      server.engine.hold();
      String[] user = {"Authorization", "Bearer user", "X-Request-Id", "r1"};
      String[] other = {"Authorization", "Bearer user", "X-Request-Id", "r2"};
      var first = postLater(server, "/v1/chat/completions", HI, user);
      server.engine.awaitSubmit();
      var second = postLater(server, "/v1/chat/completions", HI, other);
      Submit kept = server.engine.awaitSubmit();
      String ids = "{\"request_ids\":[\"chatcmpl-r1\",\"gone\"]}";
      assertThat(server.post("/abort_requests", ids, ADMIN, "Bearer user").statusCode())
          .isEqualTo(401);
      assertThat(server.post("/abort_requests", ids, ADMIN, "Bearer admin").statusCode())
          .isEqualTo(200);
      JsonNode aborted = ok(first.get());
      assertThat(aborted.at("/choices/0/finish_reason").asText()).isEqualTo("abort");
      assertThat(second).isNotDone();
      server.engine.say(kept, "Hello");
      assertThat(ok(second.get()).at("/choices/0/finish_reason").asText()).isEqualTo("stop");
      assertThat(server.post("/v1/chat/completions", HI, ADMIN, "Bearer admin").statusCode())
          .isEqualTo(401);
    }
  }

  @Test
  void abort_withoutIds_endsAll() throws Exception {
    try (HttpFixture server = HttpFixture.start(options -> options.adminKeys = List.of("admin"))) {
      server.engine.hold();
      var answer = postLater(server, "/v1/chat/completions", HI);
      server.engine.awaitSubmit();
      ok(server.post("/abort_requests", "{}", ADMIN, "Bearer admin"));
      assertThat(ok(answer.get()).at("/choices/0/finish_reason").asText()).isEqualTo("abort");
      HttpResponse<String> bad =
          server.post("/abort_requests", "{\"request_ids\":[1]}", ADMIN, "Bearer admin");
      assertThat(bad.statusCode()).isEqualTo(400);
    }
  }

  @Test
  void abort_noAdministrator_isNotThere() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      assertThat(server.post("/abort_requests", "{}").statusCode()).isEqualTo(404);
    }
  }
}
