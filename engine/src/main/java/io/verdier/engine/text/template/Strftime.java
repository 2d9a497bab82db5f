package io.verdier.engine.text.template;

import java.time.LocalDateTime;
import java.time.temporal.IsoFields;
import java.util.List;

/**
 * Python's {@code strftime} on a time without zone, in the C locale, with glibc's flags for padding
 * ({@code -}, {@code _}, {@code 0}) and case ({@code ^}).
 */
final class Strftime {
  private static final List<String> DAYS =
      List.of("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday");
  private static final List<String> MONTHS =
      List.of(
          "January",
          "February",
          "March",
          "April",
          "May",
          "June",
          "July",
          "August",
          "September",
          "October",
          "November",
          "December");

  private final LocalDateTime time;

  private Strftime(LocalDateTime time) {
    this.time = time;
  }

  static String format(LocalDateTime time, String format, Meter meter) {
    meter.chars(16L * format.length());
    StringBuilder out = new StringBuilder();
    new Strftime(time).append(format, out);
    return out.toString();
  }

  private void append(String format, StringBuilder out) {
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c != '%' || i + 1 == format.length()) {
        out.append(c);
        continue;
      }
      char flag = format.charAt(++i);
      boolean flagged = "-_0^#".indexOf(flag) >= 0 && i + 1 < format.length();
      char directive = flagged ? format.charAt(++i) : flag;
      String text = directive(directive, flagged ? flag : ' ');
      out.append(flagged && flag == '^' ? text.toUpperCase(java.util.Locale.ROOT) : text);
    }
  }

  private String directive(char directive, char flag) {
    int hour12 = (time.getHour() + 11) % 12 + 1;
    int dayOfWeek = time.getDayOfWeek().getValue(); // Monday is 1
    return switch (directive) {
      case 'a' -> DAYS.get(dayOfWeek - 1).substring(0, 3);
      case 'A' -> DAYS.get(dayOfWeek - 1);
      case 'w' -> padded(dayOfWeek % 7, 1, '0', flag);
      case 'u' -> padded(dayOfWeek, 1, '0', flag);
      case 'd' -> padded(time.getDayOfMonth(), 2, '0', flag);
      case 'e' -> padded(time.getDayOfMonth(), 2, ' ', flag);
      case 'b', 'h' -> MONTHS.get(time.getMonthValue() - 1).substring(0, 3);
      case 'B' -> MONTHS.get(time.getMonthValue() - 1);
      case 'm' -> padded(time.getMonthValue(), 2, '0', flag);
      case 'y' -> padded(time.getYear() % 100, 2, '0', flag);
      case 'Y' -> padded(time.getYear(), 1, '0', flag);
      case 'C' -> padded(time.getYear() / 100, 2, '0', flag);
      case 'H' -> padded(time.getHour(), 2, '0', flag);
      case 'k' -> padded(time.getHour(), 2, ' ', flag);
      case 'I' -> padded(hour12, 2, '0', flag);
      case 'l' -> padded(hour12, 2, ' ', flag);
      case 'p' -> time.getHour() < 12 ? "AM" : "PM";
      case 'P' -> time.getHour() < 12 ? "am" : "pm";
      case 'M' -> padded(time.getMinute(), 2, '0', flag);
      case 'S' -> padded(time.getSecond(), 2, '0', flag);
      case 'f' -> padded(time.getNano() / 1000, 6, '0', flag);
      case 'j' -> padded(time.getDayOfYear(), 3, '0', flag);
      case 'U' -> padded((time.getDayOfYear() + 6 - dayOfWeek % 7) / 7, 2, '0', flag);
      case 'W' -> padded((time.getDayOfYear() + 6 - (dayOfWeek - 1)) / 7, 2, '0', flag);
      case 'V' -> padded(time.get(IsoFields.WEEK_OF_WEEK_BASED_YEAR), 2, '0', flag);
      case 'G' -> padded(time.get(IsoFields.WEEK_BASED_YEAR), 1, '0', flag);
      case 'g' -> padded(time.get(IsoFields.WEEK_BASED_YEAR) % 100, 2, '0', flag);
      case 's' -> String.valueOf(time.toEpochSecond(java.time.ZoneOffset.UTC));
      case 'z', 'Z' -> "";
      case 'n' -> "\n";
      case 't' -> "\t";
      case '%' -> "%";
      default -> composed(directive);
    };
  }

  private String composed(char directive) {
    String format =
        switch (directive) {
          case 'c' -> "%a %b %e %H:%M:%S %Y";
          case 'x', 'D' -> "%m/%d/%y";
          case 'X', 'T' -> "%H:%M:%S";
          case 'F' -> "%Y-%m-%d";
          case 'R' -> "%H:%M";
          case 'r' -> "%I:%M:%S %p";
          default -> "";
        };
    if (format.isEmpty()) {
      return "%" + directive;
    }
    StringBuilder out = new StringBuilder();
    append(format, out);
    return out.toString();
  }

  private static String padded(int value, int width, char fill, char flag) {
    char pad = flag == '_' ? ' ' : flag == '0' ? '0' : fill;
    String digits = Integer.toString(value);
    int missing = flag == '-' ? 0 : Math.max(0, width - digits.length());
    return String.valueOf(pad).repeat(missing) + digits;
  }
}
