package io.verdier.engine.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Arrays;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The oracle: a decoder in float64 and plain loops, from the papers and Hugging Face's
 * configuration keys. It shares nothing with the code under test.
 */
final class NaiveDecoder {
  private final JsonNode config;
  private final Map<String, double[]> weights;
  private final int hidden;
  private final int heads;
  private final int kvHeads;
  private final int headDim;
  private final int[] windows;
  private final double epsilon;

  NaiveDecoder(JsonNode config, Map<String, double[]> weights, int headDim, int[] windows) {
    this.config = config;
    this.weights = weights;
    this.headDim = headDim;
    this.windows = windows;
    hidden = config.get("hidden_size").asInt();
    heads = config.get("num_attention_heads").asInt();
    kvHeads = config.path("num_key_value_heads").asInt(heads);
    epsilon = config.path("rms_norm_eps").asDouble(1e-6);
  }

  /** Hidden states and logits at every position, {@code [tokens][hidden + vocab]}. */
  double[][] outputs(int[] tokens) {
    double[] head =
        config.path("tie_word_embeddings").asBoolean()
            ? weight("embed_tokens.weight")
            : weight("lm_head.weight");
    double[][] states = hiddenStates(tokens);
    double[][] outputs = new double[tokens.length][];
    for (int t = 0; t < tokens.length; t++) {
      double[] logits = times(head, states[t], null);
      outputs[t] = Arrays.copyOf(states[t], hidden + logits.length);
      System.arraycopy(logits, 0, outputs[t], hidden, logits.length);
    }
    return outputs;
  }

  /** What the final norm gives at every position, {@code [tokens][hidden]}. */
  private double[][] hiddenStates(int[] tokens) {
    double[] embedding = weight("embed_tokens.weight");
    double[][] x = new double[tokens.length][hidden];
    for (int t = 0; t < tokens.length; t++) {
      System.arraycopy(embedding, tokens[t] * hidden, x[t], 0, hidden);
    }
    for (int layer = 0; layer < windows.length; layer++) {
      attention(x, "layers." + layer + ".", windows[layer]);
      feedForward(x, "layers." + layer + ".");
    }
    double[][] states = new double[tokens.length][];
    for (int t = 0; t < tokens.length; t++) {
      states[t] = norm(x[t], weight("norm.weight"));
    }
    return states;
  }

  private void attention(double[][] x, String layer, int window) {
    int count = x.length;
    double[][] q = new double[count][];
    double[][] k = new double[count][];
    double[][] v = new double[count][];
    for (int t = 0; t < count; t++) {
      double[] in = norm(x[t], weight(layer + "input_layernorm.weight"));
      q[t] = headed(linear(layer + "self_attn.q_proj", in), layer + "self_attn.q_norm.weight", t);
      k[t] = headed(linear(layer + "self_attn.k_proj", in), layer + "self_attn.k_norm.weight", t);
      v[t] = linear(layer + "self_attn.v_proj", in);
    }
    for (int t = 0; t < count; t++) {
      double[] out = new double[heads * headDim];
      for (int h = 0; h < heads; h++) {
        int kv = h / (heads / kvHeads);
        int first = window == 0 ? 0 : Math.max(0, t - window + 1);
        double[] p = new double[t + 1];
        double sum = 0;
        for (int s = first; s <= t; s++) {
          double dot = 0;
          for (int d = 0; d < headDim; d++) {
            dot += q[t][h * headDim + d] * k[s][kv * headDim + d];
          }
          p[s] = Math.exp(dot / Math.sqrt(headDim));
          sum += p[s];
        }
        for (int s = first; s <= t; s++) {
          for (int d = 0; d < headDim; d++) {
            out[h * headDim + d] += p[s] / sum * v[s][kv * headDim + d];
          }
        }
      }
      add(x[t], linear(layer + "self_attn.o_proj", out));
    }
  }

  /** Query-key norm where there is one, then rotation. */
  private double[] headed(double[] x, String normName, int position) {
    double[] gain = weights.get(normName);
    double[] frequencies = NaiveRope.frequencies(config, headDim);
    double amplitude = NaiveRope.amplitude(config);
    double[] y = new double[x.length];
    for (int at = 0; at < x.length; at += headDim) {
      double[] head = Arrays.copyOfRange(x, at, at + headDim);
      if (gain != null) {
        head = norm(head, gain);
      }
      int half = headDim / 2;
      for (int i = 0; i < half; i++) {
        double cos = Math.cos(position * frequencies[i]) * amplitude;
        double sin = Math.sin(position * frequencies[i]) * amplitude;
        y[at + i] = head[i] * cos - head[i + half] * sin;
        y[at + i + half] = head[i + half] * cos + head[i] * sin;
      }
    }
    return y;
  }

  private void feedForward(double[][] x, String layer) {
    for (double[] row : x) {
      double[] in = norm(row, weight(layer + "post_attention_layernorm.weight"));
      double[] gate = linear(layer + "mlp.gate_proj", in);
      double[] up = linear(layer + "mlp.up_proj", in);
      for (int i = 0; i < gate.length; i++) {
        gate[i] = gate[i] / (1 + Math.exp(-gate[i])) * up[i];
      }
      add(row, linear(layer + "mlp.down_proj", gate));
    }
  }

  private double[] norm(double[] x, double[] gain) {
    double squares = 0;
    for (double value : x) {
      squares += value * value;
    }
    double[] y = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = x[i] / Math.sqrt(squares / x.length + epsilon) * gain[i];
    }
    return y;
  }

  private double[] linear(String name, double[] x) {
    return times(weight(name + ".weight"), x, weights.get(name + ".bias"));
  }

  private static double[] times(double[] matrix, double[] x, double @Nullable [] bias) {
    double[] y = new double[matrix.length / x.length];
    for (int r = 0; r < y.length; r++) {
      y[r] = bias == null ? 0 : bias[r];
      for (int c = 0; c < x.length; c++) {
        y[r] += matrix[r * x.length + c] * x[c];
      }
    }
    return y;
  }

  private static void add(double[] x, double[] y) {
    for (int i = 0; i < x.length; i++) {
      x[i] += y[i];
    }
  }

  private double[] weight(String name) {
    double[] weight = weights.get(name);
    if (weight == null) {
      throw new AssertionError("oracle lacks " + name);
    }
    return weight;
  }
}
