package io.verdier.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.DeviceMemory;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.Rehearsal;
import io.verdier.engine.backend.cuda.CudaBackend;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.run.TestConfig;
import io.verdier.engine.weights.DummyWeights;
import io.verdier.engine.weights.Weights;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Plans of well-known models on devices that nobody here has; every advice is followed. */
class MemoryPlannerTest {
  private static final String MODEL_8B = "llama-3.1-8b";
  private static final String MODEL_70B = "llama-3.1-70b";
  private static final String MODEL_28_HEADS = "28-heads";
  private static final long GIB = 1L << 30;

  // As the driver reports them.
  private static final long L4 = 23_034L << 20;
  private static final long L40S = 46_068L << 20;
  private static final long H100 = 81_079L << 20;
  private static final long H200 = 143_156L << 20;

  private static final long PAGE = 2 << 20; // of device memory; small tensors share them

  @TempDir Path directory;

  @Test
  void plan_8bOn24Gb_countsEveryByteOnce() {
    MemoryPlan plan = plan(MODEL_8B, L4, "--max-model-len=8192");

    assertThat(plan.needs().weights())
        .isBetween(8_030_261_248L * 2 - PAGE, 8_030_261_248L * 2 + 4 * PAGE);
    // residual, gathered rows and projections in float32, three operands in bfloat16
    long perToken = 2 * 4096 * 4 + 6144 * 4 + (4096 + 4096 + 14336) * 2;
    long sampling = (256L << 20) + 2L * 256 * 128_256 * 4;
    assertThat(plan.needs().activations())
        .isBetween(2048 * perToken + sampling, 2048 * perToken + sampling + (256L << 20));
    assertThat(plan.bytes()).isLessThanOrEqualTo((long) (0.92 * L4));
    assertThat(plan.bytes()).isGreaterThan((long) (0.92 * L4) - (4 << 20));
    assertThat(plan.cache().bytes()).isEqualTo(plan.cache().tokens() * 131_072);
    assertThat(plan.concurrency()).isEqualTo(plan.cache().tokens() / 8192.0);
  }

  /** What ranks show each other goes through one buffer of bounded size, however long a prompt. */
  @Test
  void plan_8bOnTwoRanks_countsWhatTheyShowEachOther() {
    ServerConfig config = config("--max-model-len=8192", "--tensor-parallel-size=2");
    ModelLoader.Description description = ModelLoader.describe(model(MODEL_8B), config);
    DeviceMemory device = device(H100, H100, config);
    KvPlan cache = new KvPlan(512, 16, 512L * 16 * 65_536);
    int tokens = 16_384;
    ModelNeeds needs;
    try (Weights weights = new DummyWeights(description.weightType())) {
      ModelNeeds.Sizes sizes = new ModelNeeds.Sizes(tokens, 8);
      needs = rehearsed(description, device, weights, sizes, cache, new Rank(1, 2));
    }
    // as above, of a half where ranks have halves
    long perToken = 2 * 4096 * 4 + 3072 * 4 + (4096 + 2048 + 7168) * 2;
    long logits = 256L * (64_128 + 128_256) * 4;
    long least = tokens * perToken + logits + (64L << 20);
    assertThat(needs.activations()).isBetween(least, least + (128L << 20));
  }

  @ParameterizedTest
  @CsvSource({"llama-3.2-1b,1235814400", "llama-3.2-3b,3212749824", "llama-3.1-8b,8030261248"})
  void plan_anyModel_knowsItsWeights(String model, long parameters) {
    // A tied head is the embedding itself; a checkpoint of float32 becomes bfloat16.
    for (String type : List.of("bfloat16", "float32")) {
      assertThat(plan(model, H200, "--dtype", type).needs().weights())
          .isBetween(2 * parameters - PAGE, 2 * parameters + parameters / 50);
    }
    // A scale a row is little; matrices of 3072 columns end within a page.
    assertThat(plan(model, H200, "--quantization=fp8").needs().weights())
        .isBetween(parameters, parameters + parameters / 40);
  }

  @Test
  void plan_largerDevices_leaveMoreToTheCache() {
    MemoryPlan on80 = plan(MODEL_8B, H100);
    MemoryPlan on141 = plan(MODEL_8B, H200);
    assertThat(on80.concurrency()).isBetween(3.4, 3.6);
    assertThat(on141.concurrency()).isBetween(6.8, 7.2);
    assertThat(on141.text())
        .contains(
            "Memory plan of GPU:",
            "--gpu-memory-utilization 0.92",
            "--max-num-batched-tokens 2048, --max-num-seqs 256",
            "GPU KV cache size: ",
            "Maximum concurrency for 131,072 tokens per request: 7.");
    assertThat(on141.text().lines()).hasSize(11);
  }

  @Test
  void plan_fewSequences_needNoMoreThanTheirLength() {
    KvPlan cache = plan(MODEL_8B, H200, "--max-model-len=1024", "--max-num-seqs=4").cache();
    assertThat(cache.tokens()).isEqualTo(4096);
  }

  @Test
  void plan_othersHaveTakenMemory_takesItsShareOfAllOrWhatIsThere() {
    ServerConfig half = config("--gpu-memory-utilization=0.45", "--max-model-len=2048");
    MemoryPlan first = plan(MODEL_8B, device(H100, H100, half), half);
    MemoryPlan second = plan(MODEL_8B, device(H100, H100 - first.bytes(), half), half);
    assertThat(second.cache()).isEqualTo(first.cache());
    ServerConfig most = config("--max-model-len=2048");
    MemoryPlan third = plan(MODEL_8B, device(H100, 20 * GIB, most), most);
    assertThat(third.bytes()).isBetween(20 * GIB - (4 << 20), 20 * GIB);
  }

  @Test
  void plan_lengthAboveCache_namesTheLengthThatFits() {
    String refusal = refusal(MODEL_8B, L4);
    assertThat(refusal)
        .startsWith(
            "The model's max seq len (131072) is larger than the maximum number of tokens that can"
                + " be stored in KV cache (")
        .contains("Set --max-model-len to at most ");
    plan(MODEL_8B, L4, advised(refusal, "--max-model-len"));
  }

  @Test
  void plan_shareTooSmall_namesTheShareThatIsEnough() {
    String refusal = refusal(MODEL_8B, H100, "--gpu-memory-utilization=0.25");
    assertThat(refusal).contains("gpu-memory-utilization to at least", "(now 0.25)");
    plan(MODEL_8B, H100, advised(refusal, "--gpu-memory-utilization"));
    String weights = refusal(MODEL_8B, H100, "--gpu-memory-utilization=0.15");
    assertThat(weights).startsWith("CUDA out of memory: the model's weights take 14.96 GiB (bf16)");
    plan(MODEL_8B, H100, advised(weights, "--gpu-memory-utilization"));
  }

  @ParameterizedTest
  @CsvSource({
    "--max-num-batched-tokens=65536,--max-num-batched-tokens",
    "--max-num-seqs=65536,--max-num-seqs",
  })
  void plan_stepsTooLarge_namesTheFlagAndAValueThatFits(String flags, String advised) {
    List<String> argv = new ArrayList<>(List.of(flags, "--max-model-len=2048"));
    ServerConfig config = config(argv.toArray(String[]::new));
    MemoryPlan roomy = plan(MODEL_8B, device(H100, H100, config), config);
    long needed = roomy.needs().all() + 2048 * 131_072;
    long bytes =
        (long) ((needed - (128L << 20)) / 0.92); // partial results are fewer on fewer bytes
    String refusal = refusal(MODEL_8B, device(bytes, bytes, config), config);
    assertThat(refusal).containsIgnoringCase("lower " + advised + " to ");
    argv.removeIf(flag -> flag.startsWith(advised));
    argv.addAll(List.of(advised(refusal, advised)));
    ServerConfig followed = config(argv.toArray(String[]::new));
    plan(MODEL_8B, device(bytes, bytes, followed), followed);
  }

  @Test
  void plan_stepsLeaveNothing_saysOutOfMemory() {
    String[] flags = {"--max-num-batched-tokens=131072", "--max-model-len=2048"};
    assertThat(refusal(MODEL_8B, L4, flags))
        .startsWith(
            "CUDA out of memory: of the 20.69 GiB of GPU that this server may take, weights")
        .contains("steps of --max-num-batched-tokens 131072 and --max-num-seqs 256 need ")
        .contains("Lower --max-num-batched-tokens to ");
    String several = refusal(MODEL_8B, L4, flags[0]);
    assertThat(several)
        .contains("Lower --max-num-batched-tokens to 2048, --max-num-seqs to 256 and ");
    plan(
        MODEL_8B,
        L4,
        advised(several, "--max-num-batched-tokens"),
        advised(several, "--max-model-len"));
  }

  @Test
  void plan_70b_isRefusedOrQuantizedOrShared() {
    assertThat(refusal(MODEL_70B, H200, "--max-model-len=8192"))
        .startsWith("CUDA out of memory: the model's weights take 131.42 GiB (bf16), and this")
        .contains("Halve them with --quantization fp8, or share them out with")
        .contains("--tensor-parallel-size 2");
    assertThat(plan(MODEL_70B, H200, "--max-model-len=8192", "--quantization=fp8").concurrency())
        .isGreaterThan(20);
    assertThat(refusal(MODEL_70B, H100)).contains("--tensor-parallel-size 4");
    assertThat(refusal(MODEL_70B, L40S, "--max-model-len=8192"))
        .contains("Quarter them with --quantization int4, or share them out with");
    assertThat(plan(MODEL_70B, L40S, "--max-model-len=8192", "--quantization=int4").concurrency())
        .isGreaterThan(1);
    assertThat(refusal(MODEL_70B, L4))
        .endsWith("at --gpu-memory-utilization 0.92. Take a larger GPU.");
  }

  /** A rank's weights are a part already: half of it is a quarter of the model. */
  @Test
  void plan_aRanksPartTooLarge_namesMoreRanksThanThereAre() {
    String[] two = {"--tensor-parallel-size=2", "--max-model-len=8192"};
    String refusal = refusal(MODEL_70B, L40S, two);
    assertThat(refusal).contains("--tensor-parallel-size 4");
    plan(MODEL_70B, L40S, "--tensor-parallel-size=4", two[1]);
    assertThat(refusal(MODEL_70B, 10 * GIB, "--tensor-parallel-size=8", two[1]))
        .startsWith("CUDA out of memory: the model's weights take ")
        .doesNotContain("--tensor-parallel-size");
  }

  /** Eight GPUs would have the memory, but 28 heads are not shared by eight. */
  @Test
  void plan_headsThatDoNotDivide_namesNoCountThatTheStartWouldRefuse() {
    assertThat(refusal(MODEL_28_HEADS, 4 * GIB, "--max-model-len=2048", "--max-num-seqs=8"))
        .startsWith("CUDA out of memory: the model's weights take 1")
        .doesNotContain("--tensor-parallel-size");
  }

  @Test
  void plan_cacheThatIsNamed_isTakenOrRefusedWithTheLargest() {
    KvPlan named =
        plan(MODEL_8B, L4, "--kv-cache-memory-bytes=4GiB", "--max-model-len=2048").cache();
    assertThat(named.bytes()).isEqualTo(4 * GIB);
    assertThat(plan(MODEL_8B, L4, "--num-gpu-blocks-override=300", "--max-model-len=2048").cache())
        .isEqualTo(new KvPlan(300, 16, 300L * 16 * 131_072));
    for (String flag : List.of("--kv-cache-memory-bytes", "--num-gpu-blocks-override")) {
      String value = flag + "=" + (flag.contains("bytes") ? "9GiB" : "4600");
      String refusal = refusal(MODEL_8B, L4, value, "--max-model-len=2048");
      assertThat(refusal).startsWith("CUDA out of memory: a KV cache of ");
      plan(MODEL_8B, L4, advised(refusal, flag), "--max-model-len=2048");
    }
    assertThat(refusal(MODEL_8B, L4, "--num-gpu-blocks-override=2000000000"))
        .contains("Lower --num-gpu-blocks-override to ");
    assertThat(refusal(MODEL_8B, L4, "--num-gpu-blocks-override=10"))
        .contains("(160). Set --max-model-len to at most 160, or raise --num-gpu-blocks-override");
  }

  @Test
  void text_wholePlan_isReadable() {
    DeviceMemory device =
        new DeviceMemory(
            "NVIDIA L4",
            24 * GIB,
            23 * GIB,
            0.9,
            "fp8",
            () -> {
              throw new IllegalStateException();
            });
    MemoryPlan plan =
        new MemoryPlan(
            device,
            new ModelNeeds(8 * GIB, GIB, GIB / 2),
            new KvPlan(4096, 16, 8 * GIB),
            8192,
            new ModelNeeds.Sizes(2048, 64));
    assertThat(plan.text())
        .isEqualTo(
            """
            Memory plan of NVIDIA L4:
              device           24.00 GiB
              taken before      1.00 GiB  other programs, and CUDA's own for this one
              this server      17.50 GiB  --gpu-memory-utilization 0.90
                weights         8.00 GiB  fp8
                activations     1.00 GiB  --max-num-batched-tokens 2048, --max-num-seqs 64
                graphs          0.50 GiB  of captured steps, and the driver's
                KV cache        8.00 GiB  4096 blocks of 16 tokens
              left              5.50 GiB
            GPU KV cache size: 65,536 tokens
            Maximum concurrency for 8,192 tokens per request: 8.00x\
            """);
  }

  private String refusal(String model, long bytes, String... flags) {
    ServerConfig config = config(flags);
    return refusal(model, device(bytes, bytes, config), config);
  }

  private String refusal(String model, DeviceMemory device, ServerConfig config) {
    ModelException refused =
        catchThrowableOfType(ModelException.class, () -> plan(model, device, config));
    assertThat(refused).as("a refusal").isNotNull();
    return String.valueOf(refused.getMessage());
  }

  /** The value that a refusal names for a flag, as an argument. */
  private static String advised(String refusal, String flag) {
    Matcher value =
        Pattern.compile(flag + " to (?:at (?:least|most) )?([0-9.]*[0-9])").matcher(refusal);
    assertThat(value.find()).as(refusal).isTrue();
    return flag + "=" + value.group(1);
  }

  private static ServerConfig config(String... flags) {
    List<String> argv = new ArrayList<>(List.of(flags));
    argv.add("--load-format=dummy");
    return TestConfig.of(argv.toArray(String[]::new));
  }

  private static DeviceMemory device(long bytes, long freeBytes, ServerConfig config) {
    return TestCuda.memory("GPU", bytes, freeBytes, CudaBackend.Options.of(config.backend()));
  }

  private MemoryPlan plan(String model, long bytes, String... flags) {
    ServerConfig config = config(flags);
    return plan(model, device(bytes, bytes, config), config);
  }

  private MemoryPlan plan(String model, DeviceMemory device, ServerConfig config) {
    ModelLoader.Description description = ModelLoader.describe(model(model), config);
    Rank rank = new Rank(0, config.backend().ranks());
    ModelSpec spec = Shard.of(description.spec(), rank).local();
    try (Weights weights = new DummyWeights(description.weightType());
        Rehearsal stage = device.rehearsals().get()) {
      long tokenBytes = stage.backend().kvTokenBytes(spec.layers(), spec.kvHeads(), spec.headDim());
      return new MemoryPlanner(
              config,
              device,
              description,
              tokenBytes,
              (sizes, cache) -> rehearsed(description, device, weights, sizes, cache, rank))
          .plan();
    }
  }

  private static ModelNeeds rehearsed(
      ModelLoader.Description description,
      DeviceMemory device,
      Weights weights,
      ModelNeeds.Sizes sizes,
      KvPlan cache,
      Rank rank) {
    try (Rehearsal stage = device.rehearsals().get()) {
      return ModelNeeds.rehearsed(
          description, Shard.of(description.spec(), rank), sizes, weights.shapes(), cache, stage);
    }
  }

  private Path model(String name) {
    try {
      Path files = Files.createDirectories(directory.resolve(name));
      Files.deleteIfExists(files.resolve(ModelLoader.CONFIG_FILE));
      Path file = files.resolve(ModelLoader.CONFIG_FILE);
      PublishedConfigs.write(name.startsWith("llama-3.2") ? name : MODEL_8B, files);
      String config = Files.readString(file);
      if (name.equals(MODEL_70B)) {
        config =
            config
                .replace("\"hidden_size\": 4096", "\"hidden_size\": 8192")
                .replace("14336", "28672")
                .replace("\"num_attention_heads\": 32", "\"num_attention_heads\": 64")
                .replace("\"num_hidden_layers\": 32", "\"num_hidden_layers\": 80");
      } else if (name.equals(MODEL_28_HEADS)) {
        config =
            config
                .replace("\"hidden_size\": 4096", "\"hidden_size\": 3584")
                .replace("\"num_attention_heads\": 32", "\"num_attention_heads\": 28")
                .replace("\"num_key_value_heads\": 8", "\"num_key_value_heads\": 4");
      }
      Files.writeString(file, config);
      return files;
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
