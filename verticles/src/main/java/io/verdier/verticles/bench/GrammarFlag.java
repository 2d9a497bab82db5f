package io.verdier.verticles.bench;

import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The flags of {@code bench grammar}: one row each. */
enum GrammarFlag {
  VOCAB_SIZE("N", "128000", "tokens of a made-up vocabulary, at least 256"),
  MODEL("DIRECTORY", null, "take the vocabulary of this model's tokenizer.json instead"),
  DOCUMENTS("N", "20", "documents drawn for each schema"),
  SEED("N", "1", "of the vocabulary and the documents"),
  JSON("FILE", null, "write the result as JSON"),
  HELP(null, null, "print this and exit");

  private final @Nullable String placeholder;
  private final @Nullable String fallback;
  private final String help;

  GrammarFlag(@Nullable String placeholder, @Nullable String fallback, String help) {
    this.placeholder = placeholder;
    this.fallback = fallback;
    this.help = help;
  }

  /** With two dashes and dashes between the words. */
  String flag() {
    return "--" + name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /**
   * The values of flags, defaults too.
   *
   * @param problems gets what is wrong
   */
  static Map<GrammarFlag, String> parse(List<String> argv, List<String> problems) {
    Map<GrammarFlag, String> values = new EnumMap<>(GrammarFlag.class);
    for (GrammarFlag row : values()) {
      if (row.fallback != null) {
        values.put(row, row.fallback);
      }
    }
    for (int i = 0; i < argv.size(); i++) {
      String[] typed = argv.get(i).split("=", 2);
      String name = typed[0].equals("-h") ? HELP.flag() : typed[0].replace('_', '-');
      Optional<GrammarFlag> flag =
          Arrays.stream(values()).filter(row -> row.flag().equals(name)).findFirst();
      if (flag.isEmpty()) {
        problems.add("unknown argument " + argv.get(i) + "; --help lists what there is");
      } else if (flag.get().placeholder == null) {
        values.put(flag.get(), "");
      } else if (typed.length == 2) {
        values.put(flag.get(), typed[1]);
      } else if (i + 1 < argv.size()) {
        values.put(flag.get(), argv.get(++i));
      } else {
        problems.add(argv.get(i) + " needs a value");
      }
    }
    return values;
  }

  static String usage() {
    StringBuilder text = new StringBuilder("Usage: verdier bench grammar [flags]\n\n");
    for (GrammarFlag row : values()) {
      String left = row.placeholder == null ? row.flag() : row.flag() + " " + row.placeholder;
      String right = row.fallback == null ? row.help : row.help + " (" + row.fallback + ")";
      text.append(String.format(Locale.ROOT, "  %-28s %s%n", left, right));
    }
    return text.toString();
  }
}
