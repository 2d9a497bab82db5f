package io.verdier.conf;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/** Renders the table of flags for readers: {@code --help} and {@code docs/flags.md}. No state. */
public final class FlagDocs {
  private static final int COLUMNS = 100;
  private static final int HELP_COLUMN = 34;

  private FlagDocs() {}

  /** The text of {@code --help}, at most 100 columns wide. */
  public static String help() {
    StringBuilder out = new StringBuilder();
    out.append(
        """
        Usage: verdier serve [MODEL] [--flag value | --flag=value | --switch | --no-switch] ...

        Serves a language model over vLLM's HTTP routes. Without MODEL, the embedded demo model.
        Every flag may also be an environment variable, VERDIER_<FLAG_NAME>, or a key of the YAML
        file of --config. Arguments win over variables, variables over the file. Underscores may
        stand for dashes; sizes may be written 4k (4000), 4K (4096), 32MiB.

          verdier serve                                  the demo model on http://localhost:8000
          verdier serve /models/Llama-3.2-1B --port 9000 --max-model-len 8K
          VERDIER_API_KEY=... verdier serve --config verdier.yaml
        """);
    List<String> without = new ArrayList<>();
    groups()
        .forEach(
            (group, flags) -> {
              List<Flag> effective = flags.stream().filter(it -> it.effect().exists()).toList();
              if (!effective.isEmpty()) {
                out.append('\n').append(group).append('\n');
                effective.forEach(flag -> out.append(entry(flag)));
              }
              flags.stream()
                  .filter(it -> !it.effect().exists())
                  .forEach(it -> without.add(it.name()));
            });
    out.append("\nAccepted from vLLM and Vertex AI, without effect (docs/flags.md says why)\n");
    out.append(indented(wrapped(String.join(" ", without), COLUMNS - 2), 2));
    return out.toString();
  }

  private static Map<String, List<Flag>> groups() {
    Map<String, List<Flag>> groups = new LinkedHashMap<>();
    for (Flag flag : Flags.all()) {
      groups.computeIfAbsent(flag.group(), group -> new ArrayList<>()).add(flag);
    }
    return groups;
  }

  private static String entry(Flag flag) {
    List<String> names = new ArrayList<>();
    names.add(flag.name());
    names.addAll(flag.aliases());
    String head = "  " + String.join(", ", names);
    String body = indented(wrapped(description(flag), COLUMNS - HELP_COLUMN), HELP_COLUMN);
    return head.length() + 2 <= HELP_COLUMN
        ? head + body.substring(head.length())
        : head + "\n" + body;
  }

  private static String description(Flag flag) {
    List<String> facts = new ArrayList<>();
    if (flag.type().kind() != FlagType.Kind.SWITCH && flag.type().kind() != FlagType.Kind.TEXT) {
      facts.add(flag.type().describe());
    }
    flag.defaultText()
        .filter(text -> !text.equals("false"))
        .ifPresent(it -> facts.add("default " + it));
    flag.variables().forEach(variable -> facts.add(shown(variable)));
    return facts.isEmpty() ? flag.help() : flag.help() + " [" + String.join("; ", facts) + "]";
  }

  private static String shown(Flag.Variable variable) {
    return variable.unit().isEmpty() ? variable.name() : variable.name() + " in " + variable.unit();
  }

  private static List<String> wrapped(String text, int columns) {
    List<String> lines = new ArrayList<>();
    StringBuilder line = new StringBuilder();
    for (String word : text.split(" ")) {
      if (!line.isEmpty() && line.length() + 1 + word.length() > columns) {
        lines.add(line.toString());
        line.setLength(0);
      }
      line.append(line.isEmpty() ? "" : " ").append(word);
    }
    lines.add(line.toString());
    return lines;
  }

  private static String indented(List<String> lines, int columns) {
    StringBuilder out = new StringBuilder();
    lines.forEach(line -> out.append(" ".repeat(columns)).append(line).append('\n'));
    return out.toString();
  }

  /** The text of {@code docs/flags.md}. */
  public static String markdown() {
    StringBuilder out = new StringBuilder();
    long effective = Flags.all().stream().filter(flag -> flag.effect().exists()).count();
    out.append(
        """
        # Flags

        Rendered from `conf/src/main/resources/io/verdier/conf/flags.txt`; a test keeps the two equal.
        To change this page, change the table and run the test `FlagDocsTest` with
        `-Dverdier.regenerate=true`. How flags are spelled, and what wins over what:
        [configuration.md](configuration.md).

        %d flags: %d have an effect; the others are accepted because vLLM's command lines carry them,
        and each says so in one line when it is given.
        """
            .formatted(Flags.all().size(), effective));
    groups().forEach((group, flags) -> out.append(section(group, flags)));
    return out.toString();
  }

  private static String section(String group, List<Flag> flags) {
    StringBuilder out = new StringBuilder("\n## " + group + "\n");
    List<Flag> effective = flags.stream().filter(flag -> flag.effect().exists()).toList();
    if (!effective.isEmpty()) {
      out.append("\n| Flag | Values | Default | Variables | Meaning |\n|---|---|---|---|---|\n");
      effective.forEach(flag -> out.append(effectiveRow(flag)));
    }
    List<Flag> without = flags.stream().filter(flag -> !flag.effect().exists()).toList();
    if (!without.isEmpty()) {
      out.append("\n| Without effect | Values | Meaning in vLLM | Why |\n|---|---|---|---|\n");
      without.forEach(flag -> out.append(otherRow(flag)));
    }
    return out.toString();
  }

  private static String effectiveRow(Flag flag) {
    Stream<String> variables =
        Stream.concat(
            Stream.of("`" + flag.ownVariable() + "`"),
            flag.variables().stream().map(variable -> "`" + shown(variable) + "`"));
    return row(
        names(flag),
        values(flag),
        flag.defaultText().map(text -> "`" + text + "`").orElse(""),
        String.join(", ", variables.toList()),
        flag.help());
  }

  private static String otherRow(Flag flag) {
    String when =
        switch (flag.effect().kind()) {
          case NOT_YET -> "not yet: ";
          case NO_OP -> "";
          case REMOVED_UPSTREAM -> "gone from vLLM: ";
          case HAS_EFFECT -> throw new IllegalStateException(flag.name() + " has an effect");
        };
    return row(names(flag), values(flag), flag.help(), when + flag.effect().reason());
  }

  private static String names(Flag flag) {
    List<String> names = new ArrayList<>();
    names.add("`" + flag.name() + "`");
    flag.aliases().forEach(alias -> names.add("`" + alias + "`"));
    return String.join(", ", names);
  }

  private static String values(Flag flag) {
    String what = Optional.of(flag.type().describe()).map(text -> text.replace("|", "\\|")).get();
    return flag.type().secret() ? what + ", secret" : what;
  }

  private static String row(String... cells) {
    return "| " + String.join(" | ", cells) + " |\n";
  }
}
