package io.verdier.engine.lora;

import io.verdier.engine.weights.JsonFile;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What an {@code adapter_config.json} of PEFT says of ranks and scales. Immutable. What would
 * change the model in another way than by two factors beside a matrix is refused by name; what only
 * training reads is not looked at, and what nobody here knows is told to the operator.
 *
 * <p>{@code target_modules} is checked for its form and otherwise left alone: PEFT lets it name
 * modules that are not there, and the tensors tell which are.
 *
 * @param rankPattern in the file's order; the first match counts
 * @param alphaPattern likewise
 * @param isRankStabilized whether scales are by the root of the rank (Kalajdzievski, "rsLoRA",
 *     2023)
 * @param isTied whether factors of the embedding are to be those of the output matrix too. PEFT
 *     writes them for both then, the latter transposed
 */
record AdapterConfig(
    int rank,
    double alpha,
    Map<ModulePattern, Integer> rankPattern,
    Map<ModulePattern, Double> alphaPattern,
    boolean isRankStabilized,
    boolean isTied) {
  private static final Logger LOG = LoggerFactory.getLogger(AdapterConfig.class);

  static final String FILE = "adapter_config.json";
  private static final int PATTERNS_MAX = 10_000;

  /** Keys that must be absent, null, false or empty, and what they would bring. */
  private static final Map<String, String> REFUSED = refused();

  private static Map<String, String> refused() {
    Map<String, String> refused = new LinkedHashMap<>();
    refused.put("use_dora", "DoRA's magnitudes are not applied");
    refused.put("lora_bias", "a bias beside the factors is not applied");
    refused.put("modules_to_save", "whole modules of an adapter are not served");
    refused.put("layer_replication", "layers are not repeated");
    refused.put("fan_in_fan_out", "the model's matrices are not transposed");
    refused.put("trainable_token_indices", "rows of the embedding are not replaced");
    refused.put("target_parameters", "there are no mixture models");
    refused.put("alora_invocation_tokens", "an adapter applies to a whole sequence");
    refused.put("use_qalora", "pooled inputs are not made");
    refused.put("use_bdlora", "block-diagonal factors are not applied");
    refused.put("kasa_config", "singular values are not cut off the model's matrices");
    refused.put("arrow_config", "tokens are not routed among adapters");
    refused.put("velora_config", "what it keeps beside the factors is not read");
    refused.put("monteclora_config", "what it keeps beside the factors is not read");
    return refused;
  }

  /** Keys that are read. */
  private static final Set<String> READ =
      Set.of(
          "peft_type",
          "r",
          "lora_alpha",
          "rank_pattern",
          "alpha_pattern",
          "use_rslora",
          "target_modules",
          "bias",
          "init_lora_weights",
          "ensure_weight_tying");

  /** Keys that change nothing here, whatever they say. */
  private static final Set<String> HARMLESS =
      Set.of(
          // of the file and its origin
          "peft_version",
          "task_type",
          "auto_mapping",
          "base_model_name_or_path",
          "revision",
          "inference_mode",
          // which modules have factors: the tensors tell
          "exclude_modules",
          "layers_to_transform",
          "layers_pattern",
          // of training, and of beginnings that init_lora_weights decides on
          "lora_dropout",
          "eva_config",
          "corda_config",
          "lora_ga_config",
          "loftq_config",
          "runtime_config",
          "megatron_config",
          "megatron_core",
          "qalora_group_size"); // counts with use_qalora

  /**
   * Beginnings that take their part out of the model's own matrices: the factors that come of them
   * belong to what was left. As PEFT does, those that begin so.
   */
  private static final List<String> CHANGING =
      List.of("pissa", "corda", "olora", "lora_ga", "loftq");

  /**
   * @throws AdapterException if it is malformed, or asks for what is not served
   */
  static AdapterConfig parse(byte[] json) {
    Map<String, @Nullable Object> fields;
    try {
      fields = JsonFile.object(json);
    } catch (IOException malformed) {
      throw new AdapterException(FILE + ": " + JsonFile.reason(malformed) + ".", malformed);
    }
    refuse(fields);
    requireFields(fields);
    tellUnknown(fields);
    return new AdapterConfig(
        rank("r", fields.get("r")),
        number("lora_alpha", fields.get("lora_alpha")),
        pattern(fields, "rank_pattern", AdapterConfig::rank),
        pattern(fields, "alpha_pattern", AdapterConfig::number),
        Boolean.TRUE.equals(fields.get("use_rslora")),
        Boolean.TRUE.equals(fields.get("ensure_weight_tying")));
  }

  private static void refuse(Map<String, @Nullable Object> fields) {
    Object type = fields.get("peft_type");
    if (type != null && !"LORA".equals(type)) {
      throw new AdapterException(
          FILE + ": peft_type is " + shown(type) + "; only LORA can be served.");
    }
    Object bias = fields.get("bias");
    if (bias != null && !"none".equals(bias)) {
      throw new AdapterException(
          FILE + ": bias is " + shown(bias) + "; only \"none\" can be served.");
    }
    REFUSED.forEach(
        (key, why) -> {
          Object value = fields.get(key);
          if (value != null && !Set.of(false, List.of(), Map.of()).contains(value)) {
            throw new AdapterException(
                "%s: %s is %s; it must be unset: %s.".formatted(FILE, key, shown(value), why));
          }
        });
    Object beginning = fields.get("init_lora_weights");
    if (beginning instanceof String text
        && CHANGING.stream().anyMatch(text.toLowerCase(Locale.ROOT)::startsWith)) {
      throw new AdapterException(
          "%s: init_lora_weights is %s; training began with changes to the base model's own matrices, which are not made. Save the adapter with path_initial_model_for_weight_conversion; or serve the changed model, with init_lora_weights set to true."
              .formatted(FILE, shown(text)));
    }
  }

  /** Whoever reads the log sees what may be missing; other tools have keys of their own. */
  private static void tellUnknown(Map<String, @Nullable Object> fields) {
    List<String> unknown =
        fields.entrySet().stream()
            .filter(field -> field.getValue() != null)
            .map(Map.Entry::getKey)
            .filter(key -> !READ.contains(key) && !HARMLESS.contains(key))
            .filter(key -> !REFUSED.containsKey(key))
            .sorted()
            .toList();
    if (!unknown.isEmpty()) {
      LOG.info("{}: not known here, and not looked at: {}", FILE, shown(unknown));
    }
  }

  private static void requireFields(Map<String, @Nullable Object> fields) {
    List<String> missing =
        Stream.of("r", "lora_alpha", "target_modules").filter(k -> fields.get(k) == null).toList();
    if (!missing.isEmpty()) {
      throw new AdapterException(
          FILE + ": Missing required configuration fields: " + String.join(", ", missing) + ".");
    }
    Object modules = fields.get("target_modules");
    boolean isList =
        modules instanceof List<?> list && list.stream().allMatch(String.class::isInstance);
    if (!isList && !(modules instanceof String)) {
      throw new AdapterException(
          FILE + ": target_modules must be a list of names, an expression or \"all-linear\".");
    }
  }

  /** A value of the file, as far as it fits into a line. */
  private static String shown(Object value) {
    String text = value.toString().replaceAll("\\p{Cntrl}", "?");
    return text.length() <= 100 ? text : text.substring(0, 100) + "…";
  }

  private static int rank(String key, @Nullable Object value) {
    if (value instanceof Long rank && rank >= 1 && rank <= Integer.MAX_VALUE) {
      return rank.intValue();
    }
    throw new AdapterException(
        "%s: %s is %s; a rank is a whole number from 1."
            .formatted(FILE, key, value == null ? "null" : shown(value)));
  }

  private static double number(String key, @Nullable Object value) {
    if (value instanceof Number number && Float.isFinite(number.floatValue())) {
      return number.doubleValue();
    }
    throw new AdapterException(
        "%s: %s is %s, not a number.".formatted(FILE, key, value == null ? "null" : shown(value)));
  }

  /** Reads one value of a pattern. */
  private interface Reader<T> {
    T read(String key, @Nullable Object value);
  }

  private static <T> Map<ModulePattern, T> pattern(
      Map<String, @Nullable Object> fields, String key, Reader<T> reader) {
    Object given = fields.get(key);
    Map<ModulePattern, T> pattern = new LinkedHashMap<>();
    if (given == null) {
      return pattern;
    }
    if (!(given instanceof Map<?, ?> entries) || entries.size() > PATTERNS_MAX) {
      throw new AdapterException(FILE + ": " + key + " must be an object of module names.");
    }
    entries.forEach(
        (module, value) ->
            pattern.put(
                ModulePattern.ofSuffix(String.valueOf(module)),
                reader.read(key + "." + module, value)));
    return pattern;
  }

  /**
   * Whoever reads the file with PEFT has the embedding's factors for the output matrix too.
   *
   * @throws AdapterException if only the embedding has any, although both are to have the same
   */
  void requireTied(boolean hasEmbedding, boolean hasHead) {
    if (isTied && hasEmbedding && !hasHead) {
      throw new AdapterException(
          "%s: ensure_weight_tying is true, and the file has factors of embed_tokens but none of lm_head. Save the adapter again with PEFT, which writes both; or unset ensure_weight_tying if the model does not tie them."
              .formatted(FILE));
    }
  }

  /**
   * The rank of a module's factors.
   *
   * @param path as {@code model.layers.0.self_attn.q_proj}
   */
  int rank(String path) {
    return first(rankPattern, path, rank);
  }

  /** Factor of the product of a module's factors. */
  float scale(String path) {
    double divisor = isRankStabilized ? Math.sqrt(rank(path)) : rank(path);
    return (float) (first(alphaPattern, path, alpha) / divisor);
  }

  private static <T> T first(Map<ModulePattern, T> pattern, String path, T otherwise) {
    for (Map.Entry<ModulePattern, T> entry : pattern.entrySet()) {
      if (entry.getKey().matches(path)) {
        return entry.getValue();
      }
    }
    return otherwise;
  }
}
