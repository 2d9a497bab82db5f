package io.verdier.conf;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Reads the file of {@code --config}: a YAML map from flag names, with or without leading dashes,
 * to values. Owned by the thread that loads.
 */
final class YamlFile {
  private static final long BYTES_MAX = 1 << 20;

  private final String name;
  private final Findings findings;
  private final Map<String, Given> given = new HashMap<>();

  private YamlFile(String name, Findings findings) {
    this.name = name;
    this.findings = findings;
  }

  /** The flags of a file, by canonical name. */
  static Map<String, Given> read(Given config, Findings findings) {
    YamlFile file = new YamlFile(config.texts().getLast(), findings);
    try {
      Path path = Path.of(file.name);
      if (Files.size(path) > BYTES_MAX) {
        findings.problem(
            config.origin(), "--config: the file is larger than " + BYTES_MAX + " bytes");
      } else {
        file.onText(Files.readString(path));
      }
    } catch (NoSuchFileException | InvalidPathException e) {
      findings.problem(config.origin(), "--config: there is no file " + config.shown());
    } catch (JacksonException e) {
      // The parser's own message quotes the line, which may hold a key.
      int line = Optional.ofNullable(e.getLocation()).map(at -> at.getLineNr()).orElse(0);
      findings.problem(
          new Origin.FileLine(file.name, line), "not valid YAML, or a key is there twice");
    } catch (IOException e) {
      findings.problem(config.origin(), "--config: cannot read " + config.shown() + " as text");
    }
    return file.given;
  }

  private void onText(String text) throws JacksonException {
    YAMLMapper mapper =
        YAMLMapper.builder().enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION).build();
    JsonNode root = mapper.readTree(text);
    if (root instanceof ObjectNode map) {
      map.properties().forEach(entry -> onKey(entry.getKey(), entry.getValue()));
    } else if (!root.isMissingNode() && !root.isNull()) {
      findings.problem(new Origin.FileLine(name, 1), "must be a map from flag names to values");
    }
  }

  private void onKey(String key, JsonNode node) {
    Origin origin = new Origin.FileKey(name, Shown.text(key));
    String spelled = key.startsWith("--") ? key : "--" + key;
    Optional<Flags.Match> match = Flags.find(spelled);
    if (match.isEmpty() || !match.get().path().isEmpty()) {
      findings.problem(origin, "unknown flag " + Shown.text(spelled) + Flags.hint(spelled));
      return;
    }
    Flag flag = match.get().flag();
    if (flag.name().equals("--config")) {
      findings.problem(origin, "--config: a configuration file names no further one");
    } else if (!node.isNull() || flag.type().words().contains("null")) { // as in "backend: null"
      texts(flag, node, match.get().negated(), origin)
          .ifPresent(texts -> accept(new Given(flag, texts, origin)));
    }
  }

  private void accept(Given found) {
    if (given.put(found.flag().name(), found) != null) {
      findings.problem(found.origin(), found.flag().name() + ": is there twice; keep one");
    }
  }

  private Optional<List<String>> texts(Flag flag, JsonNode node, boolean negated, Origin origin) {
    FlagType.Kind kind = flag.type().kind();
    if (kind == FlagType.Kind.JSON) {
      return Optional.of(List.of(node.isTextual() ? node.asText() : node.toString()));
    }
    if (kind == FlagType.Kind.LIST && node.isArray()) {
      List<String> items = new ArrayList<>();
      node.forEach(item -> items.add(item.isContainerNode() ? item.toString() : item.asText()));
      return Optional.of(items);
    }
    if (node.isContainerNode()) {
      findings.problem(origin, flag.name() + ": takes one value, " + flag.type().describe());
      return Optional.empty();
    }
    boolean invert = negated && node.isBoolean();
    return Optional.of(List.of(invert ? String.valueOf(!node.asBoolean()) : node.asText()));
  }
}
