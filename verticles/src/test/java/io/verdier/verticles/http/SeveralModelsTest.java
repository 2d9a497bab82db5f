package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.cache.lora.AdapterSource;
import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.engine.text.TextParams;
import io.verdier.verticles.bus.AdapterCard;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.bus.Submit;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Several models behind one port: a request's name says whose it is, and what holds for it. */
class SeveralModelsTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String TOOL =
      "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]";

  private static HttpFixture server;

  @BeforeAll
  static void start() throws Exception {
    server = HttpFixture.start();
    ModelCard other =
        new ModelCard(
            List.of("other", "second"),
            List.of("org/other"),
            "org/other",
            50,
            512,
            1_700_000_001L,
            Map.of(),
            Optional.empty(),
            new Parsing(false, Optional.empty(), Optional.of("qwen3"), "", false),
            "",
            List.of(
                new AdapterCard(
                    "corsair",
                    "gs://b/corsair",
                    "other",
                    new AdapterSource("/c", AdapterSource.Namer.OPERATOR, "hash-of-corsair"))));
    server.announce(new ServerState.Ready(List.of(server.card, other)));
    HttpFixture.await(() -> ids().contains("other"));
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static List<String> ids() {
    try {
      List<String> ids = new ArrayList<>();
      json(server.get("/v1/models")).get("data").forEach(it -> ids.add(it.get("id").asText()));
      return ids;
    } catch (Exception failed) {
      throw new IllegalStateException(failed);
    }
  }

  private static JsonNode json(HttpResponse<String> answer) throws Exception {
    return JSON.readTree(answer.body());
  }

  private record Asked(Submit submit, HttpResponse<String> answer) {}

  /** Asks and has the engine answer. */
  private static Asked ask(String path, String body) throws Exception {
    HttpResponse<String> answer = server.post(path, body);
    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
    return new Asked(server.engine.awaitSubmit(), answer);
  }

  @Test
  void models_listAll() throws Exception {
    assertThat(ids()).containsExactly("demo", "demo-2", "pirate", "other", "second", "corsair");
    assertThat(json(server.get("/v1/models/second")).get("max_model_len").asInt()).isEqualTo(512);
    assertThat(json(server.get("/v1/models/corsair")).get("parent").asText()).isEqualTo("other");
    assertThat(json(server.get("/v1/models/demo")).get("max_model_len").asInt()).isEqualTo(2048);
    assertThat(server.get("/v1/models/nobody").statusCode()).isEqualTo(404);
  }

  @Test
  void completion_namesAModel_goesThereAndShowsItsName() throws Exception {
    for (String name : List.of("other", "second", "org/other")) {
      Asked asked = ask("/v1/completions", "{\"model\":\"" + name + "\",\"prompt\":\"x\"}");
      assertThat(asked.submit.model()).isEqualTo("other");
      assertThat(json(asked.answer).get("model").asText()).isEqualTo("other");
    }
    for (String body : List.of("{\"prompt\":\"x\"}", "{\"model\":\"\",\"prompt\":\"x\"}")) {
      Asked asked = ask("/v1/completions", body);
      assertThat(asked.submit.model()).isEqualTo("demo");
      assertThat(json(asked.answer).get("model").asText()).isEqualTo("demo");
    }
  }

  @Test
  void completion_namesAnAdapter_goesToItsModel() throws Exception {
    Asked asked = ask("/v1/completions", "{\"model\":\"corsair\",\"prompt\":\"x\"}");
    assertThat(asked.submit.model()).isEqualTo("other");
    AdapterSource adapter = asked.submit.adapter();
    assertThat(adapter).isNotNull();
    assertThat(adapter.place()).isEqualTo("/c");
    assertThat(json(asked.answer).get("model").asText()).isEqualTo("corsair");
    assertThat(ask("/v1/completions", "{\"model\":\"pirate\",\"prompt\":\"x\"}").submit.model())
        .isEqualTo("demo");
  }

  @Test
  void completion_namesNobody_isRefused() throws Exception {
    HttpResponse<String> answer =
        server.post("/v1/completions", "{\"model\":\"nobody\",\"prompt\":\"x\"}");
    assertThat(answer.statusCode()).isEqualTo(404);
    assertThat(answer.body()).contains("The model `nobody` does not exist.");
  }

  @Test
  void limits_areTheModelsOwn() throws Exception {
    String tokens = ",\"prompt\":[10,60]}"; // the other model has ids up to 49
    assertThat(ask("/v1/completions", "{\"model\":\"demo\"" + tokens).submit.model())
        .isEqualTo("demo");
    assertThat(server.post("/v1/completions", "{\"model\":\"other\"" + tokens).statusCode())
        .isEqualTo(400);
    assertThat(
            json(server.post("/tokenize", "{\"model\":\"other\",\"prompt\":\"x\"}"))
                .get("max_model_len")
                .asInt())
        .isEqualTo(512);
  }

  @Test
  void toolParser_isTheModelsOwn() throws Exception {
    String chat = "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]," + TOOL + "}";
    assertThat(ask("/v1/chat/completions", "{" + chat).submit.model()).isEqualTo("demo");
    HttpResponse<String> refused =
        server.post("/v1/chat/completions", "{\"model\":\"other\"," + chat);
    assertThat(refused.statusCode()).isEqualTo(400);
    assertThat(refused.body()).contains("tool choice requires");
  }

  @Test
  void reasoningParser_isTheModelsOwn() throws Exception {
    String message =
        "\"max_tokens\":8,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
            + "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":5}}";
    Asked told = ask("/v1/messages", "{\"model\":\"other\"," + message);
    assertThat(told.submit.text().thoughtTokensMax()).isEqualTo(5);
    Asked untold = ask("/v1/messages", "{" + message); // nobody can tell what this one thinks
    assertThat(untold.submit.text().thoughtTokensMax()).isEqualTo(TextParams.UNBOUNDED);
  }

  @Test
  void prediction_namesAModelInItsInstance_goesThere() throws Exception {
    Asked asked = ask("/generate", "{\"instances\":[{\"prompt\":\"x\",\"model\":\"other\"}]}");
    assertThat(asked.submit.model()).isEqualTo("other");
  }
}
