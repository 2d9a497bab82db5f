package io.verdier.engine.lora;

import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
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

  /** Text models inside larger ones are named in several ways. */
  private static final Pattern PATH =
      Pattern.compile(
          "(?:(?:model\\.)?language_model\\.)?(?:model\\.)?layers\\.([0-9]{1,5})\\.(self_attn|mlp)\\.([a-z_]+)");

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

  /** Both factors of one projection, as they are found. */
  private static final class Pair {
    private final int layer;
    private final Projection module;
    private @Nullable StoredTensor a;
    private @Nullable StoredTensor b;

    Pair(int layer, Projection module) {
      this.layer = layer;
      this.module = module;
    }
  }

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
    TensorFile file = open(directory);
    try {
      List<LoraFactors> factors = new ArrayList<>();
      pairs(file.tensors())
          .forEach((path, pair) -> add(factors, factors(path, pair, config, shape)));
      if (factors.isEmpty()) {
        throw new AdapterException(WEIGHTS_FILE + ": it doesn't contain tensors.");
      }
      int rank = factors.stream().mapToInt(LoraFactors::rank).max().orElse(0);
      return new Adapter(identity(json, file), rank, List.copyOf(factors), file);
    } catch (RuntimeException e) {
      file.close();
      throw e;
    }
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
          boolean isA = bare.endsWith(".lora_A.weight");
          if (!isA && !bare.endsWith(".lora_B.weight")) {
            throw new AdapterException(WEIGHTS_FILE + ": " + name + " is unsupported LoRA weight.");
          }
          String path = bare.substring(0, bare.length() - ".lora_A.weight".length());
          Pair pair = pairs.computeIfAbsent(path, Adapter::pair);
          if (isA) {
            pair.a = tensor;
          } else {
            pair.b = tensor;
          }
        });
    return pairs;
  }

  private static void requireServed(String name) {
    String why = "";
    if (name.contains(".lora_magnitude_vector")) {
      why = "DoRA's magnitudes are not applied";
    } else if (name.endsWith(".lora_B.bias")) {
      why = "a bias beside the factors is not applied";
    } else if (name.contains(".lora_embedding_") || name.contains("embed_tokens")) {
      why = "adapters of the embedding are not served";
    } else if (name.contains("modules_to_save")) {
      why = "whole modules of an adapter are not served";
    } else if (name.contains("lm_head")) {
      why = "adapters of the output matrix are not served";
    }
    if (!why.isEmpty()) {
      throw new AdapterException(WEIGHTS_FILE + ": it has " + name + "; " + why + ".");
    }
  }

  private static Pair pair(String path) {
    Matcher found = PATH.matcher(path);
    if (found.matches()) {
      for (Projection module : Projection.values()) {
        if (module.word().equals(found.group(3)) && module.parent.equals(found.group(2))) {
          return new Pair(Integer.parseInt(found.group(1)), module);
        }
      }
    }
    throw new AdapterException(
        "%s: module %s is not in the model. Expected are %s of its layers."
            .formatted(WEIGHTS_FILE, path, String.join(", ", Projection.words())));
  }

  private static LoraFactors factors(
      String path, Pair pair, AdapterConfig config, LoraShape shape) {
    int product = pair.module.product.index(pair.layer);
    if (product >= shape.products().size()) {
      throw new AdapterException(
          "%s: module %s is not in the model, which has %d layers."
              .formatted(
                  WEIGHTS_FILE, path, shape.products().size() / AdaptedProducts.values().length));
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
    Product adapted = shape.products().get(product);
    StoredTensor a = matrix(storedA, rank, adapted.columns());
    StoredTensor b = matrix(storedB, adapted.partRows().get(pair.module.part), rank);
    return new LoraFactors(product, pair.module.part, a, b, config.scale(path));
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
