package io.verdier.verticles.cluster.pipeline;

import io.verdier.conf.PipelineConfig;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.model.ModelException;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.model.ModelLoader.Description;
import io.verdier.engine.weights.Checkpoint;
import io.verdier.engine.weights.CheckpointFiles;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What must be the same on all nodes that share a model, by the names that operators know: layers
 * of two models behind each other would give answers, only not anybody's. Stateless.
 */
public final class StageFacts {
  private static final int SHOWN_BYTES = 8;

  private StageFacts() {}

  /**
   * Waits for files of weights that are on their way.
   *
   * @param files of the model
   * @param version of this program
   * @throws ModelException if the model's files cannot be read, or its steps do not fit between
   *     nodes
   */
  public static Map<String, String> of(ServerConfig config, CheckpointFiles files, String version) {
    Description description = ModelLoader.describe(files, config);
    StageRoom.require(config, description.spec().hidden(), description.lengthMax());
    ServerConfig.Scheduling scheduling = config.scheduling();
    PipelineConfig pipeline = config.cluster().pipeline();
    Map<String, String> facts = new TreeMap<>();
    facts.put("Verdier", version);
    facts.put(
        "a config.json with hash", hash(read(files.directory().resolve(ModelLoader.CONFIG_FILE))));
    facts.put("--hf-overrides", config.model().configOverrides().orElse("none"));
    facts.put("weights with hash", weights(ModelLoader.checkpoint(files, config)));
    facts.put("end tokens", Arrays.toString(description.generation().endTokenIds()));
    facts.put("--dtype", description.weightType().word());
    facts.put("--quantization", config.backend().quantization().name());
    facts.put("--kv-cache-dtype", config.backend().kvFormat().name());
    facts.put("--block-size", String.valueOf(config.cache().blockTokens()));
    facts.put("--max-model-len", String.valueOf(description.lengthMax()));
    facts.put("--max-num-batched-tokens", String.valueOf(scheduling.batchedTokensMax()));
    facts.put("--max-num-seqs", String.valueOf(scheduling.sequencesMax()));
    facts.put("--pipeline-parallel-size", String.valueOf(pipeline.stages()));
    facts.put("--nnodes", String.valueOf(pipeline.nodes()));
    return facts;
  }

  /** Files may lie elsewhere and be younger on another host. */
  private static String weights(Optional<Checkpoint> checkpoint) {
    if (checkpoint.isEmpty()) {
      return "none, made up";
    }
    StringBuilder text = new StringBuilder();
    checkpoint.get().files().stream()
        .map(file -> file.bytes() + " " + file.fingerprint())
        .sorted(Comparator.naturalOrder())
        .forEach(line -> text.append(line).append('\n'));
    return hash(text.toString().getBytes(StandardCharsets.UTF_8));
  }

  private static byte[] read(Path file) {
    try {
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new ModelException(file.getFileName() + " cannot be read: " + e.getMessage(), e);
    }
  }

  private static String hash(byte[] bytes) {
    try {
      byte[] hash = MessageDigest.getInstance("SHA-256").digest(bytes);
      return HexFormat.of().formatHex(hash, 0, SHOWN_BYTES);
    } catch (NoSuchAlgorithmException impossible) { // every Java platform has it
      throw new IllegalStateException(impossible);
    }
  }

  /** How a node's facts differ from those of node 0; empty: in nothing. */
  static Optional<String> difference(int node, Map<String, String> of, Map<String, String> lead) {
    Set<String> names = new TreeSet<>(lead.keySet());
    names.addAll(of.keySet());
    for (String name : names) {
      String there = of.getOrDefault(name, "unknown");
      String here = lead.getOrDefault(name, "unknown");
      if (!there.equals(here)) {
        return Optional.of(
            "node %d has %s %s, node 0 has %s; start all with the same model, flags and build"
                .formatted(node, name, there, here));
      }
    }
    return Optional.empty();
  }
}
