package io.verdier.verticles.launch;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.LoadFormat;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.weights.Checkpoint;
import io.verdier.verticles.bus.ResolveModel;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * One word for all that decides an engine's answers, the same on every host: its model's files, by
 * content and not by place, and the flags that change what is computed. Owned by the thread that
 * loads.
 *
 * <p>Of weights it takes what a {@link Checkpoint} knows of them, sizes, headers and some bytes of
 * each tensor: reading all of them would take as long as loading does.
 */
final class Fingerprint {
  private static final int SHOWN_BYTES = 8;
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Beside these there are only weights; a directory need not have all of them. */
  private static final List<String> FILES =
      List.of(
          ModelLoader.CONFIG_FILE,
          "generation_config.json",
          "tokenizer_config.json",
          "special_tokens_map.json",
          "chat_template.jinja",
          "chat_template.json");

  /** These lie elsewhere where the tokenizer is not the model's own. */
  private static final List<String> TOKENIZER_FILES =
      List.of("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json");

  private final MessageDigest digest;

  private Fingerprint() {
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("this Java runtime has no SHA-256", e);
    }
  }

  /**
   * @param model empty with the null backend
   */
  static String of(ServerConfig config, ResolveModel.Reply files, Optional<LoadedModel> model)
      throws IOException {
    Fingerprint print = new Fingerprint();
    for (String name : FILES) {
      print.file(files.model().directory().resolve(name));
    }
    for (String name : TOKENIZER_FILES) {
      print.file(files.model().tokenizer().resolve(name));
    }
    print.weights(config, files.model().directory());
    ServerConfig.Model asked = config.model();
    print.template(asked.chat().template());
    print.text(asked.chat().contentFormat().toString());
    print.text(JSON.writeValueAsString(asked.chat().variables()));
    print.text(asked.generationConfig().orElse("")).text(sorted(asked.generationOverrides()));
    print.text(asked.configOverrides().orElse(""));
    print.text(asked.dtype().name()).text(config.pooler().toString());
    print.text(config.backend().quantization().name()).text(config.backend().kvFormat().name());
    print.text(Integer.toString(config.backend().ranks()));
    model.ifPresent(print::computes);
    return HexFormat.of().formatHex(print.digest.digest(), 0, SHOWN_BYTES);
  }

  /** The kind of backend, and how long a sequence may be. */
  private void computes(LoadedModel model) {
    boolean isDevice = model.backend().waitedNanos().isPresent();
    text(isDevice ? "device" : "host").text(model.backend().kvCacheType());
    text(Integer.toString(model.lengthMax()));
  }

  private static String sorted(Map<String, Double> overrides) {
    return new TreeMap<>(overrides).toString();
  }

  private void weights(ServerConfig config, Path directory) {
    if (config.model().loadFormat() == LoadFormat.DUMMY || !hasWeights(config)) {
      text(config.model().loadFormat().name());
      return;
    }
    ModelLoader.checkpoint(directory, config).stream()
        .flatMap(checkpoint -> checkpoint.files().stream())
        .map(file -> file.bytes() + " " + file.fingerprint())
        .sorted() // names and places may differ
        .forEach(this::text);
  }

  private static boolean hasWeights(ServerConfig config) {
    return config.backend().kind() != ServerConfig.BackendKind.NULL;
  }

  /** A file of the operator's, or the template itself. */
  private void template(Optional<String> given) throws IOException {
    if (given.isEmpty() || !file(path(given.get()))) {
      text(given.orElse(""));
    }
  }

  private static Path path(String text) {
    try {
      return Path.of(text);
    } catch (InvalidPathException notAFile) {
      return Path.of("");
    }
  }

  private boolean file(Path file) throws IOException {
    boolean isThere = Files.isRegularFile(file);
    text(isThere ? "file" : "");
    if (isThere) {
      digest.update(Files.readAllBytes(file));
    }
    return isThere;
  }

  private Fingerprint text(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    digest.update(Integer.toString(bytes.length).getBytes(StandardCharsets.UTF_8));
    digest.update(bytes);
    return this;
  }
}
