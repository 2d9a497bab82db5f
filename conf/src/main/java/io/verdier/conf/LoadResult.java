package io.verdier.conf;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** What came of reading the operator's wishes. */
public sealed interface LoadResult {

  /**
   * Everything is in order.
   *
   * @param models a configuration for each model, at least one; they differ in what is the model's
   *     own
   * @param notices lines to log at start-up: flags without effect, values that lost to others
   * @param effective value and origin of every flag that has an effect and a value, by flag name in
   *     the order of the table; secrets are hidden
   */
  record Loaded(List<ServerConfig> models, List<String> notices, Map<String, Effective> effective)
      implements LoadResult {

    public Loaded {
      models = List.copyOf(models);
      notices = List.copyOf(notices);
      effective = Collections.unmodifiableMap(new LinkedHashMap<>(effective));
    }

    /** Of the first model, and of all that is not a model's own. */
    public ServerConfig config() {
      return models.getFirst();
    }

    /** What differs from the defaults, a line each with its origin, for the start-up log. */
    public List<String> given() {
      return effective.entrySet().stream()
          .filter(entry -> !(entry.getValue().origin() instanceof Origin.Default))
          .map(entry -> entry.getKey() + " " + entry.getValue().text())
          .toList();
    }
  }

  /** The server must not start; all reasons at once. */
  record Invalid(List<Problem> problems) implements LoadResult {

    public Invalid {
      problems = List.copyOf(problems);
    }

    /** The problems, a line each. */
    public String text() {
      return problems.stream().map(Problem::text).collect(Collectors.joining("\n"));
    }
  }

  /** {@code --help} was among the arguments; {@code text} is to be printed, exit code 0. */
  record HelpAsked(String text) implements LoadResult {}

  /** A value fit for the log, and who set it. */
  record Effective(String value, Origin origin) {

    /** Value and origin in a reader's words. */
    public String text() {
      return value + " (" + origin.text() + ")";
    }
  }
}
