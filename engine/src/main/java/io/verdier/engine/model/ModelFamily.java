package io.verdier.engine.model;

import io.verdier.engine.model.families.Llama;
import io.verdier.engine.model.families.Mistral;
import io.verdier.engine.model.families.Qwen2;
import io.verdier.engine.model.families.Qwen3;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * How a family of models differs from the plain decoder. Immutable; one row of {@link #TABLE} each.
 * Defaults are those of the configuration classes of Hugging Face, which leave them out of files.
 *
 * @param architecture its name in {@code config.json}
 * @param modelType name in {@code model_type}, for text models inside larger ones
 * @param kvHeadsAbsent {@code num_key_value_heads} when absent; 0: as many as query heads
 * @param headDimAbsent {@code head_dim} when absent; 0: hidden size by heads
 * @param maxPositionsAbsent {@code max_position_embeddings} when absent
 * @param textDefaults sizes that a {@code text_config} may leave out; other files name them, and
 *     one that does not is damaged
 */
public record ModelFamily(
    String architecture,
    String modelType,
    int kvHeadsAbsent,
    int headDimAbsent,
    int maxPositionsAbsent,
    BiasRule biasRule,
    WindowRule windowRule,
    boolean queryKeyNorm,
    Map<String, Double> textDefaults) {

  /** Every family that can be served. */
  public static final List<ModelFamily> TABLE =
      List.of(Llama.FAMILY, Mistral.FAMILY, Qwen2.FAMILY, Qwen3.FAMILY);

  private static final String GENERATOR = "ForCausalLM";
  private static final int WIDTH_MAX = 1 << 18;
  private static final int VOCAB_MAX = 1 << 22;
  private static final int LAYERS_MAX = 1024;
  private static final int HEADS_MAX = 1024;
  private static final int HEAD_DIM_MAX = 1024;
  private static final int POSITIONS_MAX = 1 << 28;

  /** Which attention projections have biases. */
  public enum BiasRule {
    /** {@code attention_bias} decides for all four. */
    CONFIGURED,
    /** Query, key and value always, output never. */
    INPUTS_ALWAYS
  }

  /** Which layers see only a window. */
  public enum WindowRule {
    NONE,
    /** All of them, {@code sliding_window} wide: 4096 when absent, everything when null. */
    ALL_LAYERS,
    /** With {@code use_sliding_window}, those from {@code max_window_layers} on. */
    UPPER_LAYERS
  }

  public ModelFamily {
    textDefaults = Map.copyOf(textDefaults);
  }

  public ModelFamily named(String newArchitecture, String newModelType) {
    return new ModelFamily(
        newArchitecture,
        newModelType,
        kvHeadsAbsent,
        headDimAbsent,
        maxPositionsAbsent,
        biasRule,
        windowRule,
        queryKeyNorm,
        textDefaults);
  }

  public ModelFamily withAbsent(int kvHeads, int headDim, int maxPositions) {
    return new ModelFamily(
        architecture,
        modelType,
        kvHeads,
        headDim,
        maxPositions,
        biasRule,
        windowRule,
        queryKeyNorm,
        textDefaults);
  }

  public ModelFamily withBiases(BiasRule rule) {
    return new ModelFamily(
        architecture,
        modelType,
        kvHeadsAbsent,
        headDimAbsent,
        maxPositionsAbsent,
        rule,
        windowRule,
        queryKeyNorm,
        textDefaults);
  }

  public ModelFamily withWindows(WindowRule rule) {
    return new ModelFamily(
        architecture,
        modelType,
        kvHeadsAbsent,
        headDimAbsent,
        maxPositionsAbsent,
        biasRule,
        rule,
        queryKeyNorm,
        textDefaults);
  }

  public ModelFamily withQueryKeyNorm() {
    return new ModelFamily(
        architecture,
        modelType,
        kvHeadsAbsent,
        headDimAbsent,
        maxPositionsAbsent,
        biasRule,
        windowRule,
        true,
        textDefaults);
  }

  /** By their names in {@code config.json}. */
  public ModelFamily withTextDefaults(int vocabulary, int intermediate) {
    return new ModelFamily(
        architecture,
        modelType,
        kvHeadsAbsent,
        headDimAbsent,
        maxPositionsAbsent,
        biasRule,
        windowRule,
        queryKeyNorm,
        sizes(vocabulary, intermediate));
  }

  /** All families have been of one width first. */
  public static Map<String, Double> sizes(int vocabulary, int intermediate) {
    return Map.of(
        "vocab_size", (double) vocabulary,
        "hidden_size", 4096.0,
        "intermediate_size", (double) intermediate,
        "num_hidden_layers", 32.0,
        "num_attention_heads", 32.0);
  }

  /**
   * Reads a model's {@code config.json}. A text model inside a larger one lies in {@code
   * text_config}.
   *
   * @throws ModelException if the architecture is unknown or a value breaks its rule
   */
  public static ModelSpec read(ConfigReader config) {
    if (config.has("quantization_config")) {
      throw new ModelException(
          "config.json: quantization_config is set; quantized checkpoints cannot be served yet. Use"
              + " one in BF16, F16 or F32.");
    }
    var text = config.object("text_config");
    if (text.isEmpty()) {
      return family(config).spec(config, false);
    }
    ConfigReader inner = text.get();
    ModelFamily family = family(inner);
    ConfigReader defaults = ConfigReader.of("text_config", family.textDefaults);
    return family.spec(inner.orElse(config).orElse(defaults), true);
  }

  private static ModelFamily family(ConfigReader config) {
    String[] names = config.texts("architectures");
    String type = config.text("model_type", "");
    for (ModelFamily family : TABLE) {
      boolean named = Arrays.asList(names).contains(family.architecture);
      if (named || (names.length == 0 && type.equals(family.modelType))) {
        return family;
      }
      for (String suffix : List.of(Classifier.SUFFIX, ModelSpec.HEADLESS)) {
        String other = family.architecture.replace(GENERATOR, suffix);
        if (Arrays.asList(names).contains(other)) {
          return family.named(other, family.modelType);
        }
      }
    }
    String known = TABLE.stream().map(ModelFamily::architecture).collect(Collectors.joining(", "));
    throw names.length == 0
        ? config.wrong("model_type", "that of " + known)
        : config.wrong("architectures", "one of " + known);
  }

  private ModelSpec spec(ConfigReader config, boolean nested) {
    requireSilu(config);
    requireCausal(config);
    int hidden = config.integer("hidden_size", 2, WIDTH_MAX);
    int heads = config.integer("num_attention_heads", 1, HEADS_MAX);
    int layers = config.integer("num_hidden_layers", 1, LAYERS_MAX);
    int headDim = headDim(config, hidden, heads);
    int maxPositions =
        config.integer("max_position_embeddings", 1, POSITIONS_MAX, maxPositionsAbsent);
    boolean attentionBias = config.flag("attention_bias", false);
    return new ModelSpec(
        architecture,
        config.integer("vocab_size", 1, VOCAB_MAX),
        hidden,
        config.integer("intermediate_size", 1, WIDTH_MAX),
        layers,
        heads,
        kvHeads(config, heads),
        headDim,
        (float) config.decimal("rms_norm_eps", 0, 1, 1e-6),
        maxPositions,
        RopeSpec.read(config, headDim, maxPositions),
        windows(config, layers),
        new ModelSpec.Biases(
            biasRule == BiasRule.INPUTS_ALWAYS || attentionBias,
            biasRule == BiasRule.CONFIGURED && attentionBias,
            config.flag("mlp_bias", false)),
        queryKeyNorm,
        config.flag("tie_word_embeddings", false),
        nested);
  }

  private static void requireSilu(ConfigReader config) {
    if (!config.text("hidden_act", "silu").equals("silu")) {
      throw config.wrong("hidden_act", "silu");
    }
  }

  /** Models that embed have been trained without the mask; with it, vectors would be others. */
  private static void requireCausal(ConfigReader config) {
    if (!config.flag("is_causal", true)) {
      throw config.wrong(
          "is_causal",
          "true: no supported family lets tokens see later ones. Where the model's own code masks"
              + " them all the same, start with --hf-overrides '{\"is_causal\": true}'");
    }
  }

  private int headDim(ConfigReader config, int hidden, int heads) {
    if (!config.has("head_dim") && headDimAbsent == 0 && hidden % heads != 0) {
      throw config.wrong("hidden_size", "a multiple of num_attention_heads, " + heads);
    }
    int absent = headDimAbsent == 0 ? hidden / heads : headDimAbsent;
    int headDim = config.integer("head_dim", 2, HEAD_DIM_MAX, absent);
    if (headDim % 2 != 0 || headDim > HEAD_DIM_MAX) {
      throw config.wrong("head_dim", "an even number up to " + HEAD_DIM_MAX + ", not " + headDim);
    }
    return headDim;
  }

  private int kvHeads(ConfigReader config, int heads) {
    int absent = kvHeadsAbsent == 0 ? heads : kvHeadsAbsent;
    int kvHeads = config.integer("num_key_value_heads", 1, HEADS_MAX, absent);
    if (heads % kvHeads != 0) {
      throw config.wrong("num_key_value_heads", "a divisor of num_attention_heads, " + heads);
    }
    return kvHeads;
  }

  private int[] windows(ConfigReader config, int layers) {
    int[] windows = new int[layers];
    int from = firstWindowLayer(config);
    int absent = config.mentions("sliding_window") ? 0 : 4096; // null means none
    int width = config.integer("sliding_window", 1, POSITIONS_MAX, absent);
    String[] types = config.texts("layer_types");
    if (types.length != 0 && types.length != layers) {
      throw config.wrong("layer_types", "an array of " + layers + " names, one per layer");
    }
    for (int layer = 0; layer < layers; layer++) {
      boolean slides =
          types.length == 0
              ? layer >= from
              : from < Integer.MAX_VALUE && slides(config, types[layer]);
      windows[layer] = slides ? width : 0;
    }
    return windows;
  }

  /** Names that say per layer what {@code max_window_layers} said before. */
  private static boolean slides(ConfigReader config, String type) {
    return switch (type) {
      case "sliding_attention" -> true;
      case "full_attention" -> false;
      default -> throw config.wrong("layer_types", "made of full_attention and sliding_attention");
    };
  }

  private int firstWindowLayer(ConfigReader config) {
    return switch (windowRule) {
      case NONE -> Integer.MAX_VALUE;
      case ALL_LAYERS -> 0;
      case UPPER_LAYERS ->
          config.flag("use_sliding_window", false)
              ? config.integer("max_window_layers", 0, LAYERS_MAX, 28)
              : Integer.MAX_VALUE;
    };
  }
}
