package io.verdier.conf;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The file of {@code POST /update_models}, as Google's co-hosting server reads it: a YAML list
 * whose entries have a whole command line as {@code Args} and, maybe, variables as {@code Env}.
 * Stateless.
 */
public final class ModelsFile {
  /** Variables that name a model to serve, and are meant for the first. */
  private static final List<String> FIRST_ONLY = List.of("MODEL_ID", "AIP_STORAGE_URI");

  private ModelsFile() {}

  /**
   * The models that a file asks for.
   *
   * @param environment of the process; an entry's own variables win
   */
  public static LoadResult read(String yaml, Map<String, String> environment) {
    Findings findings = new Findings();
    List<ServerConfig> models = new ArrayList<>();
    JsonNode root = parse(yaml);
    if (!root.isArray() || root.isEmpty()) {
      findings.problem(new Origin.Default(), "the file must be a YAML list with an entry a model");
    }
    int number = 0;
    for (JsonNode entry : root) {
      number++;
      switch (load(entry, number, environment)) {
        case LoadResult.Loaded loaded -> models.addAll(loaded.models());
        case LoadResult.Invalid invalid ->
            invalid.problems().forEach(it -> findings.problem(it.origin(), it.message()));
        case LoadResult.HelpAsked help ->
            findings.problem(new Origin.Default(), "entry " + number + " asks for help");
      }
    }
    if (findings.problems().isEmpty()) {
      CohostLine.check(models, findings);
    }
    return findings.problems().isEmpty()
        ? new LoadResult.Loaded(models, findings.notices(), Map.of())
        : new LoadResult.Invalid(findings.problems());
  }

  /** The parser's own message quotes the line, which may hold a key. */
  private static JsonNode parse(String yaml) {
    try {
      return new YAMLMapper().readTree(yaml);
    } catch (JacksonException malformed) {
      return new YAMLMapper().missingNode();
    }
  }

  private static LoadResult load(JsonNode entry, int number, Map<String, String> environment) {
    JsonNode args = entry.path("Args");
    if (!args.isArray()) {
      String text = "entry " + number + " has no list Args";
      return new LoadResult.Invalid(List.of(new Problem(new Origin.Default(), text)));
    }
    List<String> argv = new ArrayList<>();
    args.forEach(word -> argv.add(word.asText()));
    Map<String, String> variables = new HashMap<>(environment);
    if (number > 1) {
      variables.keySet().removeAll(FIRST_ONLY);
    }
    for (JsonNode variable : entry.path("Env")) {
      String name = variable.path("name").asText("");
      if (!name.isEmpty()) {
        variables.put(name, variable.path("value").asText(""));
      }
    }
    return ConfigLoader.load(argv, variables);
  }
}
