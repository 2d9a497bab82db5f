package io.verdier.engine.text.template;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/** Methods of strings that search, cut and join. */
final class StringParts {
  private StringParts() {}

  static void addTo(Map<String, StringMethods.Method> table) {
    table.put("split", StringParts::split);
    table.put("rsplit", StringParts::splitRight);
    table.put("splitlines", StringParts::lines);
    table.put("partition", (self, args, rendering) -> partition(self, args, false));
    table.put("rpartition", (self, args, rendering) -> partition(self, args, true));
    table.put("startswith", (self, args, rendering) -> isAtEdge(self, args, rendering, true));
    table.put("endswith", (self, args, rendering) -> isAtEdge(self, args, rendering, false));
    table.put("removeprefix", StringParts::removePrefix);
    table.put("removesuffix", StringParts::removeSuffix);
    table.put("find", (self, args, rendering) -> find(self, args, false));
    table.put("rfind", (self, args, rendering) -> find(self, args, true));
    table.put("index", (self, args, rendering) -> found(find(self, args, false)));
    table.put("rindex", (self, args, rendering) -> found(find(self, args, true)));
    table.put("count", StringParts::count);
    table.put("replace", StringParts::replace);
    table.put("join", StringParts::join);
  }

  private static Object split(String self, Args args, Rendering rendering) {
    Args.Bound bound = args.bind("split()", "sep", "maxsplit");
    int most = bound.integer(1, -1);
    if (bound.or(0, None.NONE) == None.NONE) {
      return words(self, most, rendering.meter());
    }
    String separator = separator(bound.text(0));
    Search search = new Search(separator);
    List<Object> parts = new ArrayList<>();
    int from = 0;
    for (int at = search.next(self, 0);
        at >= 0 && (most < 0 || parts.size() < most);
        at = search.next(self, from)) {
      rendering.meter().step();
      parts.add(self.substring(from, at));
      from = at + separator.length();
    }
    parts.add(self.substring(from));
    return parts;
  }

  private static List<Object> words(String self, int most, Meter meter) {
    List<Object> words = new ArrayList<>();
    int from = Chars.skipSpace(self, 0);
    while (from < self.length()) {
      meter.step();
      if (most >= 0 && words.size() == most) {
        words.add(self.substring(from)); // Python keeps the blanks at the far end
        break;
      }
      int to = from;
      while (to < self.length() && !Chars.isSpace(self.charAt(to))) {
        to++;
      }
      words.add(self.substring(from, to));
      from = Chars.skipSpace(self, to);
    }
    return words;
  }

  private static Object splitRight(String self, Args args, Rendering rendering) {
    Args.Bound bound = args.bind("rsplit()", "sep", "maxsplit");
    int most = bound.integer(1, -1);
    if (most < 0) {
      return split(self, args, rendering);
    }
    List<Object> parts = new ArrayList<>();
    if (bound.or(0, None.NONE) == None.NONE) {
      wordsRight(self, most, parts, rendering.meter());
    } else {
      String separator = separator(bound.text(0));
      Search search = new Search(separator);
      int to = self.length();
      int at = most == 0 ? -1 : search.last(self, to);
      while (at >= 0) {
        rendering.meter().chars(separator.length() > 32 ? to : 64);
        parts.add(self.substring(at + separator.length(), to));
        to = at;
        at = parts.size() < most ? search.last(self, to) : -1;
      }
      parts.add(self.substring(0, to));
    }
    Collections.reverse(parts);
    return parts;
  }

  private static void wordsRight(String self, int most, List<Object> words, Meter meter) {
    int to = Chars.stripped(self, false, true).length();
    while (to > 0) {
      meter.step();
      if (words.size() == most) {
        words.add(self.substring(0, to));
        return;
      }
      int from = to;
      while (from > 0 && !Chars.isSpace(self.charAt(from - 1))) {
        from--;
      }
      words.add(self.substring(from, to));
      to = from;
      while (to > 0 && Chars.isSpace(self.charAt(to - 1))) {
        to--;
      }
    }
  }

  private static String separator(String separator) {
    if (separator.isEmpty()) {
      throw TemplateException.runtime("empty separator");
    }
    return separator;
  }

  private static Object lines(String self, Args args, Rendering rendering) {
    boolean keep = args.bind("splitlines()", "keepends").flag(0, false);
    return lines(self, keep, rendering.meter());
  }

  static List<Object> lines(String self, boolean keepEnds, Meter meter) {
    List<Object> lines = new ArrayList<>();
    int from = 0;
    for (int i = 0; i < self.length(); i++) {
      if (Chars.isLineBreak(self.charAt(i))) {
        meter.step();
        int end = i;
        if (self.charAt(i) == '\r' && i + 1 < self.length() && self.charAt(i + 1) == '\n') {
          i++;
        }
        lines.add(self.substring(from, keepEnds ? i + 1 : end));
        from = i + 1;
      }
    }
    if (from < self.length()) {
      lines.add(self.substring(from));
    }
    return lines;
  }

  private static Object partition(String self, Args args, boolean right) {
    String separator = separator(args.bind("partition()", "sep").text(0));
    Search search = new Search(separator);
    int at = right ? search.last(self, self.length()) : search.next(self, 0);
    if (at < 0) {
      return right ? Tuple.of("", "", self) : Tuple.of(self, "", "");
    }
    return Tuple.of(self.substring(0, at), separator, self.substring(at + separator.length()));
  }

  private static Object isAtEdge(String self, Args args, Rendering rendering, boolean start) {
    Args.Bound bound = args.bind(start ? "startswith()" : "endswith()", "prefix", "start", "end");
    String text = self;
    if (bound.has(1) || bound.has(2)) {
      Object from = bound.or(1, None.NONE);
      Object to = bound.or(2, None.NONE);
      text =
          Show.str(Members.slice(self, from, to, None.NONE, rendering.meter()), rendering.meter());
    }
    if (bound.required(0) instanceof Tuple options) {
      for (Object option : options.items()) {
        String part = edge(option);
        rendering.meter().chars(part.length());
        if (start ? text.startsWith(part) : text.endsWith(part)) {
          return true;
        }
      }
      return false;
    }
    String part = edge(bound.required(0));
    return start ? text.startsWith(part) : text.endsWith(part);
  }

  private static String edge(Object value) {
    String text = Types.textOrNull(value);
    if (text == null) {
      throw TemplateException.runtime(
          "first arg must be str or a tuple of str, not " + Types.name(value));
    }
    return text;
  }

  private static Object removePrefix(String self, Args args, Rendering rendering) {
    String prefix = args.bind("removeprefix()", "prefix").text(0);
    return self.startsWith(prefix) ? self.substring(prefix.length()) : self;
  }

  private static Object removeSuffix(String self, Args args, Rendering rendering) {
    String suffix = args.bind("removesuffix()", "suffix").text(0);
    return self.endsWith(suffix) ? self.substring(0, self.length() - suffix.length()) : self;
  }

  /** Index in code points, -1 if absent. */
  private static Object find(String self, Args args, boolean right) {
    Args.Bound bound = args.bind("find()", "sub", "start", "end");
    String part = bound.text(0);
    int length = Chars.length(self);
    int from = clamped(bound.integer(1, 0), length);
    int to = clamped(bound.integer(2, length), length);
    if (from > to || bound.integer(1, 0) > length) {
      return -1L;
    }
    int start = self.offsetByCodePoints(0, from);
    String span = self.substring(start, self.offsetByCodePoints(0, to));
    Search search = new Search(part);
    int at = right ? search.last(span, span.length()) : search.next(span, 0);
    return at < 0 ? -1L : (long) Chars.index(self, start + at);
  }

  private static int clamped(int index, int length) {
    return Math.clamp(index < 0 ? (long) index + length : index, 0, length);
  }

  private static Object found(Object index) {
    if (index.equals(-1L)) {
      throw TemplateException.runtime("substring not found");
    }
    return index;
  }

  private static Object count(String self, Args args, Rendering rendering) {
    Args.Bound bound = args.bind("count()", "sub", "start", "end");
    String part = bound.text(0);
    Meter meter = rendering.meter();
    String text =
        Show.str(
            Members.slice(self, bound.or(1, None.NONE), bound.or(2, None.NONE), None.NONE, meter),
            meter);
    if (part.isEmpty()) {
      return Chars.length(text) + 1L;
    }
    Search search = new Search(part);
    long count = 0;
    for (int at = search.next(text, 0); at >= 0; at = search.next(text, at + part.length())) {
      count++;
    }
    return count;
  }

  private static Object replace(String self, Args args, Rendering rendering) {
    Args.Bound bound = args.bind("replace()", "old", "new", "count");
    return replaced(self, bound.text(0), bound.text(1), bound.integer(2, -1), rendering.meter());
  }

  /**
   * @param most replacements, negative: all
   */
  static String replaced(String self, String old, String replacement, int most, Meter meter) {
    meter.chars(self.length());
    StringBuilder out = new StringBuilder();
    Search search = new Search(old);
    int from = 0;
    int done = 0;
    for (int at = search.next(self, 0); at >= 0 && (most < 0 || done < most); done++) {
      out.append(self, from, at).append(replacement);
      meter.fits(out.length());
      meter.chars(replacement.length());
      from = at + old.length();
      if (old.isEmpty()) {
        if (from == self.length()) {
          return out.toString();
        }
        int next = self.offsetByCodePoints(from, 1); // between characters, not inside a pair
        out.append(self, from, next);
        from = next;
        at = next;
      } else {
        at = search.next(self, from);
      }
    }
    out.append(self, from, self.length());
    meter.fits(out.length());
    return out.toString();
  }

  private static Object join(String self, Args args, Rendering rendering) {
    Object items = args.bind("join()", "iterable").required(0);
    List<Object> parts = Types.list(items, rendering.meter());
    for (int i = 0; i < parts.size(); i++) {
      if (!Types.isText(parts.get(i))) {
        throw TemplateException.runtime(
            "sequence item "
                + i
                + ": expected str instance, "
                + Types.name(parts.get(i))
                + " found");
      }
    }
    return joined(parts, self, rendering.meter());
  }

  static String joined(List<Object> parts, String separator, Meter meter) {
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < parts.size(); i++) {
      String part = Show.str(parts.get(i), meter);
      meter.chars((long) separator.length() + part.length());
      out.append(i == 0 ? "" : separator).append(part);
      meter.fits(out.length());
    }
    return out.toString();
  }
}
