package io.verdier.verticles.endtoend;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.engine.model.PublishedConfigs;
import io.verdier.verticles.launch.InProcessServer;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * What loading adapters does to those who ask for none: the gaps between tokens of streams of the
 * base model, while nothing else happens and while adapters of rank 16 on all projections are
 * loaded and unloaded one after the other, in turns. A program, not a test: {@code java -cp ...
 * io.verdier.verticles.endtoend.AdapterLoadBench llama-3.2-1b 2 4 10}, with the model's dimensions,
 * the threads, the streams and the rounds.
 */
final class AdapterLoadBench {
  private static final Path DEMO = Path.of("../engine/src/main/resources/demo-model");
  private static final int ADAPTERS = 4;
  private static final int RANK = 16;
  private static final int TOKENS = 96;

  private final HttpClient http = HttpClient.newHttpClient();
  private final String url;
  private final int streams;
  private final Path adapters;
  private int loads;

  private AdapterLoadBench(String url, int streams, Path adapters) {
    this.url = url;
    this.streams = streams;
    this.adapters = adapters;
  }

  public static void main(String[] args) throws Exception {
    Path directory = Files.createTempDirectory("adapter-load-bench");
    Path model = Files.createDirectory(directory.resolve("model"));
    PublishedConfigs.write(args[0], model);
    for (String name : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.copy(DEMO.resolve(name), model.resolve(name));
    }
    JsonNode config = Client.JSON.readTree(model.resolve("config.json").toFile());
    for (int i = 0; i < ADAPTERS; i++) {
      write(Files.createDirectory(directory.resolve("adapter-" + i)), config, i);
    }
    try (InProcessServer server =
        InProcessServer.start(
            "--model=" + model,
            "--load-format=dummy",
            "--backend=cpu",
            "--threads=" + args[1],
            "--max-model-len=512",
            "--enable-lora",
            "--max-loras=2",
            "--max-cpu-loras=2",
            "--allow-runtime-lora-updating",
            "--allowed-lora-sources=" + directory)) {
      var bench = new AdapterLoadBench(server.baseUrl(), Integer.parseInt(args[2]), directory);
      bench.run(Integer.parseInt(args[3]));
    }
  }

  private void run(int rounds) throws Exception {
    gaps(false); // warms up
    gaps(true);
    loads = 0;
    List<Double> quiet = new ArrayList<>();
    List<Double> loading = new ArrayList<>();
    double[] ratios = new double[rounds];
    for (int round = 0; round < rounds; round++) {
      List<Double> without = gaps(false);
      List<Double> with = gaps(true);
      ratios[round] = quantile(with, 0.99) / quantile(without, 0.99);
      quiet.addAll(without);
      loading.addAll(with);
    }
    Arrays.sort(ratios);
    report("quiet", quiet);
    report("loading", loading);
    System.out.printf(
        Locale.ROOT,
        "%d loads; p99 with against without: %.3f, median of rounds %.3f%n",
        loads,
        quantile(loading, 0.99) / quantile(quiet, 0.99),
        ratios[rounds / 2]);
  }

  private static void report(String name, List<Double> gaps) {
    System.out.printf(
        Locale.ROOT,
        "%-8s %6d gaps, p50 %.2f ms, p90 %.2f ms, p99 %.2f ms%n",
        name,
        gaps.size(),
        quantile(gaps, 0.5),
        quantile(gaps, 0.9),
        quantile(gaps, 0.99));
  }

  private static double quantile(List<Double> values, double share) {
    List<Double> sorted = values.stream().sorted().toList();
    return sorted.get((int) Math.min(sorted.size() - 1.0, share * sorted.size()));
  }

  /** Gaps between tokens of some streams, all at once, in milliseconds. */
  private List<Double> gaps(boolean isLoading) throws Exception {
    AtomicBoolean isOver = new AtomicBoolean(!isLoading);
    try (ExecutorService pool = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<Integer> loaded = pool.submit(() -> load(isOver));
      List<Callable<List<Double>>> clients = new ArrayList<>();
      for (int i = 0; i < streams; i++) {
        clients.add(this::stream);
      }
      List<Double> all = new ArrayList<>();
      for (Future<List<Double>> client : pool.invokeAll(clients)) {
        all.addAll(client.get());
      }
      isOver.set(true);
      loads += loaded.get();
      return all;
    }
  }

  private int load(AtomicBoolean isOver) throws Exception {
    int done = 0;
    for (; !isOver.get(); done++) {
      String name = "adapter-" + done % ADAPTERS;
      post(
          "/v1/load_lora_adapter",
          Map.of("lora_name", name, "lora_path", adapters.resolve(name).toString()));
      post("/v1/unload_lora_adapter", Map.of("lora_name", name));
    }
    return done;
  }

  private void post(String path, Map<String, ?> body) throws Exception {
    var answer = http.send(request(path, body), BodyHandlers.ofString());
    if (answer.statusCode() != 200) {
      throw new IllegalStateException(path + ": " + answer.body());
    }
  }

  private HttpRequest request(String path, Map<String, ?> body) throws IOException {
    return HttpRequest.newBuilder(URI.create(url + path))
        .header("Content-Type", "application/json")
        .POST(HttpRequest.BodyPublishers.ofString(Client.JSON.writeValueAsString(body)))
        .build();
  }

  /** The first gap is behind the first token, so that no prompt counts. */
  private List<Double> stream() throws Exception {
    Map<String, ?> body =
        Map.of("prompt", "Hi", "stream", true, "max_tokens", TOKENS, "ignore_eos", true);
    List<Double> gaps = new ArrayList<>();
    long last = 0;
    try (var lines = http.send(request("/v1/completions", body), BodyHandlers.ofLines()).body()) {
      for (String line : (Iterable<String>) lines::iterator) {
        if (line.startsWith("data: {")) {
          long now = System.nanoTime();
          if (last != 0) {
            gaps.add((now - last) / 1e6);
          }
          last = now;
        }
      }
    }
    return gaps;
  }

  /** An adapter in PEFT's form, of noise in bfloat16. */
  private static void write(Path directory, JsonNode config, int seed) throws IOException {
    int hidden = config.get("hidden_size").asInt();
    int inner = config.get("intermediate_size").asInt();
    int keys = hidden / config.get("num_attention_heads").asInt();
    keys *= config.get("num_key_value_heads").asInt();
    Map<String, int[]> modules = // [out, in]
        Map.of(
            "self_attn.q_proj", new int[] {hidden, hidden},
            "self_attn.k_proj", new int[] {keys, hidden},
            "self_attn.v_proj", new int[] {keys, hidden},
            "self_attn.o_proj", new int[] {hidden, hidden},
            "mlp.gate_proj", new int[] {inner, hidden},
            "mlp.up_proj", new int[] {inner, hidden},
            "mlp.down_proj", new int[] {hidden, inner});
    Files.writeString(
        directory.resolve("adapter_config.json"),
        "{\"peft_type\":\"LORA\",\"r\":%d,\"lora_alpha\":32,\"target_modules\":\"all-linear\"}"
            .formatted(RANK));
    StringBuilder header = new StringBuilder("{");
    long end = 0;
    for (int layer = 0; layer < config.get("num_hidden_layers").asInt(); layer++) {
      for (Map.Entry<String, int[]> module : modules.entrySet()) {
        String path = "base_model.model.model.layers." + layer + "." + module.getKey();
        int[] shape = module.getValue();
        end = tensor(header, path + ".lora_A.weight", RANK, shape[1], end);
        end = tensor(header, path + ".lora_B.weight", shape[0], RANK, end);
      }
    }
    header.setCharAt(header.length() - 1, '}');
    byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
    Path file = directory.resolve("adapter_model.safetensors");
    try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file))) {
      out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).array());
      out.write(json);
      Random random = new Random(seed);
      for (long at = 0; at < end; at += Short.BYTES) {
        int bits = Float.floatToRawIntBits((float) random.nextGaussian() * 0.02f) >>> 16;
        out.write(bits);
        out.write(bits >>> 8);
      }
    }
  }

  private static long tensor(StringBuilder header, String name, int rows, int columns, long begin) {
    long end = begin + (long) rows * columns * Short.BYTES;
    header.append(
        "\"%s\":{\"dtype\":\"BF16\",\"shape\":[%d,%d],\"data_offsets\":[%d,%d]},"
            .formatted(name, rows, columns, begin, end));
    return end;
  }
}
