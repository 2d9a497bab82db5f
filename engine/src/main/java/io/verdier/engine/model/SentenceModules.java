package io.verdier.engine.model;

import io.verdier.engine.sample.Pooling;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What Sentence Transformers leave beside a model: {@code modules.json}, a list of what is done one
 * after the other, and a directory for each of them. Immutable.
 *
 * <p>A module that is not known here would change every vector, so it is refused and not left out.
 *
 * @param directory of the model
 * @param normalizes whether vectors get length 1
 */
record SentenceModules(Path directory, boolean normalizes) {
  private static final String LIST = "modules.json";
  private static final String POOLING = "1_Pooling";
  private static final String NORM = "Normalize";
  private static final Set<String> KNOWN = Set.of("Transformer", "Pooling", NORM);

  /** As {@code pooling_mode} has them since version 5.4. */
  private static final Map<String, Pooling> MODES =
      Map.of("cls", Pooling.FIRST, "mean", Pooling.MEAN, "lasttoken", Pooling.LAST);

  /** Before there was a switch for each, and vectors of several were put side by side. */
  private static final Map<String, String> SWITCHES =
      Map.of(
          "pooling_mode_cls_token", "cls",
          "pooling_mode_mean_tokens", "mean",
          "pooling_mode_lasttoken", "lasttoken",
          "pooling_mode_max_tokens", "max",
          "pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens",
          "pooling_mode_weightedmean_tokens", "weightedmean");

  /** Whether a model says how it embeds. */
  static boolean areIn(Path directory) {
    return Files.isRegularFile(poolingFile(directory))
        && Files.isRegularFile(directory.resolve(LIST));
  }

  private static Path poolingFile(Path directory) {
    return directory.resolve(POOLING).resolve(ModelLoader.CONFIG_FILE);
  }

  /**
   * @throws ModelException if the list holds a module that is not available
   */
  static SentenceModules read(Path directory) {
    boolean normalizes = false;
    for (ConfigReader module : ConfigReader.readList(directory.resolve(LIST))) {
      String type = module.text("type", "");
      String name = type.substring(type.lastIndexOf('.') + 1); // packages have changed
      if (!KNOWN.contains(name)) {
        throw module.wrong(
            "type",
            "Transformer, Pooling or Normalize: what others do to vectors is not available");
      }
      normalizes |= name.equals(NORM);
    }
    return new SentenceModules(directory, normalizes);
  }

  /**
   * Whose hidden states make the vector.
   *
   * @throws ModelException if it is another mode, or more than one
   */
  Pooling pooling() {
    ConfigReader config = ConfigReader.read(poolingFile(directory));
    List<String> asked =
        config.has("pooling_mode")
            ? List.of(config.text("pooling_mode", ""))
            : SWITCHES.keySet().stream()
                .filter(key -> config.flag(key, false))
                .map(SWITCHES::get)
                .sorted()
                .toList();
    Pooling mode = asked.size() == 1 ? MODES.get(asked.getFirst()) : null;
    if (mode != null) {
      return mode;
    }
    throw new ModelException(
        "%s/%s: its pooling mode is %s; available are cls, mean or lasttoken, one of them. Choose one by --pooler-config."
            .formatted(
                POOLING,
                ModelLoader.CONFIG_FILE,
                asked.isEmpty() ? "missing" : String.join(" and ", asked)));
  }
}
