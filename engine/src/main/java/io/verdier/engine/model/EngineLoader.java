package io.verdier.engine.model;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.weights.CheckpointFiles;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.IntStream;

/**
 * Loads a model for each engine of the process. Stateless; call it on the thread that may take its
 * time.
 *
 * <p>On the CPU all engines read one copy of the weights, and each has a KV cache, activations and
 * threads of its own. Devices, and ranks that share a layer, have copies of their own.
 */
public final class EngineLoader {
  private EngineLoader() {}

  /**
   * Loads as many as the configuration asks for. Their backends belong to the results, and are
   * closed when loading fails.
   *
   * @param files some of which may be on their way; the first model waits for them
   * @param cores that the CPU's threads are, where their number was not given
   * @throws ModelException as {@link ModelLoader#load}
   */
  public static List<LoadedModel> load(
      CheckpointFiles files,
      ServerConfig config,
      int cores,
      EngineBackends backends,
      LoadProgress progress) {
    int engines = config.backend().engines();
    List<LoadedModel> loaded = new ArrayList<>();
    try {
      for (int engine = 0; engine < engines; engine++) {
        ServerConfig.Backend own = own(config.backend(), engine, cores);
        loaded.add(
            engine > 0 && sharesWeights(loaded.getFirst())
                ? ModelLoader.beside(
                    loaded.getFirst(), files.directory(), config, backends.open(own, Rank.ALONE))
                : ModelLoader.load(files, config, rank -> backends.open(own, rank), progress));
      }
    } catch (RuntimeException | Error e) {
      loaded.reversed().forEach(LoadedModel::close); // the first has the weights
      throw e;
    }
    return engines > 1 && sharesWeights(loaded.getFirst()) ? together(loaded) : loaded;
  }

  private static boolean sharesWeights(LoadedModel model) {
    return model.backend().sharesWeights() && model.transformer().ranks() == 1;
  }

  private static List<LoadedModel> together(List<LoadedModel> loaded) {
    Household household =
        new Household(loaded.reversed().stream().map(LoadedModel::backend).toList());
    return loaded.stream().map(model -> model.in(household)).toList();
  }

  /** What one engine gets: the first ones have a thread more where they cannot be divided. */
  static ServerConfig.Backend own(ServerConfig.Backend asked, int engine, int cores) {
    if (asked.engines() == 1) {
      return asked;
    }
    int threads = new Rank(engine, asked.engines()).share(asked.threads().orElse(cores));
    List<Integer> devices = asked.gpu().devices();
    List<Integer> owned =
        IntStream.range(engine * asked.ranks(), (engine + 1) * asked.ranks())
            .mapToObj(at -> devices.isEmpty() ? Integer.valueOf(at) : devices.get(at))
            .toList();
    return new ServerConfig.Backend(
        asked.kind(),
        OptionalInt.of(Math.max(1, threads)),
        asked.kernels(),
        asked.quantization(),
        asked.kvFormat(),
        new ServerConfig.Gpu(asked.gpu().memoryShare(), asked.gpu().eager(), owned),
        asked.ranks(),
        asked.engines(),
        asked.nullStep());
  }
}
