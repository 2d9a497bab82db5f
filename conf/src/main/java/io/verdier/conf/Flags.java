package io.verdier.conf;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The table of flags. Immutable.
 *
 * <p>The rows live in {@code flags.txt} beside this class: some three hundred of them are read best
 * as a table with a line each, which Java source cannot be under a formatter. A flag is added by
 * adding its row; if it has an effect, {@link Assembler} takes its value from there.
 */
public final class Flags {
  private static final String TABLE = "flags.txt";
  private static final List<Flag> ALL = read();
  private static final Map<String, Flag> BY_SPELLING = bySpelling(ALL);

  private Flags() {}

  /**
   * What somebody's spelling of a flag means.
   *
   * @param negated spelled {@code --no-x}
   * @param path keys inside a JSON flag, from {@code --x.a.b}; else empty
   */
  record Match(Flag flag, boolean negated, List<String> path) {

    Match {
      path = List.copyOf(path);
    }
  }

  /** All flags, in the order of the table. */
  public static List<Flag> all() {
    return ALL;
  }

  /**
   * The flag with this exact name.
   *
   * @throws IllegalArgumentException if there is none, which is a fault of ours
   */
  public static Flag named(String name) {
    Flag flag = BY_SPELLING.get(name);
    if (flag == null) {
      throw new IllegalArgumentException("no row for " + name + " in " + TABLE);
    }
    return flag;
  }

  /** Whether a command line may say this, its value left out. */
  public static boolean contains(String spelled) {
    return find(spelled).isPresent();
  }

  /** What a spelling means: {@code --a-b}, {@code --a_b}, {@code --no-a-b}, {@code --a-b.key}. */
  static Optional<Match> find(String spelled) {
    String name = canonical(spelled);
    Flag flag = BY_SPELLING.get(name);
    if (flag != null) {
      return Optional.of(new Match(flag, false, List.of()));
    }
    if (name.startsWith("--no-")) {
      return switchNamed("--" + name.substring(5)).map(it -> new Match(it, true, List.of()));
    }
    int dot = name.indexOf('.');
    Flag object = dot < 0 ? null : BY_SPELLING.get(name.substring(0, dot));
    if (object == null || object.type().kind() != FlagType.Kind.JSON) {
      return Optional.empty();
    }
    List<String> path = List.of(name.substring(dot + 1).split("\\.", -1));
    return path.contains("") ? Optional.empty() : Optional.of(new Match(object, false, path));
  }

  private static Optional<Flag> switchNamed(String name) {
    return Optional.ofNullable(BY_SPELLING.get(name))
        .filter(flag -> flag.type().kind() == FlagType.Kind.SWITCH);
  }

  /** Dashes for underscores in the flag's name; keys after a dot stay as they are. */
  private static String canonical(String spelled) {
    int dot = spelled.indexOf('.');
    return dot < 0
        ? spelled.replace('_', '-')
        : spelled.substring(0, dot).replace('_', '-') + spelled.substring(dot);
  }

  /** "; did you mean --x?" or where to look. */
  static String hint(String spelled) {
    List<String> names = new ArrayList<>(BY_SPELLING.keySet());
    ALL.stream()
        .filter(flag -> flag.type().kind() == FlagType.Kind.SWITCH)
        .forEach(flag -> names.add("--no-" + flag.name().substring(2)));
    names.removeIf(name -> !name.startsWith("--"));
    String hint = Nearest.hint(canonical(spelled), names);
    return hint.isEmpty() ? "; --help lists all flags" : hint;
  }

  private static List<Flag> read() {
    List<Flag> flags = new ArrayList<>();
    String group = "";
    for (String line : text().split("\n")) {
      if (line.startsWith("## ")) {
        group = line.substring(3).strip();
      } else if (line.startsWith("--")) {
        flags.add(Flag.of(group, line));
      }
    }
    return List.copyOf(flags);
  }

  private static String text() {
    try (InputStream in = Flags.class.getResourceAsStream(TABLE)) {
      if (in == null) {
        throw new IllegalStateException(TABLE + " is missing from the jar");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Map<String, Flag> bySpelling(List<Flag> flags) {
    Map<String, Flag> map = new LinkedHashMap<>();
    for (Flag flag : flags) {
      List<String> spellings = new ArrayList<>(flag.aliases());
      spellings.add(flag.name());
      for (String spelling : spellings) {
        if (map.put(spelling, flag) != null) {
          throw new IllegalStateException(spelling + " is twice in " + TABLE);
        }
      }
    }
    return Collections.unmodifiableMap(map);
  }
}
