package io.verdier.engine.grammar;

import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
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

  private static final Map<String, CodePoints> KNOWN = new ConcurrentHashMap<>();

  private CharacterClasses() {}

  private static int bits(byte type) {
    return 1 << type;
  }

  /**
   * The code points of a general category, such as {@code Lu}, or of a group of them, such as
   * {@code L}; null if there is none of this name.
   */
  static @Nullable CodePoints category(String name) {
    int wanted = 0;
    for (Map.Entry<String, Integer> category : CATEGORIES.entrySet()) {
      if (category.getKey().equals(name) || category.getKey().substring(0, 1).equals(name)) {
        wanted |= category.getValue();
      }
    }
    if (wanted == 0) {
      return null;
    }
    int types = wanted;
    return KNOWN.computeIfAbsent(
        name, n -> CodePoints.matching(c -> ((types >> Character.getType(c)) & 1) != 0));
  }
}
