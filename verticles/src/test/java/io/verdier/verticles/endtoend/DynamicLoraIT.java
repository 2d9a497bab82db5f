package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Adapters that come and go while the server answers, from a bucket, an archive and a directory:
 * the golden tokens whatever was evicted in between. One server for all, some 5 s.
 */
@Tag("java-kernels")
class DynamicLoraIT {
  private static final Path GOLDEN = Path.of("../engine/src/test/resources/golden");
  private static final List<String> NAMES = List.of("", "pirate", "french");
  @TempDir static Path directory;
  private static AdapterCloud cloud;
  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() throws IOException {
    cloud = new AdapterCloud();
    cloud.addDemo("pirate", "pirate");
    cloud.addDemo("french", "french");
    cloud.addDemo("tenant-a/support", "pirate");
    cloud.addDemo("tenant-b/support", "french");
    for (int i = 0; i < 3; i++) {
      cloud.addGenerated("other-" + i, i);
    }
    cloud.copyTo(directory.resolve("local"));
    List<String> flags =
        new ArrayList<>(
            List.of(
                "--backend=cpu",
                "--cpu-kernels=java",
                "--enable-lora",
                "--max-loras=2",
                "--max-cpu-loras=2",
                "--allow-runtime-lora-updating",
                "--allowed-lora-sources",
                "gs://bucket,http://" + cloud.authority() + "," + directory.resolve("local")));
    flags.addAll(cloud.flags(directory));
    server = InProcessServer.start(flags.toArray(String[]::new));
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.awaitIdle();
    server.close();
    cloud.close();
  }

  private static Map<String, Object> completion(int prompt, String adapter) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", read("logits.json").get(prompt).get("ids"));
    body.put("max_tokens", 64);
    body.put("temperature", 0);
    body.put("return_token_ids", true);
    if (!adapter.isEmpty()) {
      body.put("dynamic-lora", adapter);
    }
    return body;
  }

  private static List<Integer> tokens(Client.Answer answer) {
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return ints(answer.json().at("/choices/0/token_ids"));
  }

  private static List<Integer> golden(int prompt, String name) {
    String file = name.isEmpty() ? "logits.json" : "logits-lora-" + name + ".json";
    return ints(read(file).get(prompt).at("/greedy/ids"));
  }

  private static List<Integer> ints(JsonNode array) {
    List<Integer> values = new ArrayList<>();
    array.forEach(it -> values.add(it.asInt()));
    return values;
  }

  private static JsonNode read(String file) {
    try {
      return Client.JSON.readTree(GOLDEN.resolve(file).toFile()).get("cases");
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void dynamicLora_aloneMixedEvictedAndReloaded_isGolden() throws Exception {
    double loads = server.metric("verdier:lora_loads_total");
    for (int round = 0; round < 2; round++) {
      for (String name : NAMES) {
        String place = name.isEmpty() ? "" : AdapterCloud.BUCKET + name;
        assertThat(tokens(client.post("/v1/completions", completion(round, place))))
            .isEqualTo(golden(round, name));
      }
      for (int i = 0; i < 3; i++) { // push both out
        tokens(client.post("/v1/completions", completion(0, AdapterCloud.BUCKET + "other-" + i)));
      }
    }
    assertThat(server.metric("verdier:lora_loads_total") - loads).isGreaterThanOrEqualTo(8);
    assertThat(server.metric("verdier:lora_host_adapters")).isEqualTo(2);
    assertThat(server.metric("verdier:lora_disk_bytes")).isPositive();
    mixed();
  }

  /** Four adapters and the base model ask for two slots and two rooms. */
  private static void mixed() throws Exception {
    try (ExecutorService threads = Executors.newFixedThreadPool(12)) {
      List<Future<List<Integer>>> answers = new ArrayList<>();
      List<Future<List<Integer>>> others = new ArrayList<>();
      List<List<Integer>> expected = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        int prompt = i;
        for (String name : NAMES) {
          String place = name.isEmpty() ? "" : AdapterCloud.BUCKET + name;
          answers.add(
              threads.submit(
                  () -> tokens(client.post("/v1/completions", completion(prompt, place)))));
          expected.add(golden(i, name));
        }
        Map<String, Object> other = completion(i, AdapterCloud.BUCKET + "other-" + i % 2);
        others.add(threads.submit(() -> tokens(client.post("/v1/completions", other))));
      }
      for (int i = 0; i < answers.size(); i++) {
        assertThat(answers.get(i).get()).as("answer " + i).isEqualTo(expected.get(i));
      }
      for (Future<List<Integer>> other : others) {
        assertThat(other.get()).isNotEmpty();
      }
    }
  }

  @Test
  void predict_dynamicLora_takesArchivesAndDirectories() {
    String zip = "http://" + cloud.authority() + "/zip/french.zip?X-Goog-Signature=secret";
    String local = directory.resolve("local/french").toString();
    Map<String, Object> instance = completion(1, "");
    instance.put("prompt", "What is a car?");
    instance.remove("return_token_ids");
    instance.put("raw_response", true);
    List<String> answers = new ArrayList<>();
    for (Map.Entry<String, String> way :
        List.of(
            Map.entry("dynamic-lora", zip),
            Map.entry("lora_id", local),
            Map.entry("dynamic-lora", "gs://bucket/french/"))) {
      Map<String, Object> asked = new LinkedHashMap<>(instance);
      asked.put(way.getKey(), way.getValue());
      Client.Answer answer = client.post("/generate", Map.of("instances", List.of(asked)));
      assertThat(answer.status()).as(answer.body()).isEqualTo(200);
      answers.add(answer.json().at("/predictions/0").asText());
    }
    Client.Answer base = client.post("/generate", Map.of("instances", List.of(instance)));
    assertThat(answers).containsOnly(answers.getFirst());
    assertThat(base.json().at("/predictions/0").asText()).isNotEqualTo(answers.getFirst());
  }

  /** By place, by its other word, by name, alone and through both shapes of Vertex AI's chats. */
  @Test
  void chat_withAnAdapter_isItsAnswerOnEveryRoute() {
    Map<String, Object> chat = new LinkedHashMap<>();
    chat.put("messages", List.of(Map.of("role", "user", "content", "What is a car?")));
    chat.put("temperature", 0);
    chat.put("max_tokens", 64);
    String base = said(client.post("/v1/chat/completions", chat).json());
    Map<String, Object> load = Map.of("lora_name", "anne", "lora_path", "gs://bucket/pirate");
    assertThat(client.post("/v1/load_lora_adapter", load).status()).isEqualTo(200);
    Map<String, Object> named = new LinkedHashMap<>(chat);
    named.put("model", "anne");
    String pirate = said(client.post("/v1/chat/completions", named).json());
    assertThat(pirate).startsWith("Ahoy, matey! A car, or a motor car, be a").isNotEqualTo(base);
    for (String word : List.of("dynamic-lora", "lora_id")) {
      Map<String, Object> placed = new LinkedHashMap<>(chat);
      placed.put(word, "gs://bucket/pirate");
      assertThat(said(client.post("/v1/chat/completions", placed).json())).isEqualTo(pirate);
      placed.put("stream", true);
      StringBuilder streamed = new StringBuilder();
      Client.events(client.post("/v1/chat/completions", placed))
          .forEach(event -> streamed.append(event.at("/choices/0/delta/content").asText("")));
      assertThat(streamed.toString()).isEqualTo(pirate);
      placed.remove("stream");
      placed.put("@requestFormat", "chatCompletions");
      assertThat(said(client.post("/generate", placed).json())).isEqualTo(pirate);
      JsonNode instances =
          client.post("/generate", Map.of("instances", List.of(placed))).json().get("predictions");
      assertThat(said(instances)).isEqualTo(pirate);
    }
    assertThat(client.post("/v1/unload_lora_adapter", Map.of("lora_name", "anne")).status())
        .isEqualTo(200);
  }

  private static String said(JsonNode chat) {
    return chat.at("/choices/0/message/content").asText();
  }

  /** The same prompt, so that the prefix cache would serve the one's blocks to the other. */
  @Test
  void adapters_ofOneName_neverMix() {
    for (int round = 0; round < 2; round++) {
      for (String[] tenant : new String[][] {{"a", "pirate"}, {"b", "french"}}) {
        String place = AdapterCloud.BUCKET + "tenant-" + tenant[0] + "/support";
        assertThat(tokens(client.post("/v1/completions", completion(3, place))))
            .isEqualTo(golden(3, tenant[1]));
        Map<String, Object> load = new LinkedHashMap<>();
        load.put("lora_name", "support");
        load.put("lora_path", place);
        load.put("load_inplace", true);
        assertThat(client.post("/v1/load_lora_adapter", load).status()).isEqualTo(200);
        Map<String, Object> named = completion(3, "");
        named.put("model", "support");
        assertThat(tokens(client.post("/v1/completions", named))).isEqualTo(golden(3, tenant[1]));
      }
    }
    assertThat(client.post("/v1/unload_lora_adapter", Map.of("lora_name", "support")).status())
        .isEqualTo(200);
  }

  @Test
  void names_loadedAndUnloaded_areServedInBetween() throws Exception {
    Map<String, Object> load = Map.of("lora_name", "pete", "lora_path", "gs://bucket/pirate");
    Client.Answer loaded = client.post("/v1/load_lora_adapter", load);
    assertThat(loaded.body()).isEqualTo("Success: LoRA adapter 'pete' added successfully.");
    assertThat(client.post("/v1/load_lora_adapter", load).body())
        .contains("InvalidUserInput", "'pete' has already been loaded");
    assertThat(client.get("/v1/models").body())
        .contains("\"id\":\"pete\"", "\"root\":\"gs://bucket/pirate\"");
    Map<String, Object> named = completion(2, "");
    named.put("model", "pete");
    named.put("max_tokens", 400);
    named.put("ignore_eos", true);
    List<Integer> whole = tokens(client.post("/v1/completions", named));
    named.put("stream", true);
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(server.baseUrl() + "/v1/completions"))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(Client.JSON.writeValueAsString(named)))
            .build();
    HttpResponse<InputStream> stream =
        HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofInputStream());
    byte[] first = stream.body().readNBytes(200); // it runs

    assertThat(client.post("/v1/unload_lora_adapter", Map.of("lora_name", "pete")).body())
        .isEqualTo("Success: LoRA adapter 'pete' removed successfully.");
    named.put("stream", false);
    assertThat(client.post("/v1/completions", named).status()).isEqualTo(404);
    assertThat(client.get("/v1/models").body()).doesNotContain("pete");
    String text =
        new String(first, StandardCharsets.UTF_8)
            + new String(stream.body().readAllBytes(), StandardCharsets.UTF_8);
    List<Integer> streamed = new ArrayList<>();
    Client.events(new Client.Answer(200, text))
        .forEach(event -> streamed.addAll(ints(event.at("/choices/0/token_ids"))));
    assertThat(streamed).isEqualTo(whole);
    assertThat(client.post("/v1/unload_lora_adapter", Map.of("lora_name", "pete")).status())
        .isEqualTo(404);
  }

  @Test
  void errors_each_nameTheirSourceAndHurtNobodyElse() throws IOException {
    String config =
        "{\"peft_type\":\"LORA\",\"r\":%s,\"lora_alpha\":8,\"target_modules\":\"all-linear\"}";
    cloud.add("no-config", "adapter_model.safetensors", AdapterCloud.weights(1));
    cloud.add(
        "no-weights", "adapter_config.json", config.formatted(2).getBytes(StandardCharsets.UTF_8));
    bad("rank", config.formatted(64), AdapterCloud.weights(1));
    bad("shape", config.formatted(4), AdapterCloud.weights(1));
    bad("fields", "{\"peft_type\":\"LORA\"}", AdapterCloud.weights(1));
    bad("dora", config.formatted("2,\"use_dora\":true"), AdapterCloud.weights(1));
    bad("json", "{", AdapterCloud.weights(1));
    bad("tensors", config.formatted(2), new byte[100]);
    bad(
        "module",
        config.formatted(2),
        new String(AdapterCloud.weights(1), StandardCharsets.ISO_8859_1)
            .replace("layers.4.self_attn.q_proj", "layers.9.self_attn.q_proj")
            .getBytes(StandardCharsets.ISO_8859_1));
    bad("new-tokens", config.formatted(2), AdapterCloud.weights(1));
    cloud.add("bad-new-tokens", "new_embeddings.safetensors", new byte[100]);
    Map<String, String> expected = new LinkedHashMap<>();
    expected.put("gs://bucket/nothing", "nothing");
    expected.put("gs://bucket/no-config", "adapter_config.json");
    expected.put("gs://bucket/no-weights", "adapter_model.safetensors");
    expected.put("gs://bucket/bad-rank", "LoRA rank 64 is greater than max_lora_rank 16");
    expected.put("gs://bucket/bad-shape", "has shape");
    expected.put("gs://bucket/bad-fields", "Missing required configuration fields");
    expected.put("gs://bucket/bad-dora", "use_dora");
    expected.put("gs://bucket/bad-json", "adapter_config.json");
    expected.put("gs://bucket/bad-tensors", "adapter_model.safetensors");
    expected.put("gs://bucket/bad-module", "not in the model");
    expected.put("gs://bucket/bad-new-tokens", "it has new_embeddings.safetensors");
    expected.put("gs://other/pirate", "--allowed-lora-sources");
    expected.put("/etc", "--allowed-lora-sources");
    expected.put("org/name", "--allowed-lora-sources");
    expected.put(directory.resolve("local/nothing").toString(), "no such directory");
    double failures = server.metric("verdier:lora_load_failures_total");
    expected.forEach(
        (place, reason) -> {
          Client.Answer answer = client.post("/v1/completions", completion(0, place));
          assertThat(answer.status()).as(answer.body()).isEqualTo(400);
          assertThat(answer.body()).contains(reason, "\"param\":\"dynamic-lora\"");
        });
    ClusterFixture.await( // the answer may come first
        () -> server.metric("verdier:lora_load_failures_total") - failures == 12,
        "twelve loads failed");
    requireLoadFails("gs://bucket/nothing", 404);
    requireLoadFails("gs://bucket/bad-rank", 400);
    requireLoadFails("", 400);
    assertThat(
            client
                .post(
                    "/v1/load_lora_adapter",
                    Map.of("lora_name", "verdier-demo", "lora_path", "gs://bucket/pirate"))
                .status())
        .isEqualTo(400);
    assertThat(tokens(client.post("/v1/completions", completion(0, "")))).isEqualTo(golden(0, ""));
  }

  private static void bad(String name, String config, byte[] weights) {
    AdapterCloud.config(config).forEach((file, content) -> cloud.add("bad-" + name, file, content));
    cloud.add("bad-" + name, "adapter_model.safetensors", weights);
  }

  private static void requireLoadFails(String place, int status) {
    Client.Answer answer =
        client.post("/v1/load_lora_adapter", Map.of("lora_name", "bad", "lora_path", place));
    assertThat(answer.status()).as(answer.body()).isEqualTo(status);
    assertThat(client.get("/v1/models").body()).doesNotContain("\"id\":\"bad\"");
  }

  /** All who come while it is on its way wait for it: one listing, and each file once. */
  @Test
  void source_askedForByManyAtOnce_isFetchedOnce() throws Exception {
    cloud.addGenerated("wanted", 77);
    Map<String, AtomicInteger> asked = new ConcurrentHashMap<>();
    CountDownLatch allWait = new CountDownLatch(1);
    cloud.faults =
        path -> {
          if (path.contains("wanted")) {
            asked.computeIfAbsent(path, it -> new AtomicInteger()).incrementAndGet();
            awaitQuietly(allWait);
          }
          return AdapterCloud.Fault.NONE;
        };
    double loads = server.metric("verdier:lora_loads_total");
    List<Future<List<Integer>>> answers = new ArrayList<>();
    try (ExecutorService threads = Executors.newFixedThreadPool(24)) {
      for (int i = 0; i < 24; i++) {
        Map<String, Object> body = completion(0, AdapterCloud.BUCKET + "wanted");
        answers.add(threads.submit(() -> tokens(client.post("/v1/completions", body))));
      }
      ClusterFixture.await(
          () -> server.metric("verdier:lora_waiting") == 24, "all of them wait for it");
      allWait.countDown();
    } finally {
      cloud.faults = path -> AdapterCloud.Fault.NONE;
    }
    for (Future<List<Integer>> answer : answers) {
      assertThat(answer.get()).isNotEmpty().isEqualTo(answers.getFirst().get());
    }
    assertThat(asked).hasSize(3);
    assertThat(asked.values()).as("%s", asked).allMatch(count -> count.get() == 1);
    assertThat(server.metric("verdier:lora_loads_total") - loads).isEqualTo(1);
  }

  /** Fails its own requests in time, keeps no thread, and is served once the source is well. */
  @Test
  void source_thatHangsOrHasTooMuch_isGivenUp() {
    cloud.addGenerated("slow", 78);
    cloud.addDemo("large", "pirate");
    CountDownLatch mended = new CountDownLatch(1);
    cloud.faults =
        path -> {
          if (path.contains("slow/adapter_model")) {
            awaitQuietly(mended);
          }
          return AdapterCloud.Fault.NONE;
        };
    List<String> flags =
        new ArrayList<>(
            List.of(
                "--backend=cpu",
                "--cpu-kernels=java",
                "--enable-lora",
                "--max-lora-size=1M",
                "--lora-fetch-timeout=1"));
    flags.addAll(cloud.flags(directory.resolve("bounds")));
    try (InProcessServer bounded = InProcessServer.start(flags.toArray(String[]::new))) {
      Client its = new Client(bounded.baseUrl());
      long start = System.nanoTime();
      Client.Answer answer = its.post("/v1/completions", completion(0, "gs://bucket/slow"));
      assertThat(answer.status()).as(answer.body()).isEqualTo(503);
      assertThat(answer.body())
          .contains("gs://bucket/slow: it was not there within --lora-fetch-timeout 1 s.");
      assertThat(System.nanoTime() - start).isLessThan(TimeUnit.SECONDS.toNanos(20));
      cloud.add("large", "adapter_model.safetensors", new byte[2 << 20]);
      Client.Answer large = its.post("/v1/completions", completion(0, "gs://bucket/large"));
      assertThat(large.status()).isEqualTo(400);
      assertThat(large.body()).contains("its 2.0 MiB are more than --max-lora-size 1.0 MiB.");
      mended.countDown();
      ClusterFixture.await( // the failure stands for 100 ms
          () -> its.post("/v1/completions", completion(0, "gs://bucket/slow")).status() == 200,
          "the source is well again");
    } finally {
      mended.countDown();
      cloud.faults = path -> AdapterCloud.Fault.NONE;
    }
  }

  private static void awaitQuietly(CountDownLatch latch) {
    try {
      assertThat(latch.await(60, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException stopped) {
      Thread.currentThread().interrupt();
    }
  }

  @Test
  void source_failsAndIsMended_failsOnlyThoseWhoAsked() {
    cloud.addGenerated("flaky", 99);
    cloud.faults =
        path -> path.contains("flaky") ? AdapterCloud.Fault.status(403) : AdapterCloud.Fault.NONE;
    Client.Answer answer = client.post("/v1/completions", completion(0, "gs://bucket/flaky"));
    assertThat(answer.status()).isEqualTo(400);
    assertThat(answer.body()).contains("gs://bucket/flaky");
    assertThat(tokens(client.post("/v1/completions", completion(0, "gs://bucket/pirate"))))
        .isEqualTo(golden(0, "pirate"));
    cloud.faults = path -> AdapterCloud.Fault.NONE;
    int tries = 0; // the failure stands for 100 ms
    do {
      answer = client.post("/v1/completions", completion(0, "gs://bucket/flaky"));
    } while (answer.status() != 200 && ++tries < 10_000);
    tokens(answer);
  }

  /** Whose files change under the server's feet is not served something else by its name. */
  @Test
  void files_changedInPlace_areNotServedUnderTheOldName() throws IOException {
    Path files = directory.resolve("changing");
    copy("pirate", files);
    Map<String, Object> load =
        new LinkedHashMap<>(Map.of("lora_name", "changing", "lora_path", files.toString()));
    assertThat(client.post("/v1/load_lora_adapter", load).status()).isEqualTo(200);
    copy("french", files);
    for (int i = 0; i < 3; i++) { // push it out
      tokens(client.post("/v1/completions", completion(0, AdapterCloud.BUCKET + "other-" + i)));
    }
    Map<String, Object> named = completion(1, "");
    named.put("model", "changing");
    Client.Answer refused = client.post("/v1/completions", named);
    assertThat(refused.status()).isEqualTo(503);
    assertThat(refused.body()).contains("have changed since it was loaded");
    load.put("load_inplace", true);
    assertThat(client.post("/v1/load_lora_adapter", load).status()).isEqualTo(200);
    assertThat(tokens(client.post("/v1/completions", named))).isEqualTo(golden(1, "french"));
  }

  private static void copy(String name, Path to) throws IOException {
    Files.createDirectories(to);
    for (String file : List.of("adapter_config.json", "adapter_model.safetensors")) {
      Files.write(
          to.resolve(file),
          Files.readAllBytes(directory.resolve("local").resolve(name).resolve(file)));
    }
  }
}
