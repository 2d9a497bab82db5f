package io.verdier.conf;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Turns command line, environment and file into a {@link ServerConfig}. No state.
 *
 * <p>For each flag the command line wins over the environment, the environment over the file, the
 * file over the default. Everything that is wrong is found before anything is said, because an
 * operator who mends a deployment pays minutes for every round.
 */
public final class ConfigLoader {
  private ConfigLoader() {}

  /**
   * Reads everything the operator asked for. Reads the file of {@code --config} if there is one,
   * and nothing else outside of its arguments but the system's properties for the cache directory.
   *
   * @param argv the command line, with or without the words that start vLLM
   * @param environment {@link Environment#ofProcess()}
   */
  public static LoadResult load(List<String> argv, Map<String, String> environment) {
    Findings findings = new Findings();
    Map<String, Given> arguments = ArgvReader.read(argv, findings);
    if (asksForHelp(arguments)) {
      return new LoadResult.HelpAsked(FlagDocs.help());
    }
    Map<String, Given> variables = EnvironmentReader.read(environment, findings);
    Map<String, Given> file =
        Optional.ofNullable(arguments.getOrDefault("--config", variables.get("--config")))
            .map(config -> YamlFile.read(config, findings))
            .orElse(Map.of());
    Settings settings = Settings.resolve(List.of(arguments, variables, file), findings);
    settings.noticeWithoutEffect(findings);

    CacheDirectory cache = CacheDirectory.choose(environment);
    ServerConfig config = new Assembler(settings, cache, findings).config();
    new Conflicts(settings, config, findings).find(environment);
    if (!findings.problems().isEmpty()) {
      return new LoadResult.Invalid(findings.problems());
    }
    return new LoadResult.Loaded(config, findings.notices(), effective(settings, cache));
  }

  private static boolean asksForHelp(Map<String, Given> arguments) {
    Given help = arguments.get("--help");
    return help != null && help.texts().getLast().equalsIgnoreCase("true");
  }

  private static Map<String, LoadResult.Effective> effective(
      Settings settings, CacheDirectory cache) {
    Map<String, LoadResult.Effective> effective = new LinkedHashMap<>(settings.effective());
    effective.remove("--help");
    effective.putIfAbsent(
        "--cache-dir", new LoadResult.Effective(cache.path().toString(), cache.origin()));
    return effective;
  }
}
