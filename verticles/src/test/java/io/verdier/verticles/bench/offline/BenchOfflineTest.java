package io.verdier.verticles.bench.offline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.verdier.engine.backend.Probe;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.vertx.core.json.JsonObject;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BenchOfflineTest {
  private static final String CONFIG =
      """
      {"architectures": ["LlamaForCausalLM"], "hidden_size": 32, "intermediate_size": 48,
       "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
       "vocab_size": 500, "max_position_embeddings": 128, "eos_token_id": 7,
       "torch_dtype": "bfloat16"}
      """;

  @TempDir Path directory;
  private Path config;
  private Path result;
  private String printed = "";

  @BeforeEach
  void writeConfig() throws IOException {
    config = Files.writeString(directory.resolve("tiny.json"), CONFIG);
    result = directory.resolve("result.json");
  }

  @Test
  void run_answersHeldToASchema_areOthersAndTheSameEachTime() throws IOException {
    Path schema =
        Files.writeString(
            directory.resolve("schema.json"),
            "{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":900}");
    String[] flags = {"--batch=2", "--input-len=20", "--output-len=9", "--repeat=2"};
    String free = measured(flags).getString("bits_hash");
    String[] held = Arrays.copyOf(flags, 5);
    held[4] = "--json-schema=" + schema;
    assertThat(measured(held).getString("bits_hash")).isNotEqualTo(free);

    Files.writeString(schema, "{\"const\":1}");
    assertThat(run(withModel(held))).isEqualTo(2);
    assertThat(printed).contains("an answer ended after", "--json-schema");
    Files.writeString(schema, "{\"contains\":1}");
    assertThat(run(withModel(held))).isEqualTo(2);
    assertThat(printed).contains("--json-schema: ");
  }

  @Test
  void run_rowsWithAdapters_giveOtherTokensAndTheSameEachTime() throws IOException {
    String[] flags = {"--batch=3", "--input-len=20", "--output-len=9", "--repeat=2"};
    String base = measured(flags).getString("bits_hash");
    String[] lora = Arrays.copyOf(flags, 7);
    lora[4] = "--enable-lora";
    lora[5] = "--max-loras=2";
    lora[6] = "--lora-rows=0";
    assertThat(measured(lora).getString("bits_hash")).isEqualTo(base);
    lora[6] = "--lora-rows=2";
    JsonObject adapted = measured(lora);
    assertThat(adapted.getInteger("lora_rows")).isEqualTo(2);
    assertThat(adapted.getString("bits_hash")).isNotEqualTo(base);

    lora[6] = "--lora-rows=4";
    assertThat(run(withModel(lora))).isEqualTo(2);
    assertThat(printed).contains("--lora-rows is 4; it must be at most --batch, 3");
    lora[4] = "--seed=1";
    assertThat(run(withModel(lora))).isEqualTo(2);
    assertThat(printed).contains("it must be 0 without --enable-lora");
  }

  @Test
  void run_tinyConfig_reportsEveryKey() throws IOException {
    JsonObject json = measured("--batch=2", "--input-len=20", "--output-len=9", "--repeat=3");

    assertThat(json.fieldNames())
        .contains(
            "model",
            "dtype",
            "batch",
            "input_len",
            "output_len",
            "context",
            "threads",
            "backend",
            "kv_bytes",
            "weight_bytes_per_token",
            "prefill_tokens_per_s",
            "decode_tokens_per_s",
            "decode_step_ms_median",
            "decode_step_ms_p99",
            "host_ms_per_step",
            "device_ms_per_step",
            "device_idle_ms_per_step",
            "read_gb_per_s_probe",
            "dot_gops_probe",
            "bits_hash",
            "distinct_tokens",
            "java_version",
            "cpu");
    assertThat(json.getString("model")).isEqualTo(config.toString());
    assertThat(json.getString("dtype")).isEqualTo("BF16");
    assertThat(json.getInteger("threads")).isEqualTo(1);
    assertThat(json.getInteger("context")).isEqualTo(20);
    assertThat(json.getDouble("prefill_tokens_per_s")).isPositive();
    assertThat(json.getDouble("decode_tokens_per_s")).isPositive();
    assertThat(json.getJsonArray("decode_tokens_per_s_runs")).hasSize(3);
    assertThat(json.getDouble("read_gb_per_s_probe")).isEqualTo(11);
    assertThat(json.getDouble("dot_gops_probe")).isEqualTo(110);
    assertThat(json.getString("bits_hash")).hasSize(16);
    assertThat(json.getLong("kv_bytes")).isEqualTo(2 * 3 * 16 * json.getLong("kv_token_bytes"));
    assertThat(printed).contains("Prefill (tokens/s)", "Decode (tokens/s)", "of probe");
  }

  /** The same prompts give the same tokens however they are put together. */
  @Test
  void bitsHash_samePrompts_doesNotDependOnBatchOrChunks() throws IOException {
    String alone = hash("--batch=1", "--num-prompts=5", "--input-len=21");

    assertThat(hash("--batch=5", "--input-len=21")).isEqualTo(alone);
    assertThat(hash("--batch=4", "--num-prompts=5", "--input-len=21")).isEqualTo(alone);
    assertThat(hash("--batch=5", "--input-len=21", "--max-num-batched-tokens=13")).isEqualTo(alone);
    assertThat(hash("--batch=5", "--input-len=21", "--long-prefill-token-threshold=3"))
        .isEqualTo(alone);
    assertThat(hash("--batch=5", "--input-len=21", "--seed=1")).isNotEqualTo(alone);
    assertThat(hash("--batch=5", "--input-len=22")).isNotEqualTo(alone);
  }

  @Test
  void bitsHash_sampledAndPutContext_doesNotDependOnBatchOrChunks() throws IOException {
    String[] one = {"--batch=1", "--num-prompts=3", "--context=50", "--temperature=1"};
    String[] three = {"--batch=3", "--context=50", "--temperature=1", "--max-num-batched-tokens=7"};

    assertThat(hash(three)).isEqualTo(hash(one));
  }

  @Test
  void run_withContext_prefillsNothing() throws IOException {
    JsonObject json = measured("--context=100", "--output-len=5", "--temperature=0.5");

    assertThat(json.getValue("prefill_tokens_per_s")).isNull();
    assertThat(json.getInteger("input_len")).isEqualTo(0);
    assertThat(json.getInteger("context")).isEqualTo(100);
    assertThat(json.getBoolean("context_filled")).isTrue();
    assertThat(json.getDouble("decode_tokens_per_s")).isPositive();
  }

  @Test
  void run_withoutWeights_saysSo() {
    assertThat(run("--model-config", config.toString(), "--output-len=2", "--input-len=9"))
        .isEqualTo(1);
    assertThat(printed).contains("neither model.safetensors nor", "With --load-format dummy");
  }

  @Test
  void run_lengthBeyondTheModel_isRefused() {
    assertThat(run("--model-config", config.toString(), "--input-len=120", "--output-len=9"))
        .isEqualTo(2);
    assertThat(printed)
        .contains("have 129 tokens together; this model accepts 128. Lower --input-len");
  }

  @Test
  void run_unknownModel_namesTheNearest() {
    assertThat(run("--model-config=lama-3.2-1b")).isEqualTo(2);
    assertThat(printed).contains("did you mean llama-3.2-1b?");
    assertThat(run("--model-config=gpt")).isEqualTo(2);
    assertThat(printed).contains("known are llama-3.2-1b, llama-3.2-3b, llama-3.1-8b");
  }

  @Test
  void run_help_listsEveryFlag() {
    assertThat(run("--help")).isEqualTo(0);
    assertThat(printed).contains(OfflineFlag.names());
  }

  private String hash(String... argv) throws IOException {
    List<String> all = new ArrayList<>(List.of(argv));
    all.add("--output-len=6");
    all.add("--repeat=1");
    return measured(all.toArray(String[]::new)).getString("bits_hash");
  }

  @Test
  void run_severalRanks_readsTheSameWeights() throws IOException {
    JsonObject alone = measured("--input-len=20", "--output-len=4", "--repeat=1");
    JsonObject shared =
        measured("--input-len=20", "--output-len=4", "--repeat=1", "--tensor-parallel-size=2");

    assertThat(shared.getString("backend")).endsWith(", 2 ranks");
    assertThat(shared.getLong("kv_bytes")).isEqualTo(alone.getLong("kv_bytes"));
    assertThat(shared.getLong("weight_bytes_per_token"))
        .isBetween(
            alone.getLong("weight_bytes_per_token"), alone.getLong("weight_bytes_per_token") * 2);
  }

  @Test
  void run_withProfile_namesEachOperationAndAddsUpToTheStep() throws IOException {
    String[] flags = {"--batch=2", "--input-len=20", "--output-len=9", "--repeat=2"};
    String hash = measured(flags).getString("bits_hash");
    String[] profiled = Arrays.copyOf(flags, 5);
    profiled[4] = "--profile";

    assertThat(measured(profiled).getString("bits_hash")).isEqualTo(hash);
    for (String kind : List.of("Of a prefill step", "Of a decode step")) {
      List<String> lines =
          printed
              .substring(printed.indexOf(kind))
              .lines()
              .skip(1)
              .takeWhile(line -> !line.isBlank())
              .toList();
      assertThat(String.join("\n", lines))
          .contains(
              "matmul 64x32 (2)",
              "matmulGate 96x32 (2)",
              "matmulAdd 32x32 (2)",
              "matmulAdd 32x48 (2)",
              "attend (2)",
              "rotateAndStore (2)",
              "rmsNorm (5)",
              "logits 500x32 (1)");
      double all = milliseconds(lines.getLast());
      double sum = lines.stream().limit(lines.size() - 1).mapToDouble(l -> milliseconds(l)).sum();
      assertThat(lines.getLast()).contains("all");
      assertThat(all).isPositive();
      assertThat(sum).isCloseTo(all, within(0.0006 * lines.size()));
    }

    profiled[0] = "--tensor-parallel-size=2";
    assertThat(run(withModel(profiled))).isEqualTo(2);
    assertThat(printed).contains("--profile times a single CPU backend");
  }

  /** The number behind the name, of 34 characters. */
  private static double milliseconds(String line) {
    return Double.parseDouble(line.substring(34).strip().split(" +")[0]);
  }

  private JsonObject measured(String... argv) throws IOException {
    assertThat(run(withModel(argv))).as(printed).isEqualTo(0);
    return new JsonObject(Files.readString(result));
  }

  private String[] withModel(String... argv) {
    List<String> all = new ArrayList<>(List.of(argv));
    all.addAll(
        List.of("--model-config", config.toString(), "--load-format=dummy", "--json=" + result));
    return all.toArray(String[]::new);
  }

  private int run(String... argv) {
    List<String> all = new ArrayList<>(List.of(argv));
    all.add("--warm-up-seconds=0");
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    int status =
        BenchOffline.run(
            all,
            Map.of(),
            (engine, weights, rank) ->
                new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.SCALAR),
            threads -> new FakeProbe(),
            new PrintStream(bytes, true, StandardCharsets.UTF_8));
    printed = bytes.toString(StandardCharsets.UTF_8);
    return status;
  }

  /** Slower the second time. Owned by the test. */
  private static final class FakeProbe implements Probe {
    private int scale = 12;

    @Override
    public Rates measure() {
      Rates rates = new Rates(scale, scale * 10.0);
      scale -= 2;
      return rates;
    }
  }
}
