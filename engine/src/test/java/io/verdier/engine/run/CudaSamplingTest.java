package io.verdier.engine.run;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.sample.ParamsBuilder;
import io.verdier.engine.sample.SamplingParams;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.Function;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Sampling on the device against sampling on the host, by the same logits and bit by bit, on
 * prompts of the golden data with parameters of all kinds.
 */
class CudaSamplingTest {
  private static final int BROKEN_TOKEN = 700;
  private static List<int[]> prompts = List.of();
  private static List<SamplingParams> params = List.of();
  private static List<String> expected = List.of();

  @BeforeAll
  static void runOnTheHost() {
    prompts =
        Golden.cases("logits.json").stream()
            .map(Golden.Case::ids)
            .filter(ids -> ids.length < 60)
            .toList();
    List<SamplingParams> all = new ArrayList<>();
    for (int i = 0; i < prompts.size(); i++) {
      all.add(params(i));
    }
    params = all;
    try (Driver driver = driver(Golden.DRAFT, HostSampling::new)) {
      expected = traces(driver, 1024, false);
    }
    assertThat(expected.get(10)).startsWith("No token can be chosen");
  }

  /** Kinds of parameters, one after the other; some with scores of the prompt too. */
  private static SamplingParams params(int i) {
    return builder(i).build();
  }

  static ParamsBuilder builder(int i) {
    ParamsBuilder params = new ParamsBuilder();
    params.seed = 77L + i;
    params.maxTokens = 8;
    params.logprobs = i % 3 == 0 ? -1 : i % 3 * 2;
    params.promptLogprobs = i % 4 == 1 ? 2 : -1;
    params.temperature = i % 5 == 0 ? 0 : 1.2f;
    switch (i) {
      case 2 -> {
        params.biasIds = new int[] {5, 300, 4000};
        params.biasValues = new float[] {-100, 2.5f, 8};
      }
      case 3 -> params.badWords = new int[][] {{300}, {4000, 12}, {44}};
      case 4 -> {
        params.presence = 0.5f;
        params.frequency = 0.7f;
      }
      case 5 -> params.repetition = 1.4f;
      case 6 -> {
        params.minTokens = 5;
        params.stopIds = new int[] {10, 300, 301};
      }
      case 7 -> params.allowed = new int[] {7, 10, 300, 301, 302, 4000};
      case 8 -> params.logprobs = 25;
      case 9 -> {
        params.topK = 20;
        params.topP = 0.7f;
        params.frequency = -0.4f;
        params.promptLogprobs = 30;
      }
      case 10 -> {
        params.allowed = new int[] {7};
        params.badWords = new int[][] {{7}}; // nothing is left
      }
      default -> params.minP = 0.05f;
    }
    return params;
  }

  @Test
  void run_allTogetherOnTheDevice_givesTheHostsBits() {
    try (Driver driver = driver(Golden.DRAFT, model -> RowSampling.of(model, 2048))) {
      assertThat(traces(driver, 1024, false)).isEqualTo(expected);
    }
  }

  @Test
  void run_chunkedAndPreemptedOnTheDevice_givesTheHostsBits() {
    try (Driver driver = driver(Golden.DRAFT, model -> RowSampling.of(model, 2048))) {
      assertThat(traces(driver, 16, true)).isEqualTo(expected);
    }
  }

  @Test
  void run_backendOfTheDevice_samplesThere() {
    try (LoadedModel model = load(Golden.DRAFT)) {
      assertThat(RowSampling.of(model, 2048)).isInstanceOf(DeviceSampling.class);
    }
  }

  @Test
  void run_choiceOfOneSequenceThrows_othersGetTheirTokens() {
    Throwable fault = new IllegalStateException("a test");
    try (Driver driver =
        driver(
            Golden.DRAFT,
            model -> new FaultySampling(RowSampling.of(model, 2048), 77L + 4, fault))) {
      List<String> traces = traces(driver, 1024, false);
      assertThat(traces.get(4)).startsWith("The server could not choose a token");
      for (int i = 0; i < traces.size(); i++) {
        assertThat(traces.get(i).equals(expected.get(i))).as("sequence %d", i).isEqualTo(i != 4);
      }
    }
  }

  /** The embedding of one token is not a number, and so is all that comes of it. */
  @Test
  void run_brokenWeight_failsWhoNeedsItAlone(@TempDir Path directory) throws IOException {
    writeBroken(directory);
    try (Driver driver = driver(directory, model -> RowSampling.of(model, 2048))) {
      Driver.Sequence broken = driver.add(new int[] {1, BROKEN_TOKEN, 12}, params(0));
      Driver.Sequence scored = driver.add(new int[] {1, BROKEN_TOKEN, 12}, params(1));
      Driver.Sequence sound = driver.add(prompts.get(2), params(2));
      driver.finish(List.of(broken, scored, sound), 1024);
      assertThat(broken.failure).startsWith("The server could not choose a token");
      assertThat(scored.failure).startsWith("The server could not choose a token");
      assertThat(scored.promptScores).isEmpty();
      assertThat(BitEqualityTest.trace(sound)).isEqualTo(expected.get(2));
    }
  }

  /** The draft model with a head of its own, so that its embedding can be broken apart from it. */
  private static void writeBroken(Path directory) throws IOException {
    ObjectMapper json = new ObjectMapper();
    ObjectNode config = (ObjectNode) json.readTree(Golden.DRAFT.resolve("config.json").toFile());
    config.put("tie_word_embeddings", false);
    json.writeValue(directory.resolve("config.json").toFile(), config);
    Files.copy(
        Golden.DRAFT.resolve("generation_config.json"),
        directory.resolve("generation_config.json"));
    ByteBuffer file =
        ByteBuffer.wrap(Files.readAllBytes(Golden.DRAFT.resolve("model.safetensors")))
            .order(ByteOrder.LITTLE_ENDIAN);
    byte[] header = new byte[(int) file.getLong()];
    file.get(header);
    ByteBuffer data = file.slice().order(ByteOrder.LITTLE_ENDIAN);
    ObjectNode tensors = (ObjectNode) json.readTree(header);
    ObjectNode embedding = (ObjectNode) tensors.get("model.embed_tokens.weight");
    int start = embedding.get("data_offsets").get(0).asInt();
    int bytes = embedding.get("data_offsets").get(1).asInt() - start;
    byte[] head = new byte[bytes];
    data.get(start, head);
    ObjectNode own = embedding.deepCopy();
    own.putArray("data_offsets").add(data.limit()).add(data.limit() + bytes);
    tensors.set("lm_head.weight", own);
    int rowBytes = bytes / embedding.get("shape").get(0).asInt();
    data.putShort(start + BROKEN_TOKEN * rowBytes, (short) 0x7FC0); // a NaN in bfloat16
    byte[] text = json.writeValueAsString(tensors).getBytes(UTF_8);
    ByteBuffer whole =
        ByteBuffer.allocate(8 + text.length + data.limit() + bytes)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(text.length)
            .put(text)
            .put(data.duplicate().clear())
            .put(head);
    Files.write(directory.resolve("model.safetensors"), whole.array());
  }

  private static LoadedModel load(Path directory) {
    return ModelLoader.load(
        directory,
        TestConfig.of(2048, 64, OptionalInt.of(1024), OptionalInt.of(Driver.BLOCKS)),
        TestCuda.backend(Options.defaults()),
        (done, total) -> {});
  }

  private static Driver driver(Path directory, Function<LoadedModel, RowSampling> sampling) {
    LoadedModel model = load(directory);
    return new Driver(new ModelRunner(model, 2048, 64, sampling.apply(model)), 5);
  }

  /** Runs all prompts together, and gives what their clients see. */
  private static List<String> traces(Driver driver, int chunk, boolean preempts) {
    List<Driver.Sequence> batch = new ArrayList<>();
    for (int i = 0; i < prompts.size(); i++) {
      batch.add(driver.add(prompts.get(i), params.get(i)));
    }
    for (int step = 0; batch.stream().anyMatch(s -> !s.done()); step++) {
      driver.step(batch, chunk);
      Driver.Sequence victim = batch.get(step * 3 % batch.size());
      if (preempts && step % 2 == 1 && !victim.done()) {
        driver.preempt(victim);
      }
    }
    batch.forEach(driver::release);
    return batch.stream().map(BitEqualityTest::trace).toList();
  }
}
