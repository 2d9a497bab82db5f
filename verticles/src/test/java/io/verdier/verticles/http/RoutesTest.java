package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.ErrorCode;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.http.routes.Routes;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class RoutesTest {

  @Test
  void models_list_cardOfEachName() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      assertThat(server.get("/v1/models").body())
          .startsWith(
              "{\"object\":\"list\",\"data\":[{\"id\":\"demo\",\"object\":\"model\","
                  + "\"created\":1700000000,\"owned_by\":\"vllm\",\"root\":\"verdier/demo\","
                  + "\"parent\":null,\"max_model_len\":2048,\"permission\":[{\"id\":\"modelperm-")
          .contains(
              "\"object\":\"model_permission\",\"created\":1700000000,"
                  + "\"allow_create_engine\":false,\"allow_sampling\":true,"
                  + "\"allow_logprobs\":true,\"allow_search_indices\":false,\"allow_view\":true,"
                  + "\"allow_fine_tuning\":false,\"organization\":\"*\",\"group\":null,"
                  + "\"is_blocking\":false}]},{\"id\":\"demo-2\"");
      assertThat(server.get("/v1/models/demo-2").body()).startsWith("{\"id\":\"demo-2\"");
      assertThat(server.get("/v1/models/pirate").body())
          .startsWith("{\"id\":\"pirate\",\"object\":\"model\"")
          .contains("\"root\":\"gs://b/pirate\",\"parent\":\"demo\",\"max_model_len\":null");
      assertThat(server.get("/v1/models/nope").statusCode()).isEqualTo(404);
      assertThat(server.get("/v1/models/%20").statusCode()).isEqualTo(404);
    }
  }

  @Test
  void dialect_ofV09_takesAnEmptyListOfTools() throws Exception {
    String body = "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[]}";
    try (HttpFixture server =
        HttpFixture.start(options -> options.dialect = ServerConfig.ApiDialect.V0_9)) {
      assertThat(server.post("/v1/chat/completions", body).statusCode()).isEqualTo(200);
      for (String choice : List.of("\"auto\"", "\"none\"", "null", "\"required\"")) {
        String more = body.substring(0, body.length() - 1) + ",\"tool_choice\":" + choice + "}";
        assertThat(server.post("/v1/chat/completions", more).statusCode())
            .as(choice)
            .isEqualTo(choice.contains("required") ? 400 : 200);
      }
    }
    try (HttpFixture server = HttpFixture.start()) {
      assertThat(server.post("/v1/chat/completions", body).statusCode()).isEqualTo(400);
    }
  }

  @Test
  void dialect_ofV09_flatErrorsAndUsageUnasked() throws Exception {
    try (HttpFixture server =
        HttpFixture.start(options -> options.dialect = ServerConfig.ApiDialect.V0_9)) {
      assertThat(server.post("/v1/completions", "{\"prompt\":\"x\",\"n\":0}").body())
          .startsWith("{\"object\":\"error\",\"message\":\"n is 0;")
          .endsWith(",\"type\":\"BadRequestError\",\"param\":\"n\",\"code\":400}");
      assertThat(server.get("/nothing").body())
          .startsWith("{\"object\":\"error\",\"message\":\"There is no such route.\"");
      String body = "{\"prompt\":\"x\",\"stream\":true,\"stream_options\":{%s}}";
      assertThat(server.post("/v1/completions", body.formatted("")).body())
          .contains("\"choices\":[],\"usage\":{");
      assertThat(server.post("/v1/completions", body.formatted("\"include_usage\":false")).body())
          .doesNotContain("\"usage\"");
      server.engine.behave(
          submit -> {
            long key = submit.keys()[0];
            server.engine.send(FakeEngine.delta(submit, key, 0, "a", null));
            server.engine.send(Delta.refused(key, ErrorCode.INTERNAL, "the step failed", null));
          });
      String error =
          "{\"error\":{\"object\":\"error\",\"message\":\"the step failed\","
              + "\"type\":\"InternalServerError\",\"param\":null,\"code\":500}}";
      assertThat(server.post("/v1/completions", body.formatted("")).body())
          .endsWith("data: " + error + "\n\ndata: [DONE]\n\n");
      String chat = "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"stream\":true}";
      assertThat(server.post("/v1/chat/completions", chat).body())
          .endsWith("data: " + error + "\n\ndata: [DONE]\n\n");
      String instance = "{\"instances\":[{\"prompt\":\"x\",\"stream\":true}]}";
      assertThat(server.post("/generate", instance).body()).endsWith(error + "\0");
      assertThat(server.post("/v1/messages", chat.replace("{\"m", "{\"max_tokens\":5,\"m")).body())
          .contains("{\"type\":\"error\",\"error\":{\"type\":\"api_error\"");
    }
  }

  @Test
  void tokenizeAndDetokenize_ask_shapesOfVllm() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      assertThat(server.post("/tokenize", "{\"prompt\":\"x\"}").body())
          .isEqualTo("{\"count\":3,\"max_model_len\":2048,\"tokens\":[1,2,3],\"token_strs\":null}");
      assertThat(
              server
                  .post(
                      "/tokenize",
                      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
                          + "\"return_token_strs\":true}")
                  .body())
          .isEqualTo(
              "{\"count\":3,\"max_model_len\":2048,\"tokens\":[1,2,3],"
                  + "\"token_strs\":[\"a\",\"b\",\"c\"]}");
      assertThat(server.post("/tokenize", "{}").statusCode()).isEqualTo(400);
      assertThat(server.post("/detokenize", "{\"tokens\":[1,2]}").body())
          .isEqualTo("{\"prompt\":\"text of 2\"}");
      HttpResponse<String> refused = server.post("/detokenize", "{\"tokens\":[]}");
      assertThat(refused.statusCode()).isEqualTo(400);
      assertThat(refused.body()).contains("\"message\":\"no tokens\"");
      assertThat(server.post("/detokenize", "{\"tokens\":[100]}").statusCode()).isEqualTo(400);
      HttpFixture.await(() -> server.admission.taken() == 0);
    }
  }

  @Test
  void small_routes_answer() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      for (String path : List.of("/health", "/ping", "/aip/health")) {
        HttpResponse<String> response = server.get(path);
        assertThat(response.statusCode()).isEqualTo(200);
        assertThat(response.body()).isEmpty();
      }
      assertThat(server.post("/ping", "").statusCode()).isEqualTo(200);
      assertThat(server.get("/version").body()).isEqualTo("{\"version\":\"1.2.3\"}");
      assertThat(server.get("/metrics").body()).contains("vllm:num_requests_running");
      assertThat(server.get("/version").headers().map()).doesNotContainKey("server");
    }
  }

  @Test
  void unknown_pathOrMethod_jsonErrors() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      HttpResponse<String> missing = server.get("/v1/nothing");
      assertThat(missing.statusCode()).isEqualTo(404);
      assertThat(missing.body())
          .isEqualTo(
              "{\"error\":{\"message\":\"There is no such route.\",\"type\":\"NotFoundError\","
                  + "\"param\":null,\"code\":404}}");
      assertThat(server.post("/v1/nothing", "{}").statusCode()).isEqualTo(404);
      HttpResponse<String> wrong = server.get("/v1/completions");
      assertThat(wrong.statusCode()).isEqualTo(405);
      assertThat(wrong.headers().firstValue("allow")).hasValue("POST");
      assertThat(wrong.body()).contains("\"code\":405");
      for (String method : List.of("DELETE", "PUT", "TRACE", "HEAD", "SMUGGLE")) {
        HttpRequest request =
            server.request("/health").method(method, HttpRequest.BodyPublishers.noBody()).build();
        assertThat(server.send(request).statusCode()).as(method).isEqualTo(405);
      }
    }
  }

  @Test
  void rootPath_withAndWithout_sameRoutes() throws Exception {
    try (HttpFixture server = HttpFixture.start(options -> options.rootPath = "/llm")) {
      assertThat(server.get("/llm/v1/models/demo").statusCode()).isEqualTo(200);
      assertThat(server.get("/v1/models").statusCode()).isEqualTo(200);
      assertThat(server.get("/llmv1/models").statusCode()).isEqualTo(404);
      assertThat(server.get("/llm/llm/v1/models").statusCode()).isEqualTo(404);
      assertThat(server.get("/llm/assets/ingress-test.html").body()).contains("test page");
      assertThat(server.post("/llm/tokenize", "{\"prompt\":\"x\"}").statusCode()).isEqualTo(200);
      assertThat(server.get("/llm/").body()).isEqualTo(server.get("/").body()).contains("<title>");
      HttpResponse<String> bare = server.get("/llm");
      assertThat(bare.statusCode()).isEqualTo(307);
      assertThat(bare.headers().firstValue("location")).hasValue("/llm/");
    }
  }

  @Test
  void vertexRoute_colonInPath_comparedAsItIs() throws Exception {
    String route = "/v1/endpoints/1/deployedModels/2:predict";
    try (HttpFixture server =
        HttpFixture.start(options -> options.predictRoute = Optional.of(route))) {
      String body = "{\"instances\":[{\"prompt\":\"x\"}]}";
      assertThat(server.post(route, body).statusCode()).isEqualTo(200);
      for (String other : List.of("2:other", "2", "2predict", "2:predict/", "2%3Apredict")) {
        String path = "/v1/endpoints/1/deployedModels/" + other;
        assertThat(server.post(path, body).statusCode()).as(path).isEqualTo(404);
      }
      assertThat(server.get(route).statusCode()).isEqualTo(405);
    }
  }

  @Test
  void modelId_slashesAndEscapes_partOfTheName() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      assertThat(server.get("/v1/models/%64emo").statusCode()).isEqualTo(200);
      for (String id : List.of("demo/", "a/b", "a%2Fb", "../models/demo", "//demo")) {
        assertThat(server.get("/v1/models/" + id).body())
            .as(id)
            .contains("The model `" + id.replace("%2F", "/") + "` does not exist.");
      }
    }
  }

  @Test
  void pages_file_typeAndSafetyHeaders() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      HttpResponse<String> page = server.get("/assets/ingress-test.html");
      assertThat(page.statusCode()).isEqualTo(200);
      assertThat(page.body()).contains("test page");
      assertThat(page.headers().firstValue("content-type")).hasValue("text/html;charset=utf-8");
      assertThat(page.headers().firstValue("x-content-type-options")).hasValue("nosniff");
      assertThat(page.headers().firstValue("content-security-policy")).isPresent();
      String tag = page.headers().firstValue("etag").orElseThrow();
      HttpResponse<String> again = server.get("/assets/ingress-test.html", "If-None-Match", tag);
      assertThat(again.statusCode()).isEqualTo(304);
      assertThat(server.get("/assets/ingress-test.html", "If-None-Match", "\"older\"").statusCode())
          .isEqualTo(200);
      assertThat(server.get("/chat.js").headers().firstValue("content-type"))
          .hasValueSatisfying(type -> assertThat(type).startsWith("text/javascript"));
      assertThat(server.get("/favicon.svg").headers().firstValue("content-type"))
          .hasValue("image/svg+xml");
      for (String path :
          List.of(
              "/assets/../assets/ingress-test.html",
              "/assets/%2e%2e/assets/ingress-test.html",
              "//assets/ingress-test.html",
              "/assets//ingress-test.html",
              "/assets/ingress-test.html/",
              "/assets",
              "/assets/",
              "/../io/verdier/verticles/http/HttpVerticle.class",
              "/logback.xml",
              "//",
              "/%2e%2e/",
              "/.hidden.html",
              "/assets%2Fingress-test.html",
              "/assets/none.html")) {
        HttpResponse<String> missing = server.get(path);
        assertThat(missing.statusCode()).as(path).isEqualTo(404);
        assertThat(missing.body()).as(path).startsWith("{\"error\":");
      }
    }
  }

  @Test
  void keys_everyGuardedRoute_needsOne() throws Exception {
    try (HttpFixture server =
        HttpFixture.start(options -> options.apiKeys = List.of("secret", "other"))) {
      for (Route route : Routes.table(server.config)) {
        String path = route.path().replace("*", "x");
        for (String authorization :
            List.of("", "Bearer wrong", "Bearer ", "Basic secret", "secret", "Bearer secret2")) {
          HttpRequest.Builder request = server.request(path);
          if (!authorization.isEmpty()) {
            request.header("Authorization", authorization);
          }
          HttpRequest sent =
              request.method(route.method(), HttpRequest.BodyPublishers.noBody()).build();
          HttpResponse<String> response = server.send(sent);
          boolean open = route.gate() == Route.Gate.OPEN;
          assertThat(response.statusCode())
              .as(route + " " + authorization)
              .isEqualTo(open ? 200 : 401);
          if (!open) {
            boolean anthropic = route.dialect() == Problem.Dialect.ANTHROPIC;
            String type = anthropic ? "authentication_error" : "AuthenticationError";
            assertThat(response.body()).contains("\"type\":\"" + type + "\"");
          }
        }
      }
      assertThat(server.get("/version", "Authorization", "bearer other").statusCode())
          .isEqualTo(200);
      assertThat(
              server
                  .get("/version", "Authorization", "Bearer other", "Authorization", "Bearer other")
                  .statusCode())
          .isEqualTo(401);
      assertThat(server.get("/unknown").statusCode()).isEqualTo(401);
      assertThat(server.get("//v1/models").statusCode()).isEqualTo(401);
    }
  }

  @Test
  void origins_list_onlyThoseAndOwnPage() throws Exception {
    try (HttpFixture server =
        HttpFixture.start(options -> options.origins = List.of("https://app.example"))) {
      HttpResponse<String> allowed =
          server.post("/tokenize", "{\"prompt\":\"x\"}", "Origin", "https://app.example");
      assertThat(allowed.statusCode()).isEqualTo(200);
      assertThat(allowed.headers().firstValue("access-control-allow-origin"))
          .hasValue("https://app.example");
      assertThat(
              server
                  .post("/tokenize", "{\"prompt\":\"x\"}", "Origin", "https://evil.example")
                  .statusCode())
          .isEqualTo(403);
      assertThat(
              server
                  .post(
                      "/tokenize",
                      "{\"prompt\":\"x\"}",
                      "Origin",
                      "http://127.0.0.1:" + server.port)
                  .statusCode())
          .isEqualTo(200);
      HttpRequest preflight =
          server
              .request(
                  "/tokenize",
                  "Origin",
                  "https://app.example",
                  "Access-Control-Request-Method",
                  "POST")
              .method("OPTIONS", HttpRequest.BodyPublishers.noBody())
              .build();
      HttpResponse<String> answer = server.send(preflight);
      assertThat(answer.statusCode()).isEqualTo(204);
      assertThat(answer.headers().firstValue("access-control-allow-headers"))
          .hasValueSatisfying(headers -> assertThat(headers).contains("Authorization"));
    }
  }

  @Test
  void requestId_given_echoedWhenHarmless() throws Exception {
    try (HttpFixture server = HttpFixture.start(options -> options.requestIds = true)) {
      assertThat(
              server.get("/version", "X-Request-Id", "abc-1").headers().firstValue("x-request-id"))
          .hasValue("abc-1");
      for (String bad : List.of("a b", "a".repeat(129), "127.0.0.1/9")) {
        assertThat(server.get("/version", "X-Request-Id", bad).headers().firstValue("x-request-id"))
            .hasValueSatisfying(id -> assertThat(id).matches("[0-9a-f]{32}"));
      }
      String body = "{\"prompt\":\"x\",\"request_id\":\"mine\"}";
      assertThat(server.post("/v1/completions", body).body()).startsWith("{\"id\":\"cmpl-mine\"");
      assertThat(server.post("/v1/completions", body, "X-Request-Id", "head").body())
          .startsWith("{\"id\":\"cmpl-head\"");
    }
  }

  @Test
  void chatTemplate_trusted_passedOn() throws Exception {
    try (HttpFixture server = HttpFixture.start(options -> options.trustTemplate = true)) {
      server.post(
          "/v1/chat/completions",
          "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"chat_template\":\"T\"}");
      assertThat(((Prompt.Chat) server.engine.awaitSubmit().prompt()).template()).isEqualTo("T");
    }
  }

  @Test
  void usage_forced_inEveryStream() throws Exception {
    try (HttpFixture server = HttpFixture.start(options -> options.forceUsage = true)) {
      String[] events =
          server.post("/v1/completions", "{\"prompt\":\"x\",\"stream\":true}").body().split("\n\n");
      assertThat(events).hasSize(4);
      assertThat(events[0]).contains("\"usage\":{\"prompt_tokens\":3,\"total_tokens\":4");
      assertThat(events[2]).contains("\"choices\":[],\"usage\"");
    }
  }
}
