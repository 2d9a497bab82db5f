package io.verdier.engine.grammar;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The terminals that Lark's grammars import from its module {@code common}, as regular expressions.
 * Stateless.
 */
final class LarkTerminals {
  private static final String LETTERS = "A-Za-zÇĞİÖŞÜçğıöşü";
  private static final String INT = "[0-9]+";
  private static final String SIGN = "[+\\-]?";
  private static final String DECIMAL = "(?:[0-9]+\\.[0-9]*|\\.[0-9]+)";
  private static final String EXPONENT = "[eE]" + SIGN + INT;
  private static final String FLOAT =
      "(?:" + INT + EXPONENT + "|" + DECIMAL + "(?:" + EXPONENT + ")?)";
  private static final String NUMBER = "(?:" + FLOAT + "|" + INT + ")";

  private static final Map<String, String> COMMON =
      Map.ofEntries(
          Map.entry("DIGIT", "[0-9]"),
          Map.entry("HEXDIGIT", "[0-9a-fA-F]"),
          Map.entry("INT", INT),
          Map.entry("SIGNED_INT", SIGN + INT),
          Map.entry("DECIMAL", DECIMAL),
          Map.entry("FLOAT", FLOAT),
          Map.entry("SIGNED_FLOAT", SIGN + FLOAT),
          Map.entry("NUMBER", NUMBER),
          Map.entry("SIGNED_NUMBER", SIGN + NUMBER),
          Map.entry("ESCAPED_STRING", "\"(?:[^\"\\\\\\n]|\\\\[^\\n])*\""),
          Map.entry("LCASE_LETTER", "[a-zçğıöşü]"),
          Map.entry("UCASE_LETTER", "[A-ZÇĞİÖŞÜ]"),
          Map.entry("LETTER", "[" + LETTERS + "]"),
          Map.entry("WORD", "[" + LETTERS + "]+"),
          Map.entry("CNAME", "[_" + LETTERS + "][_" + LETTERS + "0-9]*"),
          Map.entry("WS_INLINE", "[ \\t]+"),
          Map.entry("WS", "[ \\t\\f\\r\\n]+"),
          Map.entry("CR", "\\r"),
          Map.entry("LF", "\\n"),
          Map.entry("NEWLINE", "(?:\\r?\\n)+"),
          Map.entry("SH_COMMENT", "#[^\\n]*"),
          Map.entry("CPP_COMMENT", "\\/\\/[^\\n]*"),
          Map.entry("C_COMMENT", "\\/\\*(?:[^*]|\\*+[^*\\/])*\\*+\\/"),
          Map.entry("SQL_COMMENT", "--[^\\n]*"));

  private LarkTerminals() {}

  /** What a terminal matches; null: there is none of this name. */
  static @Nullable Expression common(String name) {
    String pattern = COMMON.get(name);
    return pattern == null ? null : RegexParser.parse(pattern, RegexParser.Extent.WHOLE);
  }
}
