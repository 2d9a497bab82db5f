package io.verdier.cache.artifact;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Which files of an artifact are fetched: those that this server reads, and no second copy of the
 * weights in another format. First the small ones, then the weights in the order in which they are
 * loaded.
 */
public enum FileChoice {
  /** All that a model needs. */
  MODEL("config.json", true),
  /** A model whose weights nobody reads. */
  DESCRIPTION("config.json", false),
  /** What text is turned into tokens with. */
  TOKENIZER("tokenizer.json", false),
  /** A LoRA adapter. */
  ADAPTER("adapter_config.json", true);

  /** Code, pickles and training state end otherwise. */
  private static final Pattern SMALL =
      Pattern.compile(
          "[^/]+\\.(json|jinja)|(vocab|merges|added_tokens)\\.txt|tokenizer\\.model"
              + "|additional_chat_templates/[^/]+\\.jinja|1_Pooling/config\\.json");

  private static final Pattern USELESS =
      Pattern.compile(
          "trainer_state\\.json|training_args\\.json|all_results\\.json|.*\\.bin\\.index\\.json");
  private static final String SINGLE = "model.safetensors";
  private static final String INDEX = "model.safetensors.index.json";
  private static final String ADAPTER_WEIGHTS = "adapter_model.safetensors";

  /** An old way of vLLM's to bring tokens along: without them an adapter would answer wrongly. */
  private static final List<String> NEW_TOKENS =
      List.of("new_embeddings.safetensors", "new_embeddings.bin");

  private static final long SMALL_BYTES_MAX = 512L << 20;
  private static final int FILES_MAX = 2000;

  private final String essential;
  private final boolean hasWeights;

  FileChoice(String essential, boolean hasWeights) {
    this.essential = essential;
    this.hasWeights = hasWeights;
  }

  /** The file without which there is no such artifact. */
  String essential() {
    return essential;
  }

  /**
   * The files to fetch first.
   *
   * @throws ArtifactException if the artifact cannot be one of this kind
   */
  List<RemoteFile> small(String artifact, Listing listing) {
    if (!listing.has(essential)) {
      throw new ArtifactException(
          "%s: there is no %s. %s".formatted(artifact, essential, hint(listing)));
    }
    requireWeights(artifact, listing);
    requireSameTokens(artifact, listing);
    List<RemoteFile> small =
        listing.files().stream()
            .filter(file -> SMALL.matcher(file.name()).matches())
            .filter(file -> !USELESS.matcher(file.name()).matches())
            .filter(file -> this != ADAPTER || file.name().startsWith("adapter_"))
            .filter(file -> !(file.name().equals(INDEX) && isSingle(listing)))
            .toList();
    long bytes = small.stream().mapToLong(RemoteFile::size).sum();
    if (small.size() > FILES_MAX || bytes > SMALL_BYTES_MAX) {
      throw new ArtifactException(
          "%s: %d files beside the weights, %s in all; that is no model."
              .formatted(artifact, small.size(), DiskFailure.size(bytes)));
    }
    return small;
  }

  /** Of the files to fetch, but for shards: which those are says an index, when it is there. */
  long bytes(String artifact, Listing listing) {
    Optional<RemoteFile> weights =
        switch (this) {
          case MODEL -> listing.file(SINGLE);
          case ADAPTER -> listing.file(ADAPTER_WEIGHTS);
          case DESCRIPTION, TOKENIZER -> Optional.empty();
        };
    return Stream.concat(small(artifact, listing).stream(), weights.stream())
        .mapToLong(RemoteFile::size)
        .sum();
  }

  private String hint(Listing listing) {
    Optional<String> deeper =
        listing.files().stream()
            .map(RemoteFile::name)
            .filter(name -> name.endsWith("/" + essential))
            .filter(name -> !SMALL.matcher(name).matches())
            .findFirst();
    return deeper
        .map(name -> "It lies deeper, as " + name + ": name that directory.")
        .orElse("Name the directory of a Hugging Face checkpoint.");
  }

  private void requireWeights(String artifact, Listing listing) {
    boolean found =
        switch (this) {
          case MODEL -> isSingle(listing) || listing.has(INDEX);
          case ADAPTER -> listing.has(ADAPTER_WEIGHTS);
          case DESCRIPTION, TOKENIZER -> true;
        };
    if (!found) {
      boolean pickled =
          listing.files().stream().anyMatch(file -> file.name().matches(".*\\.(bin|pth?|pkl)"));
      throw new ArtifactException(
          "%s: there are no weights as %s%s"
              .formatted(
                  artifact,
                  this == ADAPTER ? ADAPTER_WEIGHTS : SINGLE + " or its shards",
                  pickled
                      ? ", only pickled ones, which are never opened: convert them to safetensors."
                      : "."));
    }
  }

  private void requireSameTokens(String artifact, Listing listing) {
    Optional<String> found = NEW_TOKENS.stream().filter(listing::has).findFirst();
    if (this == ADAPTER && found.isPresent()) {
      throw new ArtifactException(
          "%s: it has %s; tokens that an adapter adds to the vocabulary are not served."
              .formatted(artifact, found.get()));
    }
  }

  private static boolean isSingle(Listing listing) {
    return listing.has(SINGLE);
  }

  /**
   * The weights, when the small files are there.
   *
   * @param directory that holds the index
   */
  List<RemoteFile> weights(String artifact, Listing listing, Path directory) {
    if (!hasWeights) {
      return List.of();
    }
    if (this == ADAPTER) {
      return listing.file(ADAPTER_WEIGHTS).stream().toList();
    }
    if (isSingle(listing)) {
      return listing.file(SINGLE).stream().toList();
    }
    List<RemoteFile> shards = new ArrayList<>();
    for (String name : shardNames(artifact, directory.resolve(INDEX))) {
      shards.add(
          listing
              .file(name)
              .orElseThrow(
                  () ->
                      new ArtifactException(
                          "%s: %s names the shard %s, which is not there. Upload it, or mend the index."
                              .formatted(artifact, INDEX, name))));
    }
    return shards;
  }

  /** Sorted by name: shards are numbered in the order of the layers. */
  static Set<String> shardNames(String artifact, Path index) {
    try {
      JsonNode places = new ObjectMapper().readTree(Files.readAllBytes(index)).path("weight_map");
      Set<String> names = new LinkedHashSet<>();
      places.properties().stream()
          .map(place -> place.getValue().asText())
          .sorted()
          .forEach(names::add);
      if (names.isEmpty()
          || names.size() > FILES_MAX
          || !names.stream().allMatch(RemoteFile::isSafe)) {
        throw new ArtifactException(
            "%s: %s does not say in which files the weights lie.".formatted(artifact, INDEX));
      }
      return names;
    } catch (IOException malformed) {
      throw new ArtifactException(
          "%s: %s is not a JSON file.".formatted(artifact, INDEX), malformed);
    }
  }

  /** Whether a directory, listed by nobody, has all files: asked where there is no network. */
  boolean isWhole(String artifact, Path directory) {
    if (!Files.isRegularFile(directory.resolve(essential))) {
      return false;
    }
    return switch (this) {
      case DESCRIPTION, TOKENIZER -> true;
      case ADAPTER -> Files.isRegularFile(directory.resolve(ADAPTER_WEIGHTS));
      case MODEL ->
          Files.isRegularFile(directory.resolve(SINGLE)) || hasAllShards(artifact, directory);
    };
  }

  private static boolean hasAllShards(String artifact, Path directory) {
    Path index = directory.resolve(INDEX);
    return Files.isRegularFile(index)
        && shardNames(artifact, index).stream()
            .allMatch(name -> Files.isRegularFile(directory.resolve(name)));
  }
}
