package io.verdier.conf;

import java.util.regex.Pattern;

/**
 * Makes values fit for a log line: no secrets, no control characters, no novels. No state.
 *
 * <p>Besides the flags that the table marks secret, an address may hide a password before its host
 * or a signature in its query (signed URLs), so both are cut from every text that has a scheme.
 */
final class Shown {
  private static final int CHARS_MAX = 100;
  private static final Pattern USER_INFO = Pattern.compile("(://)[^/@\\s]*@");
  private static final Pattern QUERY = Pattern.compile("(://[^?\\s]*\\?)\\S+");
  private static final Pattern CONTROL = Pattern.compile("\\p{Cntrl}+");

  private Shown() {}

  /** A value that is not secret by its flag. */
  static String text(String value) {
    String shown = USER_INFO.matcher(value).replaceAll("$1...@");
    shown = QUERY.matcher(shown).replaceAll("$1...");
    shown = CONTROL.matcher(shown).replaceAll(" ");
    return shown.length() <= CHARS_MAX ? shown : shown.substring(0, CHARS_MAX) + "...";
  }

  /** The value of a flag; of a secret only that there is one. */
  static String value(Flag flag, Object value) {
    return flag.type().secret() ? "(secret)" : text(String.valueOf(value));
  }
}
