package io.verdier.engine.model;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Backend.Gain;
import io.verdier.engine.backend.Backend.Matrix;
import io.verdier.engine.weights.StoredTensor;
import io.verdier.engine.weights.Weights;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A decoder's weights on the device. Immutable.
 *
 * <p>Projections of the same input are stacked to one matrix: one multiplication has more rows to
 * share among threads than three.
 *
 * @param head the output matrix; the embedding itself where they are tied
 */
record DecoderWeights(Matrix embedding, List<Layer> layers, Gain finalNorm, Matrix head) {

  /**
   * One layer.
   *
   * @param queryKeyValue {@code [(heads + 2 kvHeads) · headDim, hidden]}
   * @param gateUp {@code [2 · intermediate, hidden]}
   * @param queryNorm null without query and key norms
   */
  record Layer(
      Gain attentionNorm,
      Matrix queryKeyValue,
      @Nullable Gain queryNorm,
      @Nullable Gain keyNorm,
      Matrix output,
      Gain feedForwardNorm,
      Matrix gateUp,
      Matrix down) {}

  /** What one step reads, however many tokens it has; of the embedding it is only some rows. */
  long bytesPerStep() {
    long bytes = head.bytes();
    for (Layer layer : layers) {
      bytes += layer.queryKeyValue.bytes() + layer.output.bytes();
      bytes += layer.gateUp.bytes() + layer.down.bytes();
    }
    return bytes;
  }

  /**
   * Packs all weights.
   *
   * @param progress called with the number of layers done
   */
  static DecoderWeights load(
      ModelSpec spec, Weights weights, Backend backend, LoadProgress progress) {
    return new Loader(spec, weights, backend).load(progress);
  }

  /** Names and shapes of a checkpoint's tensors. */
  private static final class Loader {
    private final ModelSpec spec;
    private final Weights weights;
    private final Backend backend;
    private final String prefix;

    Loader(ModelSpec spec, Weights weights, Backend backend) {
      this.spec = spec;
      this.weights = weights;
      this.backend = backend;
      this.prefix = prefix();
    }

    /** Where the decoder lies: text models inside larger ones have been named in three ways. */
    private String prefix() {
      for (String name : List.of("model.", "language_model.model.", "model.language_model.")) {
        if (weights.contains(name + "embed_tokens.weight")) {
          return name;
        }
      }
      return "model.";
    }

    DecoderWeights load(LoadProgress progress) {
      Matrix embedding = vocabularyMatrix(prefix + "embed_tokens");
      List<Layer> layers = new ArrayList<>();
      for (int i = 0; i < spec.layers(); i++) {
        layers.add(layer(prefix + "layers." + i + "."));
        progress.layersLoaded(i + 1, spec.layers());
      }
      Gain norm = gain(prefix + "norm", spec.hidden());
      Matrix head = spec.tiedEmbeddings() ? embedding : vocabularyMatrix(head());
      requireAllUsed();
      return new DecoderWeights(embedding, layers, norm, head);
    }

    private String head() {
      String inner = prefix.replace("model.", "") + "lm_head";
      return weights.contains(inner + ".weight") ? inner : "lm_head";
    }

    private Layer layer(String at) {
      int queries = spec.heads() * spec.headDim();
      int keys = spec.kvHeads() * spec.headDim();
      boolean biased = spec.biases().queryKeyValue();
      String attention = at + "self_attn.";
      Matrix queryKeyValue =
          stacked(
              spec.hidden(),
              part(attention + "q_proj", queries, biased),
              part(attention + "k_proj", keys, biased),
              part(attention + "v_proj", keys, biased));
      boolean mlpBiased = spec.biases().feedForward();
      Parts gateUp =
          parts(
              spec.hidden(),
              part(at + "mlp.gate_proj", spec.intermediate(), mlpBiased),
              part(at + "mlp.up_proj", spec.intermediate(), mlpBiased));
      return new Layer(
          gain(at + "input_layernorm", spec.hidden()),
          queryKeyValue,
          spec.queryKeyNorm() ? gain(attention + "q_norm", spec.headDim()) : null,
          spec.queryKeyNorm() ? gain(attention + "k_norm", spec.headDim()) : null,
          matrix(attention + "o_proj", spec.hidden(), queries, spec.biases().output()),
          gain(at + "post_attention_layernorm", spec.hidden()),
          backend.gateUpMatrix(gateUp.matrices, gateUp.biases),
          matrix(at + "mlp.down_proj", spec.hidden(), spec.intermediate(), mlpBiased));
    }

    private Gain gain(String name, int size) {
      return backend.gain(weights.tensor(name + ".weight", size));
    }

    private Matrix vocabularyMatrix(String name) {
      return backend.vocabularyMatrix(
          weights.tensor(name + ".weight", spec.vocabSize(), spec.hidden()));
    }

    private Matrix matrix(String name, int rows, int columns, boolean biased) {
      return stacked(columns, part(name, rows, biased));
    }

    private record Part(String name, int rows, boolean biased) {}

    private static Part part(String name, int rows, boolean biased) {
      return new Part(name, rows, biased);
    }

    private Matrix stacked(int columns, Part... parts) {
      Parts found = parts(columns, parts);
      return backend.matrix(found.matrices, found.biases);
    }

    private record Parts(List<StoredTensor> matrices, List<@Nullable StoredTensor> biases) {}

    private Parts parts(int columns, Part... parts) {
      Parts found = new Parts(new ArrayList<>(), new ArrayList<>());
      for (Part part : parts) {
        found.matrices.add(weights.tensor(part.name + ".weight", part.rows, columns));
        found.biases.add(part.biased ? weights.tensor(part.name + ".bias", part.rows) : null);
      }
      return found;
    }

    /**
     * A decoder tensor that no formula used (a bias that the configuration does not mention, a norm
     * of another family) means wrong answers, not an error: so it is made one.
     */
    private void requireAllUsed() {
      Set<String> unused =
          weights.unused().stream()
              .filter(name -> !spec.textOfLargerModel() || name.startsWith(prefix))
              .filter(name -> !name.endsWith("rotary_emb.inv_freq"))
              .filter(name -> !(spec.tiedEmbeddings() && name.endsWith("lm_head.weight")))
              .collect(Collectors.toCollection(java.util.TreeSet::new));
      if (!unused.isEmpty()) {
        throw new ModelException(
            "the checkpoint has "
                + unused.size()
                + " tensors that "
                + spec.architecture()
                + " with this config.json does not use, such as "
                + Arrays.toString(unused.stream().limit(3).toArray())
                + "; its answers would be wrong.");
      }
    }
  }
}
