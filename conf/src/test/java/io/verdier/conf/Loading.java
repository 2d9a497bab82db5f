package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;

/** Loads a configuration in one call and says what came instead of what was expected. */
final class Loading {
  private Loading() {}

  static LoadResult.Loaded loaded(Map<String, String> environment, List<String> argv) {
    LoadResult result = ConfigLoader.load(argv, environment);
    if (result instanceof LoadResult.Invalid invalid) {
      throw new AssertionError("refused " + argv + ":\n" + invalid.text());
    }
    assertThat(result).isInstanceOf(LoadResult.Loaded.class);
    return (LoadResult.Loaded) result;
  }

  static LoadResult.Loaded loaded(String... argv) {
    return loaded(Map.of(), List.of(argv));
  }

  static ServerConfig config(String... argv) {
    return loaded(argv).config();
  }

  static ServerConfig config(Map<String, String> environment, String... argv) {
    return loaded(environment, List.of(argv)).config();
  }

  /** The problems of a configuration that must be refused, a line each. */
  static List<String> problems(Map<String, String> environment, String... argv) {
    LoadResult result = ConfigLoader.load(List.of(argv), environment);
    assertThat(result).as("must be refused").isInstanceOf(LoadResult.Invalid.class);
    return ((LoadResult.Invalid) result).problems().stream().map(Problem::text).toList();
  }

  static List<String> problems(String... argv) {
    return problems(Map.of(), argv);
  }
}
