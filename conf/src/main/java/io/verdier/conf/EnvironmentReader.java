package io.verdier.conf;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/** Finds flags in environment variables. No state. */
final class EnvironmentReader {
  private EnvironmentReader() {}

  /**
   * The flags that variables set, by canonical name. An empty variable counts as unset: Vertex sets
   * {@code AIP_STORAGE_URI} to nothing where a model has no artifacts.
   */
  static Map<String, Given> read(Map<String, String> environment, Findings findings) {
    Map<String, Given> given = new HashMap<>();
    for (Flag flag : Flags.all()) {
      Stream.concat(Stream.of(new Flag.Variable(flag.ownVariable(), "")), flag.variables().stream())
          .filter(variable -> isMeant(variable, value(environment, variable), findings))
          .findFirst()
          .map(variable -> given(flag, variable, value(environment, variable)))
          .ifPresent(it -> given.put(flag.name(), it));
    }
    noticeSlips(environment.keySet(), findings);
    return given;
  }

  private static String value(Map<String, String> environment, Flag.Variable variable) {
    return environment.getOrDefault(variable.name(), "").strip();
  }

  private static boolean isMeant(Flag.Variable variable, String value, Findings findings) {
    if (value.startsWith("tcp://") && variable.name().startsWith("VERDIER_")) {
      findings.notice(
          variable.name()
              + " is ignored: Kubernetes sets it for a Service named verdier; set"
              + " enableServiceLinks: false to be rid of it");
      return false;
    }
    boolean zero = !variable.unit().isEmpty() && value.equals("0"); // vLLM's way to say "unset"
    return !value.isEmpty() && !zero;
  }

  private static Given given(Flag flag, Flag.Variable variable, String value) {
    boolean items = flag.type().kind() == FlagType.Kind.LIST && !value.startsWith("[");
    List<String> texts = items ? List.of(value.split("\\s+")) : List.of(value + variable.unit());
    return new Given(flag, texts, new Origin.Variable(variable.name()));
  }

  /** Only near misses: the launcher and Kubernetes have variables of their own with our prefix. */
  private static void noticeSlips(Set<String> names, Findings findings) {
    Set<String> known = new HashSet<>();
    Flags.all().forEach(flag -> known.add(flag.ownVariable()));
    names.stream()
        .filter(name -> name.startsWith("VERDIER_") && !known.contains(name))
        .sorted()
        .forEach(
            name ->
                Nearest.to(name, known)
                    .filter(near -> Nearest.distance(name, near) <= 2)
                    .ifPresent(
                        near ->
                            findings.notice(
                                "environment variable "
                                    + name
                                    + " is unknown; did you mean "
                                    + near
                                    + "?")));
  }
}
