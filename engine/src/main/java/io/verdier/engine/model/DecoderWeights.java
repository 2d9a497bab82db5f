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
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A decoder's weights on the device, or one rank's or stage's part of them. Immutable.
 *
 * <p>Projections of the same input are stacked to one matrix: one multiplication has more rows to
 * share among threads than three.
 *
 * @param embedding null but on the first stage
 * @param output null but on the last stage
 */
record DecoderWeights(@Nullable Matrix embedding, List<Layer> layers, @Nullable Output output) {

  /**
   * What comes behind the layers.
   *
   * @param gain of {@code norm}, {@code [hidden]}: hidden states are normalised on the host
   * @param head the output matrix; the embedding itself where they are tied
   */
  record Output(Gain norm, float[] gain, Matrix head) {}

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
    long bytes = output == null ? 0 : output.head.bytes();
    for (Layer layer : layers) {
      bytes += layer.queryKeyValue.bytes() + layer.output.bytes();
      bytes += layer.gateUp.bytes() + layer.down.bytes();
    }
    return bytes;
  }

  /**
   * Packs a rank's or stage's weights.
   *
   * @param progress called with the number of layers done
   */
  static DecoderWeights load(Shard shard, Weights weights, Backend backend, LoadProgress progress) {
    return new Loader(shard, weights, backend).load(progress);
  }

  /** Names and shapes of a checkpoint's tensors. */
  private static final class Loader {
    private static final Pattern LAYER = Pattern.compile("layers\\.(\\d{1,9})\\.");

    private final Shard shard;
    private final ModelSpec spec; // of the whole model
    private final Weights weights;
    private final Backend backend;
    private final String prefix;

    Loader(Shard shard, Weights weights, Backend backend) {
      this.shard = shard;
      this.spec = shard.whole();
      this.weights = weights;
      this.backend = backend;
      this.prefix = prefix();
    }

    /**
     * Where the decoder lies: text models inside larger ones have been named in several ways, and
     * one that was saved without its output matrix has no name in front.
     */
    private String prefix() {
      for (String name : List.of("model.", "language_model.model.", "model.language_model.", "")) {
        if (weights.contains(name + "embed_tokens.weight")) {
          return name;
        }
      }
      return "model.";
    }

    DecoderWeights load(LoadProgress progress) {
      Matrix embedding = shard.stage().isFirst() ? backend.vocabularyMatrix(table().matrix) : null;
      List<Layer> layers = new ArrayList<>();
      int count = shard.local().layers();
      for (int i = 0; i < count; i++) {
        layers.add(layer(prefix + "layers." + (shard.firstLayer() + i) + "."));
        progress.layersLoaded(i + 1, count);
      }
      Output output = shard.stage().isLast() ? output(embedding) : null;
      requireAllUsed();
      return new DecoderWeights(embedding, layers, output);
    }

    private Part table() {
      return part(prefix + "embed_tokens", spec.vocabSize(), spec.hidden(), false);
    }

    private Output output(@Nullable Matrix embedding) {
      StoredTensor norm = weights.tensor(prefix + "norm.weight", spec.hidden());
      return new Output(backend.gain(norm), norm.floats(), head(embedding));
    }

    /**
     * A rank's rows of a tied output matrix are packed once more, for the embedding is whole, and
     * so is all of it where another stage has the embedding.
     */
    private Matrix head(@Nullable Matrix embedding) {
      if (spec.tiedEmbeddings() && shard.rank().isAlone() && embedding != null) {
        return embedding;
      }
      Part head =
          spec.tiedEmbeddings() ? table() : part(head(), spec.vocabSize(), spec.hidden(), false);
      return backend.vocabularyMatrix(head.rows(shard.logits()).matrix);
    }

    private String head() {
      int outer = prefix.endsWith(".model.") ? prefix.length() - "model.".length() : 0;
      String beside = prefix.substring(0, outer) + "lm_head";
      return weights.contains(beside + ".weight") ? beside : "lm_head";
    }

    private Layer layer(String at) {
      int hidden = spec.hidden();
      int queries = spec.heads() * spec.headDim();
      int keys = spec.kvHeads() * spec.headDim();
      int inner = spec.intermediate();
      boolean biased = spec.biases().queryKeyValue();
      String attention = at + "self_attn.";
      Matrix queryKeyValue =
          stacked(
              part(attention + "q_proj", queries, hidden, biased).rows(shard.queries()),
              part(attention + "k_proj", keys, hidden, biased).rows(shard.keys()),
              part(attention + "v_proj", keys, hidden, biased).rows(shard.keys()));
      boolean mlpBiased = spec.biases().feedForward();
      Parts gateUp =
          parts(
              part(at + "mlp.gate_proj", inner, hidden, mlpBiased).rows(shard.intermediate()),
              part(at + "mlp.up_proj", inner, hidden, mlpBiased).rows(shard.intermediate()));
      Part output = part(attention + "o_proj", hidden, queries, spec.biases().output());
      Part down = part(at + "mlp.down_proj", hidden, inner, mlpBiased);
      return new Layer(
          gain(at + "input_layernorm", hidden),
          queryKeyValue,
          spec.queryKeyNorm() ? gain(attention + "q_norm", spec.headDim()) : null,
          spec.queryKeyNorm() ? gain(attention + "k_norm", spec.headDim()) : null,
          stacked(addend(output, shard.queries())),
          gain(at + "post_attention_layernorm", hidden),
          backend.gateUpMatrix(gateUp.matrices, gateUp.biases),
          stacked(addend(down, shard.intermediate())));
    }

    /** Some columns of a matrix, whose products all ranks add up: one of them adds the bias. */
    private Part addend(Part part, Shard.Range columns) {
      StoredTensor bias = shard.rank().isFirst() ? part.bias : null;
      return new Part(part.matrix.columns(columns.first(), columns.count()), bias);
    }

    private Gain gain(String name, int size) {
      return backend.gain(weights.tensor(name + ".weight", size));
    }

    /**
     * A matrix of the checkpoint, or a view on a piece of it, and what is added to its products.
     */
    private record Part(StoredTensor matrix, @Nullable StoredTensor bias) {

      Part rows(Shard.Range range) {
        return new Part(
            matrix.rows(range.first(), range.count()),
            bias == null ? null : bias.rows(range.first(), range.count()));
      }
    }

    private Part part(String name, int rows, int columns, boolean biased) {
      return new Part(
          weights.tensor(name + ".weight", rows, columns),
          biased ? weights.tensor(name + ".bias", rows) : null);
    }

    private Matrix stacked(Part... parts) {
      Parts found = parts(parts);
      return backend.matrix(found.matrices, found.biases);
    }

    private record Parts(List<StoredTensor> matrices, List<@Nullable StoredTensor> biases) {}

    private static Parts parts(Part... parts) {
      Parts found = new Parts(new ArrayList<>(), new ArrayList<>());
      for (Part part : parts) {
        found.matrices.add(part.matrix);
        found.biases.add(part.bias);
      }
      return found;
    }

    /** Other stages have it; that they know what to do with all of theirs is their affair. */
    private boolean isOfAnotherStage(String name) {
      if (name.endsWith("lm_head.weight")) {
        return !shard.stage().isLast();
      }
      if (shard.stage().isWhole() || !name.startsWith(prefix)) {
        return false;
      }
      Matcher layer = LAYER.matcher(name.substring(prefix.length()));
      if (layer.lookingAt()) {
        long number = Long.parseLong(layer.group(1));
        return number < shard.firstLayer()
            || (number >= shard.firstLayer() + shard.local().layers() && number < spec.layers());
      }
      String rest = name.substring(prefix.length());
      return rest.equals("embed_tokens.weight") || rest.equals("norm.weight");
    }

    /** Whoever makes classes of hidden states has read it. */
    private boolean isOfClassifier(String name) {
      return name.equals(Classifier.WEIGHT) && spec.architecture().endsWith(Classifier.SUFFIX);
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
              .filter(name -> !isOfClassifier(name))
              .filter(name -> !isOfAnotherStage(name))
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
