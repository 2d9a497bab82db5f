package io.verdier.conf;

import java.math.BigDecimal;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * What values a flag takes, and how their texts are read. Immutable.
 *
 * @param min least number, of the base unit: bytes, seconds or milliseconds
 * @param max greatest number
 * @param words the choices of {@link Kind#CHOICE}; elsewhere texts that mean "unset"
 * @param perModel takes a comma list, one entry per model, from a co-hosting command line
 * @param secret never shown
 */
public record FlagType(
    Kind kind,
    BigDecimal min,
    BigDecimal max,
    List<String> words,
    boolean perModel,
    boolean secret) {

  /** The shapes of values, each with the Java type that {@link FlagType#parse} gives. */
  public enum Kind {
    /** Boolean. */
    SWITCH,
    /** Long within the range of int. */
    INT,
    /** Long. */
    LONG,
    /** Long, in bytes. */
    SIZE,
    /** Double. */
    FLOAT,
    /** Duration. */
    SECONDS,
    /** Duration. */
    MILLIS,
    /** String. */
    TEXT,
    /** String, one of the words. */
    CHOICE,
    /** List of String. */
    LIST,
    /** JsonNode. */
    JSON
  }

  /** What {@link #parse} gives for a word that means "as if the flag were not there". */
  static final Object UNSET = "";

  public FlagType {
    words = List.copyOf(words);
  }

  /** Reads the table's notation, for example {@code int 1..65535 or auto per-model}. */
  static FlagType of(String notation) {
    List<String> parts = List.of(notation.split(" +"));
    Kind kind = Kind.valueOf(parts.getFirst().toUpperCase(Locale.ROOT));
    BigDecimal min = BigDecimal.valueOf(kind == Kind.LONG ? Long.MIN_VALUE : 0);
    BigDecimal max = BigDecimal.valueOf(kind == Kind.INT ? Integer.MAX_VALUE : Long.MAX_VALUE);
    List<String> words = List.of();
    for (int i = 1; i < parts.size(); i++) {
      String part = parts.get(i);
      int dots = part.indexOf("..");
      if (dots >= 0) {
        min = Numbers.parse(part.substring(0, dots));
        max = dots + 2 == part.length() ? max : Numbers.parse(part.substring(dots + 2));
      } else if (part.equals("or") || (kind == Kind.CHOICE && i == 1)) {
        words = List.of(parts.get(part.equals("or") ? ++i : i).split(","));
      } else if (!part.equals("per-model") && !part.equals("secret")) {
        throw new IllegalArgumentException(
            "unknown part '" + part + "' of type '" + notation + "'");
      }
    }
    return new FlagType(
        kind, min, max, words, parts.contains("per-model"), parts.contains("secret"));
  }

  /**
   * Reads a value. Of several texts a list takes all and every other type the last, as argparse
   * does.
   *
   * @throws BadValueException if the text is not a value of this type; the message holds the value
   *     unless it is secret
   */
  Object parse(List<String> texts) throws BadValueException {
    if (kind == Kind.LIST) {
      return parseList(texts);
    }
    String text = texts.getLast().strip();
    if (kind != Kind.CHOICE && words.contains(text.toLowerCase(Locale.ROOT))) {
      return UNSET;
    }
    return switch (kind) {
      case SWITCH -> parseSwitch(text);
      case INT, LONG, SIZE -> parseWhole(text);
      case FLOAT -> inRange(text, number(text, "")).doubleValue();
      case SECONDS -> parseDuration(text, "s");
      case MILLIS -> parseDuration(text, "ms");
      case TEXT -> parseText(text);
      case CHOICE -> parseChoice(text);
      case JSON -> Json.parse(text, secret);
      case LIST -> throw new IllegalStateException("lists are parsed above");
    };
  }

  private static Boolean parseSwitch(String text) throws BadValueException {
    return switch (text.toLowerCase(Locale.ROOT)) {
      case "true", "1", "yes", "on" -> true;
      case "false", "0", "no", "off" -> false;
      default -> throw new BadValueException(quoted(text) + " is neither true nor false");
    };
  }

  private Long parseWhole(String text) throws BadValueException {
    BigDecimal number = inRange(text, number(text, ""));
    try {
      return number.longValueExact();
    } catch (ArithmeticException fraction) {
      throw new BadValueException(quoted(text) + " is not a whole number; it must be " + range());
    }
  }

  private Duration parseDuration(String text, String unit) throws BadValueException {
    BigDecimal inUnit = inRange(text, number(text, unit));
    BigDecimal nanos = inUnit.movePointRight(unit.equals("s") ? 9 : 6);
    return Duration.ofNanos(nanos.longValue());
  }

  private BigDecimal number(String text, String unit) throws BadValueException {
    try {
      return unit.isEmpty() ? Numbers.parse(text) : Numbers.parseTime(text, unit);
    } catch (NumberFormatException notANumber) {
      throw new BadValueException(quoted(text) + " is not a number; it must be " + range());
    }
  }

  private BigDecimal inRange(String text, BigDecimal number) throws BadValueException {
    if (number.compareTo(min) < 0 || number.compareTo(max) > 0) {
      throw new BadValueException(quoted(text) + " is out of range; it must be " + range());
    }
    return number;
  }

  private String parseText(String text) throws BadValueException {
    if (text.isEmpty()) {
      throw new BadValueException("the value is empty; give one or leave the flag out");
    }
    return text;
  }

  private String parseChoice(String text) throws BadValueException {
    String word = text.toLowerCase(Locale.ROOT);
    if (!words.contains(word)) {
      throw new BadValueException(
          quoted(text) + " is not one of " + String.join(", ", words) + Nearest.hint(word, words));
    }
    return word;
  }

  private List<String> parseList(List<String> texts) throws BadValueException {
    List<String> items = new ArrayList<>();
    for (String text : texts) {
      if (text.startsWith("[")) {
        items.addAll(Json.items(text, secret));
      } else {
        items.add(text.strip());
      }
    }
    if (items.isEmpty() || items.stream().anyMatch(String::isBlank)) {
      throw new BadValueException("an entry is empty; give one or leave the flag out");
    }
    return List.copyOf(items);
  }

  private static String quoted(String text) {
    return "'" + Shown.text(text) + "'";
  }

  /** The type in a reader's words, for example {@code 1..65535} or {@code cpu | cuda}. */
  public String describe() {
    String what =
        switch (kind) {
          case SWITCH -> "true | false";
          case CHOICE -> String.join(" | ", words);
          case INT, LONG, SIZE, FLOAT, SECONDS, MILLIS -> range();
          case TEXT -> "text";
          case LIST -> "list of texts";
          case JSON -> "JSON";
        };
    boolean named = kind != Kind.CHOICE && !words.isEmpty();
    return named ? what + " or " + String.join(", ", words) : what;
  }

  /** The allowed numbers; a bound that is the Java type's own is not worth a word. */
  private String range() {
    boolean size = kind == Kind.SIZE;
    if (min.compareTo(BigDecimal.valueOf(Long.MIN_VALUE)) <= 0) {
      return "a whole number";
    }
    boolean bounded = max.compareTo(BigDecimal.valueOf(Integer.MAX_VALUE)) < 0;
    String from = Numbers.shown(min, size);
    String bounds = bounded ? from + ".." + Numbers.shown(max, size) : "at least " + from;
    return switch (kind) {
      case SIZE -> bounds + " bytes";
      case SECONDS -> bounds + " seconds";
      case MILLIS -> bounds + " milliseconds";
      case INT, LONG, FLOAT, SWITCH, TEXT, CHOICE, LIST, JSON -> bounds;
    };
  }
}
