package io.verdier.engine.lora;

import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraShape.Product.Input;
import io.verdier.engine.model.AdaptedProducts;
import io.verdier.engine.weights.StoredTensor;
import io.verdier.engine.weights.TensorFile;
import io.verdier.engine.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * An adapter's files, checked against the model. Immutable; its factors are valid until it is
 * closed, which whoever has laid them out does.
 *
 * @param identity hash of all that decides what it adds: two of the same identity give the same
 *     tokens, so what one left in the prefix cache is the other's too, under whatever names
 * @param rank of its largest factors
 */
public record Adapter(String identity, int rank, List<LoraFactors> factors, TensorFile file)
    implements AutoCloseable {
  public static final String WEIGHTS_FILE = "adapter_model.safetensors";
  private static final int CONFIG_BYTES_MAX = 1 << 20;
  private static final String BASE_PREFIX = "base_model.model.";

  /** An old way of vLLM's to bring tokens along. */
  private static final List<String> NEW_TOKENS =
      List.of("new_embeddings.safetensors", "new_embeddings.bin");

  /** Text models inside larger ones are named in several ways. */
  private static final String OUTER = "(?:(?:model\\.)?language_model\\.)?";

  private static final Pattern PROJECTION =
      Pattern.compile(OUTER + "(?:model\\.)?layers\\.([0-9]{1,5})\\.(self_attn|mlp)\\.([a-z_]+)");
  private static final Pattern EMBEDDING = Pattern.compile(OUTER + "(?:model\\.)?embed_tokens");
  private static final Pattern HEAD = Pattern.compile(OUTER + "lm_head");

  /** How the factors of a module are named, behind its path. */
  private enum Form {
    OF_ROWS(".lora_A.weight", ".lora_B.weight"),
    OF_TOKENS(".lora_embedding_A", ".lora_embedding_B");

    private final String a;
    private final String b;

    Form(String a, String b) {
      this.a = a;
      this.b = b;
    }
  }

  /** A projection as checkpoints call it, and where its product is. Immutable. */
  private enum Projection {
    Q_PROJ("self_attn", AdaptedProducts.QUERY_KEY_VALUE, 0),
    K_PROJ("self_attn", AdaptedProducts.QUERY_KEY_VALUE, 1),
    V_PROJ("self_attn", AdaptedProducts.QUERY_KEY_VALUE, 2),
    O_PROJ("self_attn", AdaptedProducts.OUTPUT, 0),
    GATE_PROJ("mlp", AdaptedProducts.GATE_UP, 0),
    UP_PROJ("mlp", AdaptedProducts.GATE_UP, 1),
    DOWN_PROJ("mlp", AdaptedProducts.DOWN, 0);

    private final String parent;
    private final AdaptedProducts product;
    private final int part;

    Projection(String parent, AdaptedProducts product, int part) {
      this.parent = parent;
      this.product = product;
      this.part = part;
    }

    String word() {
      return name().toLowerCase(Locale.ROOT);
    }

    static List<String> words() {
      return Arrays.stream(values()).map(Projection::word).toList();
    }
  }

  /** Both factors of one module, as they are found. */
  private static final class Pair {
    private final Form form;
    private @Nullable StoredTensor a;
    private @Nullable StoredTensor b;

    Pair(Form form) {
      this.form = form;
    }
  }

  /** Where a module's product is, as {@link LoraFactors} has it. Immutable. */
  private record Place(int product, int part) {}

  /**
   * Reads a directory in PEFT's layout.
   *
   * @param shape of the model, and how high a rank there is room for
   * @throws AdapterException if a file is bad, or the adapter does not fit the model
   */
  public static Adapter read(Path directory, LoraShape shape) {
    byte[] json = config(directory);
    AdapterConfig config = AdapterConfig.parse(json);
    requireRank(config.rank(), shape);
    requireSameTokens(directory);
    TensorFile file = open(directory);
    try {
      List<LoraFactors> factors = new ArrayList<>();
      pairs(file.tensors())
          .forEach((path, pair) -> add(factors, factors(path, pair, config, shape)));
      if (factors.isEmpty()) {
        throw new AdapterException(WEIGHTS_FILE + ": it doesn't contain tensors.");
      }
      int products = shape.products().size();
      config.requireTied(
          isThere(factors, AdaptedProducts.embedding(products)),
          isThere(factors, AdaptedProducts.head(products)));
      int rank = factors.stream().mapToInt(LoraFactors::rank).max().orElse(0);
      return new Adapter(identity(json, file), rank, List.copyOf(factors), file);
    } catch (RuntimeException e) {
      file.close();
      throw e;
    }
  }

  private static boolean isThere(List<LoraFactors> factors, int product) {
    return factors.stream().anyMatch(it -> it.product() == product);
  }

  /** One module may be there under two of its paths. */
  private static void add(List<LoraFactors> factors, LoraFactors next) {
    if (factors.stream()
        .anyMatch(it -> it.product() == next.product() && it.part() == next.part())) {
      throw new AdapterException(
          WEIGHTS_FILE + ": " + next.a().name() + " is of a module that it has already.");
    }
    factors.add(next);
  }

  private static byte[] config(Path directory) {
    Path path = directory.resolve(AdapterConfig.FILE);
    try {
      if (Files.size(path) > CONFIG_BYTES_MAX) {
        throw new AdapterException(AdapterConfig.FILE + ": it is larger than 1 MiB.");
      }
      return Files.readAllBytes(path);
    } catch (IOException absent) {
      throw new AdapterException(
          "There is no readable " + AdapterConfig.FILE + " in the adapter's directory.", absent);
    }
  }

  private static TensorFile open(Path directory) {
    if (!Files.isRegularFile(directory.resolve(WEIGHTS_FILE))) {
      boolean isPickled = Files.exists(directory.resolve("adapter_model.bin"));
      throw new AdapterException(
          "There is no "
              + WEIGHTS_FILE
              + " in the adapter's directory"
              + (isPickled
                  ? ", only a pickled adapter_model.bin, which is never opened: save it as"
                      + " safetensors."
                  : "."));
    }
    try {
      return new TensorFile(directory.resolve(WEIGHTS_FILE));
    } catch (WeightsException bad) {
      throw new AdapterException(String.valueOf(bad.getMessage()), bad);
    }
  }

  private static void requireRank(int rank, LoraShape shape) {
    if (rank > shape.rankMax()) {
      throw new AdapterException(
          "LoRA rank %d is greater than max_lora_rank %d. Start with --max-lora-rank %d to serve it."
              .formatted(rank, shape.rankMax(), rank));
    }
  }

  private static void requireSameTokens(Path directory) {
    for (String name : NEW_TOKENS) {
      if (Files.exists(directory.resolve(name))) {
        throw new AdapterException(
            "%s: tokens that an adapter adds to the vocabulary are not served.".formatted(name));
      }
    }
  }

  /** Factors by the path of their module, in its order. */
  private static Map<String, Pair> pairs(Map<String, StoredTensor> tensors) {
    Map<String, Pair> pairs = new TreeMap<>();
    tensors.forEach(
        (name, tensor) -> {
          String bare = name.startsWith(BASE_PREFIX) ? name.substring(BASE_PREFIX.length()) : name;
          if (bare.endsWith(".base_layer.weight")) {
            return; // the base model's own, saved beside
          }
          requireServed(name);
          put(pairs, name, bare, tensor);
        });
    return pairs;
  }

  private static void put(Map<String, Pair> pairs, String name, String bare, StoredTensor tensor) {
    for (Form form : Form.values()) {
      boolean isA = bare.endsWith(form.a);
      if (isA || bare.endsWith(form.b)) {
        String path = bare.substring(0, bare.length() - (isA ? form.a : form.b).length());
        Pair pair = pairs.computeIfAbsent(path, first -> new Pair(form));
        if (pair.form != form) {
          throw new AdapterException(
              "%s: module %s has factors of two kinds.".formatted(WEIGHTS_FILE, path));
        }
        if (isA) {
          pair.a = tensor;
        } else {
          pair.b = tensor;
        }
        return;
      }
    }
    throw new AdapterException(WEIGHTS_FILE + ": " + name + " is unsupported LoRA weight.");
  }

  private static void requireServed(String name) {
    String why = "";
    if (name.contains(".lora_magnitude_vector")) {
      why = "DoRA's magnitudes are not applied";
    } else if (name.endsWith(".lora_B.bias")) {
      why = "a bias beside the factors is not applied";
    } else if (name.contains("modules_to_save")
        || name.endsWith("embed_tokens.weight")
        || name.endsWith("lm_head.weight")) {
      why = "whole modules of an adapter are not served";
    }
    if (!why.isEmpty()) {
      throw new AdapterException(WEIGHTS_FILE + ": it has " + name + "; " + why + ".");
    }
  }

  private static Place place(String path, LoraShape shape) {
    int products = shape.products().size();
    if (EMBEDDING.matcher(path).matches()) {
      return new Place(AdaptedProducts.embedding(products), 0);
    }
    if (HEAD.matcher(path).matches()) {
      return new Place(AdaptedProducts.head(products), 0);
    }
    Matcher found = PROJECTION.matcher(path);
    if (found.matches()) {
      for (Projection module : Projection.values()) {
        if (module.word().equals(found.group(3)) && module.parent.equals(found.group(2))) {
          int layer = requireLayer(path, Integer.parseInt(found.group(1)), products);
          return new Place(module.product.index(layer), module.part);
        }
      }
    }
    throw new AdapterException(
        "%s: module %s is not in the model. Expected are %s of its layers, embed_tokens and lm_head."
            .formatted(WEIGHTS_FILE, path, String.join(", ", Projection.words())));
  }

  private static int requireLayer(String path, int layer, int products) {
    if (layer >= AdaptedProducts.layers(products)) {
      throw new AdapterException(
          "%s: module %s is not in the model, which has %d layers."
              .formatted(WEIGHTS_FILE, path, AdaptedProducts.layers(products)));
    }
    return layer;
  }

  private static LoraFactors factors(
      String path, Pair pair, AdapterConfig config, LoraShape shape) {
    Place place = place(path, shape);
    Product adapted = shape.products().get(place.product);
    Form form = adapted.input() == Input.TOKENS ? Form.OF_TOKENS : Form.OF_ROWS;
    if (pair.form != form) {
      throw new AdapterException(
          "%s: factors of module %s must be named %s and %s."
              .formatted(WEIGHTS_FILE, path, form.a.substring(1), form.b.substring(1)));
    }
    StoredTensor storedA = pair.a;
    StoredTensor storedB = pair.b;
    if (storedA == null || storedB == null) {
      throw new AdapterException(
          "%s: module %s has lora_%s but no lora_%s."
              .formatted(
                  WEIGHTS_FILE, path, storedA == null ? "B" : "A", storedA == null ? "A" : "B"));
    }
    int rank = config.rank(path);
    requireRank(rank, shape);
    requireVocabulary(place, storedA, storedB, shape);
    StoredTensor a = matrix(storedA, rank, adapted.columns());
    StoredTensor b = matrix(storedB, adapted.partRows().get(place.part), rank);
    return new LoraFactors(place.product, place.part, a, b, config.scale(path));
  }

  /** Whose tokens are others has been made for a vocabulary that grew, or for another model. */
  private static void requireVocabulary(
      Place place, StoredTensor a, StoredTensor b, LoraShape shape) {
    int products = shape.products().size();
    int head = AdaptedProducts.head(products);
    int tokens = shape.products().get(head).rows();
    boolean isHead = place.product == head;
    if (isHead || place.product == AdaptedProducts.embedding(products)) {
      StoredTensor tensor = isHead ? b : a;
      long[] found = tensor.shape();
      if (found.length == 2 && found[isHead ? 0 : 1] != tokens) {
        throw new AdapterException(
            "%s: %s is for a vocabulary of %d tokens; the model has %d. Tokens that an adapter adds are not served."
                .formatted(WEIGHTS_FILE, tensor.name(), found[isHead ? 0 : 1], tokens));
      }
    }
  }

  private static StoredTensor matrix(StoredTensor tensor, long rows, long columns) {
    if (!tensor.dtype().isWeight()) {
      throw new AdapterException(
          "%s: %s has type %s; F32, F16 and BF16 are possible."
              .formatted(WEIGHTS_FILE, tensor.name(), tensor.dtype()));
    }
    long[] expected = {rows, columns};
    if (!Arrays.equals(tensor.shape(), expected)) {
      throw new AdapterException(
          "%s: %s has shape %s; the model and the adapter's rank ask for %s."
              .formatted(
                  WEIGHTS_FILE,
                  tensor.name(),
                  Arrays.toString(tensor.shape()),
                  Arrays.toString(expected)));
    }
    if (!tensor.isFinite()) {
      throw new AdapterException(WEIGHTS_FILE + ": " + tensor.name() + " holds NaN or infinity.");
    }
    return tensor;
  }

  private static String identity(byte[] json, TensorFile file) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(MessageDigest.getInstance("SHA-256").digest(json));
      file.digest(digest);
      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  @Override
  public void close() {
    file.close();
  }
}
