package io.verdier.conf;

import java.util.ArrayList;
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
    CacheDirectory cache = CacheDirectory.choose(environment);
    List<Map<String, Given>> perModel = CohostLine.perModel(argv, arguments, findings);
    List<ServerConfig> models = new ArrayList<>();
    List<Settings> settings = new ArrayList<>();
    for (int model = 0; model < perModel.size(); model++) {
      List<Map<String, Given>> sources =
          List.of(
              CohostLine.forModel(0, perModel.get(model)),
              CohostLine.forModel(model, variables),
              CohostLine.forModel(model, file));
      Settings its = Settings.resolve(sources, findings);
      its.noticeWithoutEffect(findings);
      ServerConfig config = new Assembler(its, cache, findings).config();
      new Conflicts(its, config, findings).find(environment);
      settings.add(its);
      models.add(config);
    }
    CohostLine.check(models, findings);
    if (!findings.problems().isEmpty()) {
      return new LoadResult.Invalid(findings.problems());
    }
    return new LoadResult.Loaded(models, findings.notices(), effective(settings.getFirst(), cache));
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
