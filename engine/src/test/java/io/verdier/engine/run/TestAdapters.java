package io.verdier.engine.run;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.lora.Adapter;
import io.verdier.engine.lora.AdapterSlots;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.model.RankBackends;
import io.verdier.engine.sample.SamplingParams;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** The demo model with its adapters. */
final class TestAdapters {
  static final List<String> NAMES = List.of("pirate", "french");

  /**
   * A driver of the model.
   *
   * @param identities of the adapters by name; the empty name is that of none
   */
  record Loaded(Driver driver, Map<String, String> identities) implements AutoCloseable {
    Driver.Sequence add(int[] prompt, SamplingParams params, String name) {
      return driver.add(prompt, params, Objects.requireNonNull(identities.get(name), name));
    }

    AdapterSlots slots() {
      return Objects.requireNonNull(driver.runner.adapters());
    }

    @Override
    public void close() {
      driver.close();
    }
  }

  private TestAdapters() {}

  static Loaded load(Backend backend, int slots, long seed) {
    return load(rank -> backend, 1, slots, seed);
  }

  /** The same shared by ranks. */
  static Loaded load(RankBackends backends, int ranks, int slots, long seed) {
    LoadedModel model =
        ModelLoader.load(
            Golden.MODEL,
            TestConfig.of(
                "--enable-lora",
                "--max-loras=" + slots,
                "--tensor-parallel-size=" + ranks,
                "--max-num-batched-tokens=2048",
                "--max-num-seqs=64",
                "--max-model-len=1024",
                "--num-gpu-blocks-override=" + Driver.BLOCKS),
            backends,
            (done, total) -> {});
    Driver driver = new Driver(new ModelRunner(model, 2048, 64), seed);
    Loaded loaded = new Loaded(driver, new HashMap<>(Map.of("", "")));
    for (String name : NAMES) {
      loaded.identities.put(name, add(driver.runner, name));
    }
    return loaded;
  }

  /**
   * Has one of the demo model's adapters ready.
   *
   * @return its identity
   */
  static String add(ModelRunner runner, String name) {
    return add(runner, Golden.MODEL.resolve("lora").resolve(name));
  }

  /** The same of a directory. */
  static String add(ModelRunner runner, Path directory) {
    AdapterSlots slots = Objects.requireNonNull(runner.adapters());
    try (Adapter adapter = Adapter.read(directory, slots.shape())) {
      slots.add(adapter.identity(), adapter.factors());
      return adapter.identity();
    }
  }
}
