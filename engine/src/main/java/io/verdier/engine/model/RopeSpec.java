package io.verdier.engine.model;

import java.util.Locale;

/**
 * Rotary position embeddings (Su et al., "RoFormer", 2021) as a checkpoint wants them: one
 * frequency per pair of dimensions, and a factor on sine and cosine. Immutable.
 *
 * <p>{@code dynamic} scaling is the static form that vLLM serves: the base for the longest context
 * from the first token on. The original raises the base as a sequence grows, which would change the
 * keys of tokens already cached, and with them the answers, depending on how a prompt was cut.
 *
 * @param inverseFrequencies {@code [headDim / 2]} radians per position; not to be changed
 * @param amplitude 1, except for YaRN
 * @param lengthFactor how many times {@code max_position_embeddings} the model may see
 * @param lengthBase positions that {@code lengthFactor} multiplies; 0: max_position_embeddings
 */
public record RopeSpec(
    double[] inverseFrequencies, double amplitude, double lengthFactor, int lengthBase) {
  private static final double THETA_MAX = 1e12;
  private static final double FACTOR_MAX = 10_000;
  private static final int POSITIONS_MAX = 1 << 28;

  /** Ways to stretch the positions. */
  enum Scaling {
    DEFAULT,
    LINEAR,
    DYNAMIC,
    LLAMA3,
    YARN;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /**
   * Reads {@code rope_theta} with {@code rope_scaling}, or the newer {@code rope_parameters} that
   * holds both.
   */
  static RopeSpec read(ConfigReader config, int headDim, int maxPositions) {
    ConfigReader scaling =
        config.object("rope_parameters").or(() -> config.object("rope_scaling")).orElse(config);
    double theta =
        scaling.decimal(
            "rope_theta", 1, THETA_MAX, config.decimal("rope_theta", 1, THETA_MAX, 10_000));
    double partial =
        scaling.decimal(
            "partial_rotary_factor", 0, 1, config.decimal("partial_rotary_factor", 0, 1, 1));
    if (partial != 1) {
      throw config.wrong("partial_rotary_factor", "1: no supported family rotates only a part");
    }
    double[] plain = frequencies(theta, headDim);
    if (scaling == config) {
      return new RopeSpec(plain, 1, 1, 0);
    }
    return switch (kind(scaling)) {
      case DEFAULT -> new RopeSpec(plain, 1, 1, 0);
      case LINEAR -> {
        double factor = factor(scaling);
        yield new RopeSpec(divided(plain, factor), 1, factor, 0);
      }
      case DYNAMIC -> {
        double factor = factor(scaling);
        yield new RopeSpec(frequencies(dynamicBase(theta, factor, headDim), headDim), 1, factor, 0);
      }
      case LLAMA3 -> new RopeSpec(llama3(scaling, plain), 1, 1, 0);
      case YARN -> yarn(scaling, theta, plain, maxPositions);
    };
  }

  private static Scaling kind(ConfigReader scaling) {
    String key = scaling.has("rope_type") ? "rope_type" : "type";
    String name = scaling.text(key, "default");
    for (Scaling kind : Scaling.values()) {
      if (kind.toString().equals(name)) {
        return kind;
      }
    }
    throw scaling.unknown(key, Scaling.values());
  }

  private static double factor(ConfigReader scaling) {
    if (!scaling.has("factor")) {
      throw scaling.wrong("factor", "a number from 1 to " + FACTOR_MAX);
    }
    return scaling.decimal("factor", 1, FACTOR_MAX, 1);
  }

  private static double[] frequencies(double theta, int headDim) {
    double[] frequencies = new double[headDim / 2];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = StrictMath.pow(theta, -2.0 * i / headDim);
    }
    return frequencies;
  }

  private static double[] divided(double[] frequencies, double factor) {
    double[] result = frequencies.clone();
    for (int i = 0; i < result.length; i++) {
      result[i] /= factor;
    }
    return result;
  }

  /** NTK-aware base for a context of {@code factor} times the trained one. */
  private static double dynamicBase(double theta, double factor, int headDim) {
    if (headDim <= 2) {
      return theta;
    }
    double stretch = factor * factor - (factor - 1);
    return theta * StrictMath.pow(stretch, headDim / (headDim - 2.0));
  }

  /** Long waves are slowed down by the factor, short ones kept, those between blended. */
  private static double[] llama3(ConfigReader scaling, double[] plain) {
    double factor = factor(scaling);
    double low = scaling.decimal("low_freq_factor", 1e-3, 1e6, 1);
    double high = scaling.decimal("high_freq_factor", 1e-3, 1e6, 4);
    double original = scaling.integer("original_max_position_embeddings", 1, POSITIONS_MAX, 8192);
    if (high <= low) {
      throw scaling.wrong("high_freq_factor", "more than low_freq_factor, " + low);
    }
    double[] result = plain.clone();
    for (int i = 0; i < result.length; i++) {
      double turns = original * plain[i] / (2 * Math.PI); // within the trained context
      double keep = Math.clamp((turns - low) / (high - low), 0, 1);
      result[i] = (1 - keep) * plain[i] / factor + keep * plain[i];
    }
    return result;
  }

  /** Peng et al., "YaRN: Efficient Context Window Extension of Large Language Models", 2023. */
  private static RopeSpec yarn(
      ConfigReader scaling, double theta, double[] plain, int maxPositions) {
    int original =
        scaling.integer("original_max_position_embeddings", 1, POSITIONS_MAX, maxPositions);
    double factor =
        scaling.has("factor") ? factor(scaling) : Math.max(1, (double) maxPositions / original);
    boolean whole = scaling.flag("truncate", true);
    double fast = turnsAt(scaling.decimal("beta_fast", 1e-3, 1e6, 32), original, theta, plain);
    double slow = turnsAt(scaling.decimal("beta_slow", 1e-3, 1e6, 1), original, theta, plain);
    double from = Math.max(0, whole ? Math.floor(fast) : fast);
    double to = Math.min(2.0 * plain.length - 1, whole ? Math.ceil(slow) : slow);
    double width = to == from ? 0.001 : to - from;
    double[] result = plain.clone();
    for (int i = 0; i < result.length; i++) {
      double slowed = Math.clamp((i - from) / width, 0, 1);
      result[i] = slowed * plain[i] / factor + (1 - slowed) * plain[i];
    }
    return new RopeSpec(result, yarnAmplitude(scaling, factor), factor, original);
  }

  /** The dimension that turns so many times within the trained context. */
  private static double turnsAt(double turns, int original, double theta, double[] plain) {
    return plain.length * StrictMath.log(original / (turns * 2 * Math.PI)) / StrictMath.log(theta);
  }

  private static double yarnAmplitude(ConfigReader scaling, double factor) {
    double usual = magnitude(factor, 1);
    double scale = scaling.decimal("mscale", 0, 100, 0);
    double scaleAll = scaling.decimal("mscale_all_dim", 0, 100, 0);
    double computed =
        scale != 0 && scaleAll != 0
            ? magnitude(factor, scale) / magnitude(factor, scaleAll)
            : usual;
    double tuned = computed * scaling.decimal("attn_factor", 1e-3, 1e3, 1); // as vLLM does
    return scaling.decimal("attention_factor", 1e-3, 1e3, tuned);
  }

  private static double magnitude(double factor, double scale) {
    return factor <= 1 ? 1 : 0.1 * scale * StrictMath.log(factor) + 1;
  }
}
