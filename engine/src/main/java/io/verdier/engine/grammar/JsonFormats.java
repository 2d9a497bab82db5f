package io.verdier.engine.grammar;

import io.verdier.engine.grammar.RegexParser.Extent;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * The formats of JSON Schema (2020-12 Validation, section 7.3) that are held. Stateless. Any other
 * is an annotation, as the specification has it, and holds nothing.
 *
 * <p>What is matched is always of the format; where its standard knows rare forms (quoted local
 * parts of addresses, leap seconds, names beyond 251 characters), the usual ones are.
 */
final class JsonFormats {
  private static final String DAY = "(0[1-9]|1\\d|2[0-8])";

  /** Days that exist (RFC 3339, section 5.6 and appendix C). */
  private static final String DATE =
      "(\\d{4}-((0[1-9]|1[0-2])-"
          + DAY
          + "|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
          + "|(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)";

  private static final String TIME =
      "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?" + "([zZ]|[+-]([01]\\d|2[0-3]):[0-5]\\d)";

  /** RFC 3339, appendix A; at most nine digits a part. */
  private static final String CLOCK = "T(#H(#M(#S)?)?|#M(#S)?|#S)".replace("#", "\\d{1,9}");

  private static final String DURATION =
      "P(#W|(#D|#M(#D)?|#Y(#M(#D)?)?)(&)?|&)".replace("#", "\\d{1,9}").replace("&", CLOCK);

  private static final String LABEL = "[A-Za-z0-9](-?[A-Za-z0-9]){0,20}";
  private static final String HOST = LABEL + "(\\." + LABEL + "){0,5}";

  private static final String MAIL_WORD = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}";

  /** At a name of letters at the end, as those of the net are. */
  private static final String MAIL =
      MAIL_WORD + "(\\." + MAIL_WORD + "){0,2}@(" + LABEL + "\\.){1,4}[A-Za-z]{2,6}";

  private static final String BYTE = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
  private static final String IPV4 = BYTE + "(\\." + BYTE + "){3}";
  private static final String IPV6 = ipv6();

  private static final String ENCODED = "%[0-9A-Fa-f]{2}";
  private static final String PATH_CHAR = "([A-Za-z0-9._~!$&'()*+,;=:@-]|" + ENCODED + ")";
  private static final String FIRST_CHAR = "([A-Za-z0-9._~!$&'()*+,;=@-]|" + ENCODED + ")";
  private static final String SEGMENTS = "(/" + PATH_CHAR + "*)*";

  /** Without the bounds of names on the net: counting beside them takes many states. */
  private static final String URI_HOST = "([A-Za-z0-9]+[.-])*[A-Za-z0-9]+";

  /** RFC 3986, appendix A, with names and IPv4 as hosts. */
  private static final String AUTHORITY =
      "//(([A-Za-z0-9._~!$&'()*+,;=:-]|" + ENCODED + ")+@)?" + URI_HOST + "(:\\d{1,4})?" + SEGMENTS;

  private static final String ABSOLUTE_PATH = "/(" + PATH_CHAR + "+" + SEGMENTS + ")?";
  private static final String TAIL = "(\\?([/?]|" + PATH_CHAR + ")*)?(#([/?]|" + PATH_CHAR + ")*)?";

  private static final String URI =
      "[A-Za-z][A-Za-z0-9+.-]*:("
          + AUTHORITY
          + "|"
          + ABSOLUTE_PATH
          + "|"
          + PATH_CHAR
          + "+"
          + SEGMENTS
          + ")"
          + TAIL;

  private static final String RELATIVE =
      "(" + AUTHORITY + "|" + ABSOLUTE_PATH + "|" + FIRST_CHAR + "+" + SEGMENTS + ")?" + TAIL;

  private static final Map<String, String> PATTERNS =
      Map.ofEntries(
          Map.entry("date", DATE),
          Map.entry("time", TIME),
          Map.entry("date-time", DATE + "[tT]" + TIME),
          Map.entry("duration", DURATION),
          Map.entry("email", MAIL),
          Map.entry("idn-email", MAIL),
          Map.entry("hostname", HOST),
          Map.entry("idn-hostname", HOST),
          Map.entry("ipv4", IPV4),
          Map.entry("ipv6", IPV6),
          Map.entry("uuid", "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
          Map.entry("uri", URI),
          Map.entry("iri", URI),
          Map.entry("uri-reference", "(" + URI + "|" + RELATIVE + ")"),
          Map.entry("iri-reference", "(" + URI + "|" + RELATIVE + ")"),
          Map.entry("json-pointer", "(/([^~/]|~[01])*)*"),
          Map.entry("relative-json-pointer", "(0|[1-9]\\d*)(#|(/([^~/]|~[01])*)*)"));

  private static final Map<String, Expression> KNOWN = new ConcurrentHashMap<>();

  private JsonFormats() {}

  /** Values of a format; null: it is not held. */
  static @Nullable Expression of(String format) {
    String pattern = PATTERNS.get(format);
    return pattern == null
        ? null
        : KNOWN.computeIfAbsent(format, f -> RegexParser.parse(pattern, Extent.WHOLE));
  }

  /** RFC 4291, section 2.2: eight groups, of which :: leaves out one or more. */
  private static String ipv6() {
    String group = "[0-9A-Fa-f]{1,4}";
    StringBuilder pattern = new StringBuilder("((" + group + ":){7}" + group);
    for (int before = 0; before <= 7; before++) {
      int behindMax = 7 - before;
      pattern.append('|');
      if (before > 0) {
        pattern
            .append(group)
            .append("(:")
            .append(group)
            .append("){")
            .append(before - 1)
            .append('}');
      }
      pattern.append("::");
      if (behindMax > 0) {
        pattern.append('(').append(group);
        pattern.append("(:").append(group).append("){0,").append(behindMax - 1).append("})?");
      }
    }
    return pattern.append(')').toString();
  }
}
