package io.verdier.conf;

import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * One row of the table of flags. Immutable.
 *
 * @param name canonical spelling, with leading dashes
 * @param aliases further spellings
 * @param variables environment variables that set it, after {@link #ownVariable()}
 * @param defaultText default in the spelling of the command line, empty: none
 * @param group heading under which it is documented
 */
public record Flag(
    String name,
    List<String> aliases,
    List<Variable> variables,
    FlagType type,
    Optional<String> defaultText,
    Effect effect,
    String group,
    String help) {

  private static final Pattern BLANKS = Pattern.compile(" +");

  /**
   * An environment variable that others invented.
   *
   * @param unit appended to its value, as vLLM's variable counts GiB where the flag counts bytes
   */
  public record Variable(String name, String unit) {

    static Variable of(String notation) {
      int open = notation.indexOf('(');
      return open < 0
          ? new Variable(notation, "")
          : new Variable(
              notation.substring(0, open), notation.substring(open + 1, notation.length() - 1));
    }
  }

  public Flag {
    aliases = List.copyOf(aliases);
    variables = List.copyOf(variables);
  }

  /** Reads one row: names | variables | type | default | effect | help. */
  static Flag of(String group, String row) {
    String[] cells = row.split("\\|", -1);
    if (cells.length != 6) {
      throw new IllegalArgumentException("a row has 6 cells, not " + cells.length + ": " + row);
    }
    List<String> names = words(cells[0]);
    String defaultText = cells[3].strip();
    return new Flag(
        names.getFirst(),
        names.subList(1, names.size()),
        words(cells[1]).stream().map(Variable::of).toList(),
        FlagType.of(cells[2].strip()),
        defaultText.isEmpty() ? Optional.empty() : Optional.of(defaultText),
        Effect.of(cells[4].strip()),
        group,
        cells[5].strip());
  }

  private static List<String> words(String cell) {
    return cell.isBlank() ? List.of() : List.of(BLANKS.split(cell.strip()));
  }

  /** The variable that every flag has, for example {@code VERDIER_MAX_NUM_SEQS}. */
  public String ownVariable() {
    return "VERDIER_" + name.substring(2).replace('-', '_').toUpperCase(Locale.ROOT);
  }
}
