package io.verdier.engine.grammar;

import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/** The named sets of ECMA-262 patterns (section 22.2.2.9) and of Unicode's general categories. */
final class CharacterClasses {
  static final CodePoints DIGIT = CodePoints.range('0', '9');

  static final CodePoints WORD =
      CodePoints.union(
          List.of(
              CodePoints.range('a', 'z'), CodePoints.range('A', 'Z'), DIGIT, CodePoints.of('_')));

  /** WhiteSpace and LineTerminator of ECMA-262. */
  static final CodePoints SPACE =
      CodePoints.of("\t\n\u000b\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff")
          .or(CodePoints.range(0x2000, 0x200a));

  static final CodePoints LINE_END = CodePoints.of("\n\r\u2028\u2029");

  /** Bits of {@link Character#getType}'s results, by the names of Unicode's table 4-4. */
  private static final Map<String, Integer> CATEGORIES =
      Map.ofEntries(
          Map.entry("Lu", bits(Character.UPPERCASE_LETTER)),
          Map.entry("Ll", bits(Character.LOWERCASE_LETTER)),
          Map.entry("Lt", bits(Character.TITLECASE_LETTER)),
          Map.entry("Lm", bits(Character.MODIFIER_LETTER)),
          Map.entry("Lo", bits(Character.OTHER_LETTER)),
          Map.entry("Mn", bits(Character.NON_SPACING_MARK)),
          Map.entry("Mc", bits(Character.COMBINING_SPACING_MARK)),
          Map.entry("Me", bits(Character.ENCLOSING_MARK)),
          Map.entry("Nd", bits(Character.DECIMAL_DIGIT_NUMBER)),
          Map.entry("Nl", bits(Character.LETTER_NUMBER)),
          Map.entry("No", bits(Character.OTHER_NUMBER)),
          Map.entry("Pc", bits(Character.CONNECTOR_PUNCTUATION)),
          Map.entry("Pd", bits(Character.DASH_PUNCTUATION)),
          Map.entry("Ps", bits(Character.START_PUNCTUATION)),
          Map.entry("Pe", bits(Character.END_PUNCTUATION)),
          Map.entry("Pi", bits(Character.INITIAL_QUOTE_PUNCTUATION)),
          Map.entry("Pf", bits(Character.FINAL_QUOTE_PUNCTUATION)),
          Map.entry("Po", bits(Character.OTHER_PUNCTUATION)),
          Map.entry("Sm", bits(Character.MATH_SYMBOL)),
          Map.entry("Sc", bits(Character.CURRENCY_SYMBOL)),
          Map.entry("Sk", bits(Character.MODIFIER_SYMBOL)),
          Map.entry("So", bits(Character.OTHER_SYMBOL)),
          Map.entry("Zs", bits(Character.SPACE_SEPARATOR)),
          Map.entry("Zl", bits(Character.LINE_SEPARATOR)),
          Map.entry("Zp", bits(Character.PARAGRAPH_SEPARATOR)),
          Map.entry("Cc", bits(Character.CONTROL)),
          Map.entry("Cf", bits(Character.FORMAT)),
          Map.entry("Co", bits(Character.PRIVATE_USE)),
          Map.entry("Cn", bits(Character.UNASSIGNED)));

  /** The long names of table 4-4, and the groups. */
  private static final Map<String, String> LONG_NAMES =
      Map.ofEntries(
          Map.entry("Letter", "L"),
          Map.entry("Uppercase_Letter", "Lu"),
          Map.entry("Lowercase_Letter", "Ll"),
          Map.entry("Titlecase_Letter", "Lt"),
          Map.entry("Modifier_Letter", "Lm"),
          Map.entry("Other_Letter", "Lo"),
          Map.entry("Mark", "M"),
          Map.entry("Nonspacing_Mark", "Mn"),
          Map.entry("Spacing_Mark", "Mc"),
          Map.entry("Enclosing_Mark", "Me"),
          Map.entry("Number", "N"),
          Map.entry("Decimal_Number", "Nd"),
          Map.entry("Letter_Number", "Nl"),
          Map.entry("Other_Number", "No"),
          Map.entry("Punctuation", "P"),
          Map.entry("Connector_Punctuation", "Pc"),
          Map.entry("Dash_Punctuation", "Pd"),
          Map.entry("Open_Punctuation", "Ps"),
          Map.entry("Close_Punctuation", "Pe"),
          Map.entry("Initial_Punctuation", "Pi"),
          Map.entry("Final_Punctuation", "Pf"),
          Map.entry("Other_Punctuation", "Po"),
          Map.entry("Symbol", "S"),
          Map.entry("Math_Symbol", "Sm"),
          Map.entry("Currency_Symbol", "Sc"),
          Map.entry("Modifier_Symbol", "Sk"),
          Map.entry("Other_Symbol", "So"),
          Map.entry("Separator", "Z"),
          Map.entry("Space_Separator", "Zs"),
          Map.entry("Line_Separator", "Zl"),
          Map.entry("Paragraph_Separator", "Zp"),
          Map.entry("Other", "C"),
          Map.entry("Control", "Cc"),
          Map.entry("Format", "Cf"),
          Map.entry("Private_Use", "Co"),
          Map.entry("Unassigned", "Cn"));

  /** Those of ECMA-262's table 67 that Java's tables have. */
  private static final Map<String, IntPredicate> PROPERTIES =
      Map.ofEntries(
          Map.entry("Any", c -> true),
          Map.entry("ASCII", c -> c < 0x80),
          Map.entry("Assigned", Character::isDefined),
          Map.entry("Alphabetic", Character::isAlphabetic),
          Map.entry("Alpha", Character::isAlphabetic),
          Map.entry("Lowercase", Character::isLowerCase),
          Map.entry("Lower", Character::isLowerCase),
          Map.entry("Uppercase", Character::isUpperCase),
          Map.entry("Upper", Character::isUpperCase),
          Map.entry("White_Space", CharacterClasses::isWhiteSpace),
          Map.entry("space", CharacterClasses::isWhiteSpace),
          Map.entry("Ideographic", Character::isIdeographic),
          Map.entry("Emoji", Character::isEmoji),
          Map.entry("Emoji_Presentation", Character::isEmojiPresentation),
          Map.entry("Emoji_Modifier", Character::isEmojiModifier),
          Map.entry("Emoji_Modifier_Base", Character::isEmojiModifierBase),
          Map.entry("Emoji_Component", Character::isEmojiComponent),
          Map.entry("Extended_Pictographic", Character::isExtendedPictographic));

  private static final Map<String, CodePoints> KNOWN = new ConcurrentHashMap<>();

  private CharacterClasses() {}

  private static int bits(byte type) {
    return 1 << type;
  }

  /** Unicode's property, which is not Java's idea of white space. */
  private static boolean isWhiteSpace(int c) {
    return (c >= '\t' && c <= '\r') || c == 0x85 || Character.isSpaceChar(c);
  }

  /**
   * The code points of a general category or a group of them ({@code Lu}, {@code L}, {@code
   * Letter}), of a script ({@code Script=Greek}, {@code Greek}) or with a property ({@code
   * Alphabetic}); null if there is none of this name.
   */
  static @Nullable CodePoints property(String name) {
    int equals = name.indexOf('=');
    String value = name.substring(equals + 1);
    return switch (equals < 0 ? "" : name.substring(0, equals)) {
      case "gc", "General_Category" -> category(value);
      case "sc", "Script" -> script(value);
      case "" -> {
        IntPredicate property = PROPERTIES.get(value);
        CodePoints category = property == null ? category(value) : known(value, property);
        yield category == null ? script(value) : category;
      }
      default -> null;
    };
  }

  private static @Nullable CodePoints category(String name) {
    String wanted = LONG_NAMES.getOrDefault(name, name);
    int types = 0;
    for (Map.Entry<String, Integer> category : CATEGORIES.entrySet()) {
      if (category.getKey().equals(wanted) || category.getKey().substring(0, 1).equals(wanted)) {
        types |= category.getValue();
      }
    }
    int all = types;
    return all == 0 ? null : known(wanted, c -> ((all >> Character.getType(c)) & 1) != 0);
  }

  private static @Nullable CodePoints script(String name) {
    try {
      Character.UnicodeScript script = Character.UnicodeScript.forName(name);
      return known(script.name(), c -> Character.UnicodeScript.of(c) == script);
    } catch (IllegalArgumentException unknown) {
      return null;
    }
  }

  /**
   * @param name as our tables or Java's have it, so that there are only so many
   */
  private static CodePoints known(String name, IntPredicate members) {
    return KNOWN.computeIfAbsent(name, n -> CodePoints.matching(members));
  }
}
