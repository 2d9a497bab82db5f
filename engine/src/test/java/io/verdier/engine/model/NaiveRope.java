package io.verdier.engine.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;

/** The oracle's rotary frequencies, by the formulas of each scaling's paper or announcement. */
final class NaiveRope {
  private NaiveRope() {}

  private static JsonNode scaling(JsonNode config) {
    return config.has("rope_parameters")
        ? config.get("rope_parameters")
        : config.has("rope_scaling") ? config.get("rope_scaling") : MissingNode.getInstance();
  }

  private static String kind(JsonNode scaling) {
    return scaling.path("rope_type").asText(scaling.path("type").asText("default"));
  }

  static double amplitude(JsonNode config) {
    JsonNode s = scaling(config);
    if (!kind(s).equals("yarn")) {
      return 1;
    }
    return s.has("attention_factor")
        ? s.get("attention_factor").asDouble()
        : (0.1 * Math.log(s.get("factor").asDouble()) + 1) * s.path("attn_factor").asDouble(1);
  }

  static double[] frequencies(JsonNode config, int dim) {
    JsonNode s = scaling(config);
    double base = s.path("rope_theta").asDouble(config.path("rope_theta").asDouble(10_000));
    double factor = s.path("factor").asDouble(1);
    double[] f = new double[dim / 2];
    for (int i = 0; i < f.length; i++) {
      double plain = 1 / Math.pow(base, 2.0 * i / dim);
      f[i] =
          switch (kind(s)) {
            case "default" -> plain;
            case "linear" -> plain / factor;
            case "dynamic" -> {
              double wider = base * Math.pow(factor * factor - factor + 1, dim / (dim - 2.0));
              yield 1 / Math.pow(wider, 2.0 * i / dim);
            }
            case "llama3" -> llama3(s, plain, factor);
            case "yarn" -> yarn(s, plain, factor, base, i, dim);
            default -> throw new AssertionError(kind(s));
          };
    }
    return f;
  }

  private static double llama3(JsonNode s, double plain, double factor) {
    double original = s.get("original_max_position_embeddings").asDouble();
    double low = s.get("low_freq_factor").asDouble();
    double high = s.get("high_freq_factor").asDouble();
    double wavelength = 2 * Math.PI / plain;
    if (wavelength < original / high) {
      return plain;
    }
    if (wavelength > original / low) {
      return plain / factor;
    }
    double smooth = (original / wavelength - low) / (high - low);
    return (1 - smooth) * plain / factor + smooth * plain;
  }

  private static double yarn(JsonNode s, double plain, double factor, double base, int i, int dim) {
    double original = s.get("original_max_position_embeddings").asDouble();
    double low = Math.floor(dimension(s.path("beta_fast").asDouble(32), original, base, dim));
    double high = Math.ceil(dimension(s.path("beta_slow").asDouble(1), original, base, dim));
    low = Math.max(low, 0);
    high = Math.min(high, dim - 1);
    double ramp = Math.min(1, Math.max(0, (i - low) / Math.max(high - low, 0.001)));
    return plain / factor * ramp + plain * (1 - ramp);
  }

  private static double dimension(double turns, double original, double base, int dim) {
    return dim * Math.log(original / (turns * 2 * Math.PI)) / (2 * Math.log(base));
  }
}
