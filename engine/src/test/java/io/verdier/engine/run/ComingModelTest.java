package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.KernelLevel;
import io.verdier.engine.backend.cpu.NativeLevels;
import io.verdier.engine.backend.cpu.WeightFormat;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.weights.Arrivals;
import io.verdier.engine.weights.CheckpointFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model is loaded while its last shard is still on its way. */
class ComingModelTest {
  private static final String FIRST = "model-00001-of-00002.safetensors";
  private static final String SECOND = "model-00002-of-00002.safetensors";
  private static final int LAYERS_OF_FIRST = 3;
  private static final String LAYER = "model.layers.";

  @TempDir Path directory;
  @TempDir Path elsewhere;
  @TempDir Path cache;
  private final List<String> events = new ArrayList<>();

  /** The demo model in two files, of which the second is not there. */
  @BeforeEach
  void split() throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    for (String name : List.of("config.json", "generation_config.json")) {
      Files.copy(Golden.MODEL.resolve(name), directory.resolve(name));
    }
    ByteBuffer file =
        ByteBuffer.wrap(Files.readAllBytes(Golden.MODEL.resolve("model.safetensors")))
            .order(ByteOrder.LITTLE_ENDIAN);
    byte[] json = new byte[(int) file.getLong()];
    file.get(json);
    byte[] data = Arrays.copyOfRange(file.array(), file.position(), file.capacity());
    ObjectNode index = mapper.createObjectNode();
    ObjectNode places = index.putObject("weight_map");
    TreeMap<String, JsonNode> tensors = new TreeMap<>();
    mapper
        .readTree(json)
        .properties()
        .forEach(entry -> tensors.put(entry.getKey(), entry.getValue()));
    tensors.remove("__metadata__");
    for (String shard : List.of(FIRST, SECOND)) {
      ObjectNode header = mapper.createObjectNode();
      ByteBuffer bytes = ByteBuffer.allocate(data.length);
      tensors.forEach(
          (name, tensor) -> {
            if (shardOf(name).equals(shard)) {
              int from = tensor.at("/data_offsets/0").asInt();
              int count = tensor.at("/data_offsets/1").asInt() - from;
              ObjectNode moved = tensor.deepCopy();
              moved.putArray("data_offsets").add(bytes.position()).add(bytes.position() + count);
              bytes.put(data, from, count);
              header.set(name, moved);
              places.put(name, shard);
            }
          });
      Path target = (shard.equals(FIRST) ? directory : elsewhere).resolve(shard);
      Files.write(target, file(header, bytes));
    }
    Files.writeString(directory.resolve("model.safetensors.index.json"), index.toString());
  }

  private static byte[] file(ObjectNode header, ByteBuffer data) {
    String text = header.toString();
    byte[] json = (text + " ".repeat(-text.length() & 7)).getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(Long.BYTES + json.length + data.position())
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(json.length)
        .put(json)
        .put(data.flip())
        .array();
  }

  private static String shardOf(String tensor) {
    boolean isLate =
        tensor.startsWith(LAYER)
            && Integer.parseInt(tensor.substring(LAYER.length()).split("\\.")[0])
                >= LAYERS_OF_FIRST;
    return isLate ? SECOND : FIRST;
  }

  /** The second file comes when somebody waits for it. */
  private void arrive(Path file) {
    if (file.endsWith(SECOND) && Files.notExists(file)) {
      events.add("second");
      try {
        Files.move(elsewhere.resolve(SECOND), file);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private CheckpointFiles coming(Arrivals arrivals) {
    return new CheckpointFiles(directory, directory, arrivals, 20 << 20);
  }

  private ServerConfig config(String... flags) {
    List<String> argv = new ArrayList<>(List.of(flags));
    argv.addAll(
        List.of(
            "--max-num-batched-tokens=2048",
            "--max-num-seqs=64",
            "--max-model-len=1024",
            "--num-gpu-blocks-override=" + Driver.BLOCKS,
            "--cache-dir=" + cache));
    return TestConfig.of(argv.toArray(String[]::new));
  }

  private LoadedModel load(CheckpointFiles files, Backend backend, String... flags) {
    return ModelLoader.load(
        files, config(flags), rank -> backend, (done, total) -> events.add("layer " + done));
  }

  private static Backend cpu() {
    return new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.VECTOR);
  }

  private static List<String> traces(LoadedModel model) {
    try (Driver driver = new Driver(new ModelRunner(model, 2048, 64), 1)) {
      List<Driver.Sequence> batch = new ArrayList<>();
      for (Golden.Case golden : Golden.cases("logits.json").subList(0, 3)) {
        batch.add(driver.add(golden.ids(), BitEqualityTest.params(batch.size())));
      }
      driver.finish(batch, 1024);
      return batch.stream().map(BitEqualityTest::trace).toList();
    }
  }

  @Test
  void load_lastShardOnItsWay_packsTheLayersThatAreThere() {
    List<String> expected = traces(load(CheckpointFiles.in(Golden.MODEL), cpu()));
    events.clear();
    assertThat(traces(load(coming(this::arrive), cpu()))).isEqualTo(expected);
    assertThat(events)
        .containsExactly(
            "layer 1", "layer 2", "layer 3", "second", "layer 4", "layer 5", "layer 6");
  }

  /** A device with memory of its own is planned by shapes, which nobody waits for. */
  @Test
  void load_ontoADevice_packsTheLayersThatAreThere() {
    List<String> expected =
        traces(load(CheckpointFiles.in(Golden.MODEL), TestCuda.backend(Options.defaults())));
    events.clear();
    assertThat(traces(load(coming(this::arrive), TestCuda.backend(Options.defaults()))))
        .isEqualTo(expected);
    assertThat(events).startsWith("layer 1", "layer 2", "layer 3", "second");
  }

  @Test
  void load_shardThatNeverComes_failsWithTheReason() {
    Arrivals none =
        file -> {
          if (file.endsWith(SECOND)) {
            throw new IllegalArgumentException("the network is down");
          }
        };
    assertThatThrownBy(() -> load(coming(none), cpu())).hasMessage("the network is down");
    assertThat(events).containsExactly("layer 1", "layer 2", "layer 3");
  }

  @Test
  void load_shardThatLacksATensor_isRefused() throws IOException {
    Files.copy(directory.resolve(FIRST), elsewhere.resolve("copy"));
    Files.move(
        elsewhere.resolve("copy"), elsewhere.resolve(SECOND), StandardCopyOption.REPLACE_EXISTING);
    assertThatThrownBy(() -> load(coming(this::arrive), cpu()))
        .hasMessageContaining("should be in " + SECOND);
  }

  @Test
  void load_withPackedFiles_keepsThemWhenAllHasCome() {
    KernelLevel level = NativeLevels.available().stream().findFirst().orElse(KernelLevel.AVX2);
    Backend first = NativeLevels.keepingBackend(level, WeightFormat.BF16, 2);
    LoadedModel model = load(coming(this::arrive), first);
    assertThat(NativeLevels.isFromFile(first)).isFalse();
    NativeLevels.awaitFile(first);
    List<String> expected = traces(model);
    assertThat(events).startsWith("layer 1", "layer 2", "layer 3", "second");
    Backend second = NativeLevels.keepingBackend(level, WeightFormat.BF16, 2);
    LoadedModel again = load(CheckpointFiles.in(directory), second);
    assertThat(NativeLevels.isFromFile(second)).isTrue();
    assertThat(traces(again)).isEqualTo(expected);
  }
}
