package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The demo model, served to embed: its vectors mean little, and must be the same ones always. */
class PoolingIT {
  private static final Path DEMO = Path.of("../engine/src/main/resources/demo-model");
  private static final String CAR = "What is a car?";
  private static final List<String> TEXTS =
      List.of(
          CAR,
          "The capital of France is Paris, which lies on the river Seine.",
          "a",
          CAR,
          "What is a car? It has four wheels, a motor and seats, and it drives on roads.",
          "ünïcödé");

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    server = InProcessServer.start("--runner=pooling");
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static JsonNode ok(Client from, String path, Map<String, ?> body) {
    Client.Answer answer = from.post(path, body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json();
  }

  private static JsonNode embed(Client from, Map<String, ?> body) {
    return ok(from, "/v1/embeddings", body);
  }

  private static List<float[]> vectors(Client from, Map<String, ?> body) {
    List<float[]> vectors = new ArrayList<>();
    embed(from, body).get("data").forEach(each -> vectors.add(floats(each.get("embedding"))));
    return vectors;
  }

  private static float[] floats(JsonNode array) {
    float[] floats = new float[array.size()];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = Float.parseFloat(array.get(i).asText());
    }
    return floats;
  }

  private static double dot(float[] a, float[] b) {
    return IntStream.range(0, a.length).mapToDouble(i -> (double) a[i] * b[i]).sum();
  }

  private static double cosine(float[] a, float[] b) {
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  }

  /** Of one text, by the base model and two adapters: three vectors, whatever runs beside. */
  @Test
  void embeddings_withAdapters_areTheirOwn() {
    Path lora = DEMO.resolve("lora");
    try (InProcessServer adapted =
        InProcessServer.start(
            "--runner=pooling",
            "--enable-lora",
            "--max-loras=2",
            "--allowed-lora-sources=" + lora.toAbsolutePath().normalize(),
            "--lora-modules=pirate=" + lora.resolve("pirate"))) {
      Client from = new Client(adapted.baseUrl());
      String french = lora.resolve("french").toAbsolutePath().normalize().toString();
      List<float[]> base = vectors(from, Map.of("input", TEXTS));
      List<float[]> pirate = vectors(from, Map.of("input", TEXTS, "model", "pirate"));
      List<float[]> other = vectors(from, Map.of("input", TEXTS, "dynamic-lora", french));
      List<float[]> plain = vectors(client, Map.of("input", TEXTS));
      for (int i = 0; i < TEXTS.size(); i++) {
        Map<String, Object> alone = Map.of("input", TEXTS.get(i), "model", "pirate");
        assertThat(vectors(from, alone).getFirst()).isEqualTo(pirate.get(i));
        assertThat(base.get(i)).isEqualTo(plain.get(i));
        assertThat(List.of(base.get(i), pirate.get(i), other.get(i))).doesNotHaveDuplicates();
        assertThat(cosine(base.get(i), pirate.get(i))).isBetween(0.0, 0.9999);
      }
      assertThat(embed(from, Map.of("input", CAR, "model", "pirate")).get("model").asText())
          .isEqualTo("pirate");
    }
  }

  @Test
  void embeddings_oneText_answersAsVllmDoes() {
    JsonNode answer = embed(client, Map.of("input", CAR, "model", "", "user", "somebody"));

    assertThat(answer.get("id").asText()).startsWith("embd-");
    assertThat(answer.get("object").asText()).isEqualTo("list");
    assertThat(answer.get("created").asLong()).isPositive();
    assertThat(answer.get("model").asText()).isNotEmpty();
    assertThat(answer.get("data")).hasSize(1);
    JsonNode only = answer.get("data").get(0);
    assertThat(only.get("index").asInt()).isZero();
    assertThat(only.get("object").asText()).isEqualTo("embedding");
    float[] vector = floats(only.get("embedding"));
    assertThat(dot(vector, vector)).isCloseTo(1, within(1e-6));
    int tokens = ok(client, "/tokenize", Map.of("prompt", CAR)).get("count").asInt();
    assertThat(answer.get("usage").get("prompt_tokens").asInt()).isEqualTo(tokens);
    assertThat(answer.get("usage").get("total_tokens").asInt()).isEqualTo(tokens);
    assertThat(answer.get("usage").get("completion_tokens").asInt()).isZero();
  }

  @Test
  void invocations_everyInput_isTheRouteThatItMeans() {
    List<String> few = TEXTS.subList(0, 2);
    Map<String, Object> chat = Map.of("messages", List.of(Map.of("role", "user", "content", CAR)));
    checkInvocation("/v1/embeddings", Map.of("input", few));
    checkInvocation("/v1/embeddings", chat);
    checkInvocation("/pooling", Map.of("input", few, "task", "token_embed"));
    checkInvocation("/score", Map.of("text_1", CAR, "text_2", few));
    checkInvocation("/score", Map.of("queries", CAR, "documents", few));
    checkInvocation("/rerank", Map.of("query", CAR, "documents", few));
    assertThat(client.post("/invocations", Map.of("prompt", CAR)).status()).isEqualTo(400);
  }

  private static void checkInvocation(String path, Map<String, ?> body) {
    JsonNode meant = ok(client, path, body);
    JsonNode invoked = ok(client, "/invocations", body);
    for (String answer : List.of("data", "results", "usage")) {
      assertThat(invoked.path(answer)).as(path).isEqualTo(meant.path(answer));
    }
    assertThat(invoked.has("data") || invoked.has("results")).isTrue();
  }

  @Test
  void embeddings_otherNumbers_areTheSameRounded() {
    float[] wanted = vectors(client, Map.of("input", CAR)).getFirst();
    for (ByteOrder order : List.of(ByteOrder.LITTLE_ENDIAN, ByteOrder.BIG_ENDIAN)) {
      String word = order == ByteOrder.BIG_ENDIAN ? "big" : "little";
      for (String type : List.of("float32", "float16", "bfloat16")) {
        Map<String, Object> body =
            Map.of(
                "input", CAR, "encoding_format", "base64", "endianness", word, "embed_dtype", type);
        String text = embed(client, body).at("/data/0/embedding").asText();
        ByteBuffer bytes = ByteBuffer.wrap(Base64.getDecoder().decode(text)).order(order);
        for (float value : wanted) {
          float told =
              switch (type) {
                case "float32" -> bytes.getFloat();
                case "float16" -> Float.float16ToFloat(bytes.getShort());
                default -> Float.intBitsToFloat(bytes.getShort() << 16);
              };
          double error = type.equals("float32") ? 0 : Math.abs(value) / 256 + 1e-6;
          assertThat((double) told).as(type).isCloseTo(value, within(error));
        }
        assertThat(bytes.hasRemaining()).isFalse();
      }
    }
  }

  @Test
  void embeddings_manyTexts_areTheSameBitsAlone() {
    List<float[]> together = vectors(client, Map.of("input", TEXTS));

    for (int i = 0; i < TEXTS.size(); i++) {
      List<float[]> alone = vectors(client, Map.of("input", TEXTS.get(i)));
      assertThat(together.get(i)).as(TEXTS.get(i)).isEqualTo(alone.getFirst());
    }
    assertThat(together.get(0)).isEqualTo(together.get(3)).isNotEqualTo(together.get(1));
  }

  @ParameterizedTest
  @ValueSource(strings = {"LAST", "MEAN", "CLS"})
  void embeddings_chunkedAndUncached_areTheSameBits(String type) {
    String config = "--pooler-config={\"pooling_type\":\"" + type + "\"}";
    List<List<float[]>> all = new ArrayList<>();
    for (String[] flags :
        List.of(
            new String[] {"--runner=pooling", config},
            new String[] {"--convert=embed", config, "--long-prefill-token-threshold=3"},
            new String[] {"--task=embed", config, "--no-enable-prefix-caching"})) {
      try (InProcessServer other = InProcessServer.start(flags)) {
        Client from = new Client(other.baseUrl());
        all.add(vectors(from, Map.of("input", TEXTS)));
        all.add(vectors(from, Map.of("input", TEXTS)));
      }
    }
    for (List<float[]> vectors : all) {
      for (int i = 0; i < TEXTS.size(); i++) {
        assertThat(vectors.get(i)).isEqualTo(all.getFirst().get(i));
      }
    }
    List<float[]> last = vectors(client, Map.of("input", TEXTS));
    if (type.equals("LAST")) {
      assertThat(all.getFirst().get(4)).isEqualTo(last.get(4));
    } else {
      assertThat(all.getFirst().get(4)).isNotEqualTo(last.get(4));
    }
  }

  @Test
  void embeddings_base64_areTheFloats() {
    List<float[]> floats = vectors(client, Map.of("input", TEXTS, "encoding_format", "float"));
    JsonNode data = embed(client, Map.of("input", TEXTS, "encoding_format", "base64")).get("data");

    for (int i = 0; i < TEXTS.size(); i++) {
      ByteBuffer bytes =
          ByteBuffer.wrap(Base64.getDecoder().decode(data.get(i).get("embedding").asText()))
              .order(ByteOrder.LITTLE_ENDIAN);
      float[] decoded = new float[bytes.remaining() / Float.BYTES];
      bytes.asFloatBuffer().get(decoded);
      assertThat(decoded).isEqualTo(floats.get(i));
    }
  }

  @Test
  void embeddings_tokenIdsAndChats_areTheirTexts() {
    List<Integer> ids = new ArrayList<>();
    ok(client, "/tokenize", Map.of("prompt", CAR)).get("tokens").forEach(id -> ids.add(id.asInt()));
    float[] expected = vectors(client, Map.of("input", CAR)).getFirst();
    assertThat(vectors(client, Map.of("input", ids)).getFirst()).isEqualTo(expected);
    assertThat(vectors(client, Map.of("input", List.of(ids, ids))).get(1)).isEqualTo(expected);
    List<Integer> end = ids.subList(ids.size() - 2, ids.size());
    assertThat(vectors(client, Map.of("input", CAR, "truncate_prompt_tokens", 2)).getFirst())
        .isEqualTo(vectors(client, Map.of("input", end)).getFirst())
        .isNotEqualTo(expected);

    List<Map<String, String>> chat = List.of(Map.of("role", "user", "content", CAR));
    List<Integer> chatIds = new ArrayList<>();
    ok(client, "/tokenize", Map.of("messages", chat, "add_generation_prompt", false))
        .get("tokens")
        .forEach(id -> chatIds.add(id.asInt()));
    assertThat(vectors(client, Map.of("messages", chat)).getFirst())
        .isEqualTo(vectors(client, Map.of("input", chatIds)).getFirst());
  }

  @Test
  void pooling_tokenWise_endsWithTheWholeOnesVector() {
    float[] whole = vectors(client, Map.of("input", CAR)).getFirst();
    JsonNode pooled = ok(client, "/pooling", Map.of("input", CAR));
    assertThat(pooled.get("id").asText()).startsWith("pool-");
    JsonNode only = pooled.get("data").get(0);
    assertThat(only.get("object").asText()).isEqualTo("pooling");
    assertThat(floats(only.get("data"))).isEqualTo(whole);
    JsonNode tokens =
        ok(client, "/pooling", Map.of("input", CAR, "task", "token_embed"))
            .get("data")
            .get(0)
            .get("data");
    assertThat(tokens).hasSize(pooled.get("usage").get("prompt_tokens").asInt());
    assertThat(floats(tokens.get(tokens.size() - 1))).isEqualTo(whole);
    JsonNode plain = ok(client, "/pooling", Map.of("input", CAR, "use_activation", false));
    float[] unscaled = floats(plain.get("data").get(0).get("data"));
    assertThat(dot(unscaled, unscaled)).isNotCloseTo(1, within(1e-3));
    assertThat(cosine(unscaled, whole)).isCloseTo(1, within(1e-6));
  }

  @ParameterizedTest
  @ValueSource(strings = {"/score", "/v1/score"})
  void score_oneOrManyTexts_areCosines(String path) {
    List<float[]> vectors = vectors(client, Map.of("input", TEXTS));
    JsonNode one = ok(client, path, Map.of("text_1", CAR, "text_2", TEXTS));
    JsonNode many = ok(client, path, Map.of("queries", TEXTS, "documents", TEXTS));

    assertThat(one.get("data")).hasSize(TEXTS.size());
    for (int i = 0; i < TEXTS.size(); i++) {
      JsonNode each = one.get("data").get(i);
      assertThat(each.get("index").asInt()).isEqualTo(i);
      assertThat(each.get("object").asText()).isEqualTo("score");
      assertThat(each.get("score").asDouble())
          .isCloseTo(cosine(vectors.getFirst(), vectors.get(i)), within(1e-6));
      assertThat(many.get("data").get(i).get("score").asDouble()).isCloseTo(1, within(1e-6));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"/rerank", "/v1/rerank", "/v2/rerank"})
  void rerank_documents_comeBestFirst(String path) {
    JsonNode answer = ok(client, path, Map.of("query", CAR, "documents", TEXTS));

    assertThat(answer.get("id").asText()).startsWith("rerank-");
    assertThat(answer.get("usage").get("total_tokens").asInt()).isPositive();
    JsonNode results = answer.get("results");
    assertThat(results).hasSize(TEXTS.size());
    assertThat(results.get(0).get("index").asInt()).isZero();
    assertThat(results.get(1).get("index").asInt()).isEqualTo(3);
    for (int i = 0; i < results.size(); i++) {
      int index = results.get(i).get("index").asInt();
      assertThat(results.get(i).get("document").get("text").asText()).isEqualTo(TEXTS.get(index));
      if (i > 0) {
        assertThat(results.get(i).get("relevance_score").asDouble())
            .isLessThanOrEqualTo(results.get(i - 1).get("relevance_score").asDouble());
      }
    }
    assertThat(
            ok(client, path, Map.of("query", CAR, "documents", TEXTS, "top_n", 2)).get("results"))
        .hasSize(2);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "/v1/embeddings | {}                                              | input",
        "/v1/embeddings | {\"input\":[]}                                  | input",
        "/v1/embeddings | {\"input\":\"\",\"add_special_tokens\":false} | prompt",
        "/v1/embeddings | {\"input\":[\"a\",7]}                           | input.1",
        "/v1/embeddings | {\"input\":[99999999]}                          | input.0",
        "/v1/embeddings | {\"input\":\"a\",\"dimensions\":8}              | dimensions",
        "/v1/embeddings | {\"input\":\"a\",\"encoding_format\":\"bytes\"} | encoding_format",
        "/v1/embeddings | {\"input\":\"a\",\"embed_dtype\":\"fp8\"}   | embed_dtype",
        "/v1/embeddings | {\"input\":\"a\",\"endianness\":\"odd\"}        | endianness",
        "/v1/embeddings | {\"input\":\"a\",\"priority\":3}                | priority",
        "/v1/embeddings | {\"input\":\"a\",\"truncate_prompt_tokens\":0}  | truncate_prompt_tokens",
        "/pooling       | {\"input\":\"a\",\"task\":\"classify\"}         | task",
        "/score         | {\"text_1\":\"a\"}                              | text_1",
        "/score         | {\"text_1\":[\"a\",\"b\"],\"text_2\":[\"c\"]}   | text_2",
        "/score         | {\"text_1\":\"a\",\"text_2\":[1]}               | text_2",
        "/rerank        | {\"documents\":[\"a\"]}                         | query",
        "/rerank        | {\"query\":\"a\",\"documents\":[]}              | documents",
        "/rerank        | {\"query\":\"a\",\"documents\":[\"b\"],\"top_n\":-1} | top_n",
      })
  void anyRoute_wrongField_namesIt(String path, String body, String parameter) {
    Client.Answer answer = client.post(path, body);

    assertThat(answer.status()).as(answer.body()).isEqualTo(400);
    JsonNode error = answer.json().get("error");
    assertThat(error.get("type").asText()).isEqualTo("BadRequestError");
    assertThat(error.get("param").asText()).as(answer.body()).isEqualTo(parameter);
  }

  @Test
  void generatingRoutes_modelEmbeds_areRefused() {
    for (Map.Entry<String, Map<String, ?>> each :
        Map.<String, Map<String, ?>>of(
                "/v1/completions",
                Map.of("prompt", CAR),
                "/v1/chat/completions",
                Map.of("messages", List.of(Map.of("role", "user", "content", CAR))),
                "/generate",
                Map.of("prompt", CAR))
            .entrySet()) {
      Client.Answer answer = client.post(each.getKey(), each.getValue());
      assertThat(answer.status()).as(each.getKey()).isEqualTo(400);
      assertThat(answer.body()).contains("--runner generate");
    }
    assertThat(client.post("/v1/embeddings", Map.of("input", CAR, "model", "x")).status())
        .isEqualTo(404);
    int max = InProcessServer.config().limits().promptsMax();
    List<String> many = Stream.generate(() -> "a").limit(max + 1L).toList();
    assertThat(client.post("/v1/embeddings", Map.of("input", many)).status()).isEqualTo(400);
    assertThat(client.post("/rerank", Map.of("query", CAR, "documents", many)).status())
        .isEqualTo(400);
    server.awaitIdle();
  }

  @Test
  void poolingRoutes_modelGenerates_areRefused() {
    try (InProcessServer generating = InProcessServer.start()) {
      Client from = new Client(generating.baseUrl());
      for (Map.Entry<String, Map<String, ?>> each :
          Map.<String, Map<String, ?>>of(
                  "/v1/embeddings", Map.of("input", CAR),
                  "/pooling", Map.of("input", CAR),
                  "/v1/score", Map.of("text_1", CAR, "text_2", CAR),
                  "/v2/rerank", Map.of("query", CAR, "documents", TEXTS))
              .entrySet()) {
        Client.Answer answer = from.post(each.getKey(), each.getValue());
        assertThat(answer.status()).as(each.getKey()).isEqualTo(400);
        assertThat(answer.body()).contains("--runner pooling");
      }
    }
  }

  @Test
  void embeddings_tokenWiseModel_onlyPools() {
    try (InProcessServer all =
        InProcessServer.start("--runner=pooling", "--pooler-config={\"pooling_type\":\"ALL\"}")) {
      Client from = new Client(all.baseUrl());
      assertThat(from.post("/v1/embeddings", Map.of("input", CAR)).status()).isEqualTo(400);
      assertThat(from.post("/score", Map.of("text_1", CAR, "text_2", CAR)).status()).isEqualTo(400);
      JsonNode data = ok(from, "/pooling", Map.of("input", CAR)).get("data").get(0).get("data");
      assertThat(data.get(0).isArray()).isTrue();
    }
  }

  /** What Sentence Transformers leave beside a model says how it embeds, without any flag. */
  @Test
  void embeddings_modelSaysHow_needNoFlag(@TempDir Path directory) throws IOException {
    try (Stream<Path> files = Files.list(DEMO)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, directory.resolve(file.getFileName()));
      }
    }
    Path config = directory.resolve("config.json");
    String shortened = "{\"matryoshka_dimensions\": [32, 16],";
    Files.writeString(config, Files.readString(config).replaceFirst("\\{", shortened));
    Files.writeString(
        directory.resolve("modules.json"),
        "[{\"type\": \"sentence_transformers.models.Pooling\", \"path\": \"1_Pooling\"}]");
    Files.createDirectory(directory.resolve("1_Pooling"));
    Files.writeString(
        directory.resolve("1_Pooling/config.json"), "{\"pooling_mode_mean_tokens\": true}");
    try (InProcessServer own = InProcessServer.start("--model=" + directory);
        InProcessServer mean =
            InProcessServer.start(
                "--runner=pooling", "--override-pooler-config={\"pooling_type\":\"mean\"}")) {
      Client from = new Client(own.baseUrl());
      float[] plain = vectors(from, Map.of("input", CAR)).getFirst();
      float[] normal = vectors(from, Map.of("input", CAR, "normalize", true)).getFirst();
      assertThat(normal)
          .isEqualTo(vectors(new Client(mean.baseUrl()), Map.of("input", CAR)).getFirst());
      assertThat(cosine(plain, normal)).isCloseTo(1, within(1e-6));
      assertThat(dot(plain, plain)).isNotCloseTo(1, within(1e-3));
      float[] some = vectors(from, Map.of("input", CAR, "dimensions", 16)).getFirst();
      assertThat(some).hasSize(16).isEqualTo(Arrays.copyOf(plain, 16));
      float[] unit =
          vectors(from, Map.of("input", CAR, "dimensions", 32, "normalize", true)).getFirst();
      assertThat(unit).hasSize(32);
      assertThat(dot(unit, unit)).isCloseTo(1, within(1e-6));
      assertThat(from.post("/v1/embeddings", Map.of("input", CAR, "dimensions", 8)).status())
          .isEqualTo(400);
    }
  }

  /** As models that embed are published: a decoder alone, whose weights have no name in front. */
  @Test
  void embeddings_decoderSavedAlone_areTheSameBits(@TempDir Path directory) {
    DemoVariant.in(
        directory,
        Map.of("LlamaForCausalLM", "LlamaModel", "\"tie_word_embeddings\": true", "\"a\": 1"));
    DemoVariant.strip(directory, "model.");
    try (InProcessServer own = InProcessServer.start("--model=" + directory);
        InProcessServer whole = InProcessServer.start("--runner=pooling")) {
      Map<String, Object> body = Map.of("input", List.of(CAR, "A motor car has wheels."));
      List<float[]> expected = vectors(new Client(whole.baseUrl()), body);
      List<float[]> actual = vectors(new Client(own.baseUrl()), body);
      assertThat(actual).hasSameSizeAs(expected);
      for (int i = 0; i < actual.size(); i++) {
        assertThat(actual.get(i)).isEqualTo(expected.get(i));
      }
      assertThat(new Client(own.baseUrl()).post("/v1/completions", Map.of("prompt", CAR)).status())
          .isEqualTo(400);
    }
  }
}
