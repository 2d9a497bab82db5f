package io.verdier.conf;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.conf.ServerConfig.AdapterModule;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Reads {@code --lora-modules}: {@code name=path}, or a JSON object with {@code name}, {@code path}
 * and perhaps {@code base_model_name}. Owned by the thread that loads.
 */
final class AdapterModules {
  private static final String FLAG = "--lora-modules";
  private static final int NAME_CHARS_MAX = 256;

  private final Settings settings;
  private final Findings findings;

  AdapterModules(Settings settings, Findings findings) {
    this.settings = settings;
    this.findings = findings;
  }

  /** Those that are well-formed; what is wrong with others is said. */
  List<AdapterModule> read() {
    List<AdapterModule> modules = new ArrayList<>();
    Set<String> names = new HashSet<>();
    for (String text : settings.list(FLAG)) {
      Optional<AdapterModule> module = text.strip().startsWith("{") ? object(text) : pair(text);
      if (module.isPresent() && !names.add(module.get().name())) {
        problem("two adapters are named '" + Shown.text(module.get().name()) + "'");
      }
      module.ifPresent(modules::add);
    }
    return modules;
  }

  private Optional<AdapterModule> pair(String text) {
    int equals = text.indexOf('=');
    if (equals < 0) {
      problem("'" + Shown.text(text) + "' must be name=path, or a JSON object with name and path");
      return Optional.empty();
    }
    return module(text.substring(0, equals), text.substring(equals + 1), Optional.empty());
  }

  private Optional<AdapterModule> object(String text) {
    JsonNode object;
    try {
      object = Json.parse(text, false);
    } catch (BadValueException malformed) {
      problem(String.valueOf(malformed.getMessage()));
      return Optional.empty();
    }
    Optional<String> base =
        object.path("base_model_name").isTextual()
            ? Optional.of(object.path("base_model_name").textValue())
            : Optional.empty();
    return module(object.path("name").asText(), object.path("path").asText(), base);
  }

  private Optional<AdapterModule> module(String name, String source, Optional<String> base) {
    boolean isName =
        !name.isBlank() && name.length() <= NAME_CHARS_MAX && !name.matches(".*\\p{Cntrl}.*");
    if (!isName || source.isBlank()) {
      problem("an adapter needs a name of 1 to " + NAME_CHARS_MAX + " characters, and a path");
      return Optional.empty();
    }
    return Optional.of(new AdapterModule(name.strip(), source.strip(), base));
  }

  private void problem(String text) {
    findings.problem(settings.origin(FLAG), FLAG + ": " + text);
  }
}
