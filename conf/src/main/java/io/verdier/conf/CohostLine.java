package io.verdier.conf;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The command line of Google's {@code vllm.entrypoints.model_cohost_server}: some flags hold an
 * entry for each model, in one order, or one for all. Owned by the thread that loads.
 */
final class CohostLine {
  private static final String MODULE = ".model_cohost_server";

  /** Flags that are meant for one model alone: the first. */
  private static final List<String> FIRST_ONLY =
      List.of("--model", "--model-id", "--aip-storage-uri", "--lora-modules");

  private CohostLine() {}

  /**
   * The flags of each model.
   *
   * @param arguments of the whole command line
   */
  static List<Map<String, Given>> perModel(
      List<String> argv, Map<String, Given> arguments, Findings findings) {
    if (!LaunchPrefix.of(argv).module().endsWith(MODULE)) {
      return List.of(arguments);
    }
    Given models = arguments.get("--model");
    int count = models == null ? 1 : entries(models).size();
    List<Map<String, Given>> perModel = new ArrayList<>();
    for (int model = 0; model < count; model++) {
      perModel.add(new LinkedHashMap<>());
    }
    for (Given given : arguments.values()) {
      List<String> entries = given.flag().type().perModel() ? entries(given) : List.of();
      if (entries.size() > 1 && entries.size() != count) {
        findings.problem(
            given.origin(),
            "%s: %d entries for %d %s; give one for each of --model, or one for all"
                .formatted(
                    given.flag().name(), entries.size(), count, count == 1 ? "model" : "models"));
        continue;
      }
      for (int model = 0; model < count; model++) {
        List<String> texts = entries.size() == count ? List.of(entries.get(model)) : given.texts();
        perModel
            .get(model)
            .put(given.flag().name(), new Given(given.flag(), texts, given.origin()));
      }
    }
    return perModel;
  }

  private static List<String> entries(Given given) {
    return given.texts().stream()
        .flatMap(text -> Arrays.stream(text.split(",", -1)))
        .map(String::strip)
        .toList();
  }

  /** What a source says of a model: of further ones, what is not meant for the first alone. */
  static Map<String, Given> forModel(int model, Map<String, Given> source) {
    if (model == 0) {
      return source;
    }
    Map<String, Given> left = new LinkedHashMap<>(source);
    left.keySet().removeAll(FIRST_ONLY);
    return left;
  }

  /** What is wrong among models that are right by themselves. */
  static void check(List<ServerConfig> models, Findings findings) {
    if (models.size() == 1) {
      return;
    }
    Origin origin = new Origin.Default();
    List<String> names = models.stream().flatMap(CohostLine::names).toList();
    for (String name : names.stream().distinct().toList()) {
      if (names.stream().filter(name::equals).count() > 1) {
        findings.problem(
            origin,
            "--served-model-name: two models are named '"
                + Shown.text(name)
                + "'; requests tell them apart by their names");
      }
    }
    if (models.getFirst().cluster().enabled()) {
      findings.problem(
          origin, "--cluster: a node serves one model; start a node for each of the models");
    }
    if (models.stream().anyMatch(it -> it.cluster().pipeline().spansNodes())) {
      findings.problem(
          origin, "--nnodes: several nodes share one model; start nodes for each of the models");
    }
    double shares = models.stream().mapToDouble(it -> it.backend().gpu().memoryShare()).sum();
    boolean isGpu = models.getFirst().backend().kind() == ServerConfig.BackendKind.CUDA;
    if (isGpu && shares > 1.0001) {
      findings.problem(
          origin,
          "--gpu-memory-partition: the models' shares add up to %.2f; give each a part of 1"
              .formatted(shares));
    }
  }

  private static Stream<String> names(ServerConfig config) {
    List<String> names = config.model().servedNames();
    return names.isEmpty()
        ? Stream.of(config.model().source().orElse("the embedded model"))
        : names.stream();
  }
}
