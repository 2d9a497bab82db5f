package io.verdier.engine.text.template;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Filters that give text. */
final class TextFilters {
  private TextFilters() {}

  static void addTo(Map<String, Filter> table) {
    table.put("string", TextFilters::string);
    table.put("trim", TextFilters::trim);
    table.put("upper", (rendering, value, args) -> method("upper", rendering, value, args));
    table.put("lower", (rendering, value, args) -> method("lower", rendering, value, args));
    table.put(
        "capitalize", (rendering, value, args) -> method("capitalize", rendering, value, args));
    table.put("title", TextFilters::title);
    table.put("replace", TextFilters::replace);
    table.put("indent", TextFilters::indent);
    table.put("format", TextFilters::format);
    table.put("wordcount", TextFilters::wordCount);
    table.put("escape", TextFilters::escape);
    table.put("e", TextFilters::escape);
    table.put("forceescape", TextFilters::forceEscape);
    table.put("safe", TextFilters::safe);
    table.put("urlencode", TextFilters::urlEncode);
    table.put("striptags", TextFilters::stripTags);
    table.put("xmlattr", TextFilters::xmlAttributes);
    table.put("center", TextFilters::center);
    table.put("truncate", TextFilters::truncate);
  }

  /** {@code str()} that leaves markup alone. */
  private static Object soft(Object value, Meter meter) {
    return value instanceof Markup ? value : Show.str(value, meter);
  }

  private static Object string(Rendering rendering, Object value, Args args) {
    args.bind("string");
    return soft(value, rendering.meter());
  }

  private static Object method(String name, Rendering rendering, Object value, Args args) {
    Object text = soft(value, rendering.meter());
    if (Members.member(text, name) instanceof Callable method) {
      return method.call(rendering, args);
    }
    throw new IllegalStateException("strings have no method " + name);
  }

  private static Object trim(Rendering rendering, Object value, Args args) {
    return method("strip", rendering, value, args);
  }

  private static Object title(Rendering rendering, Object value, Args args) {
    args.bind("title");
    String text = Show.str(value, rendering.meter());
    rendering.meter().chars(text.length());
    StringBuilder out = new StringBuilder(text.length());
    boolean starts = true;
    int from = 0;
    for (int i = 0; i <= text.length(); i++) {
      boolean separator = i < text.length() && isWordSeparator(text.charAt(i));
      if (i == text.length() || separator != starts) {
        word(text.substring(from, i), out);
        from = i;
        starts = separator;
      }
    }
    return out.toString();
  }

  private static boolean isWordSeparator(char c) {
    return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || Chars.isSpace(c);
  }

  private static void word(String word, StringBuilder out) {
    if (!word.isEmpty()) {
      int end = Character.charCount(word.codePointAt(0));
      out.append(word.substring(0, end).toUpperCase(Locale.ROOT));
      out.append(word.substring(end).toLowerCase(Locale.ROOT));
    }
  }

  private static Object replace(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("replace", "old", "new", "count");
    Meter meter = rendering.meter();
    return StringParts.replaced(
        Show.str(value, meter),
        Show.str(bound.required(0), meter),
        Show.str(bound.required(1), meter),
        bound.integer(2, -1),
        meter);
  }

  private static Object indent(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("indent", "width", "first", "blank");
    Meter meter = rendering.meter();
    String unit = Types.textOrNull(bound.or(0, 4L));
    if (unit == null) {
      int width = Math.max(0, Operators.index(bound.or(0, 4L), "indent width"));
      unit = Operators.repeated(" ", width, meter);
    }
    String text = Types.textOrNull(value);
    if (text == null) {
      throw value instanceof Undefined undefined
          ? undefined.failure()
          : Operators.unsupported("+=", value, "");
    }
    boolean blank = bound.flag(2, false);
    List<Object> lines = StringParts.lines(text + "\n", false, meter);
    StringBuilder out = new StringBuilder(bound.flag(1, false) ? unit : "");
    for (int i = 0; i < lines.size(); i++) {
      String line = (String) lines.get(i);
      boolean indented = i > 0 && (blank || !line.isEmpty());
      out.append(i > 0 ? "\n" : "").append(indented ? unit : "").append(line);
      meter.chars(indented ? unit.length() + line.length() : line.length());
      meter.fits(out.length());
    }
    return value instanceof Markup ? new Markup(out.toString()) : out.toString();
  }

  private static Object format(Rendering rendering, Object value, Args args) {
    Meter meter = rendering.meter();
    if (!args.positional().isEmpty() && !args.named().isEmpty()) {
      throw TemplateException.runtime(
          "format can't handle positional and keyword arguments at the same time");
    }
    Object values = new Tuple(args.positional());
    if (!args.named().isEmpty()) {
      Dict dict = new Dict();
      args.named().forEach(dict::put);
      values = dict;
    }
    return PercentFormat.format(Show.str(value, meter), values, meter);
  }

  private static Object wordCount(Rendering rendering, Object value, Args args) {
    args.bind("wordcount");
    String text = Show.str(value, rendering.meter());
    rendering.meter().chars(text.length());
    long words = 0;
    boolean inside = false;
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      i += Character.charCount(c);
      boolean part = c == '_' || StringMethods.isAlphanumeric(c);
      words += part && !inside ? 1 : 0;
      inside = part;
    }
    return words;
  }

  private static Object escape(Rendering rendering, Object value, Args args) {
    args.bind("escape");
    return value instanceof Markup
        ? value
        : new Markup(Markup.escaped(Show.str(value, rendering.meter()), rendering.meter()));
  }

  private static Object forceEscape(Rendering rendering, Object value, Args args) {
    args.bind("forceescape");
    return new Markup(Markup.escaped(Show.str(value, rendering.meter()), rendering.meter()));
  }

  private static Object safe(Rendering rendering, Object value, Args args) {
    args.bind("safe");
    return new Markup(Show.str(value, rendering.meter()));
  }

  private static Object urlEncode(Rendering rendering, Object value, Args args) {
    args.bind("urlencode");
    Meter meter = rendering.meter();
    if (Types.isText(value) || !Types.isIterable(value)) {
      return quoted(Show.str(value, meter), false, meter);
    }
    Object pairs = value instanceof Dict dict ? dict.items() : value;
    List<Object> parts = new ArrayList<>();
    for (Object item : Types.list(pairs, meter)) {
      List<Object> pair = Types.list(item, meter);
      if (pair.size() != 2) {
        throw TemplateException.runtime("urlencode takes pairs of key and value");
      }
      parts.add(
          quoted(Show.str(pair.get(0), meter), true, meter)
              + "="
              + quoted(Show.str(pair.get(1), meter), true, meter));
    }
    return StringParts.joined(parts, "&", meter);
  }

  private static String quoted(String text, boolean query, Meter meter) {
    meter.chars(3L * text.length());
    StringBuilder out = new StringBuilder(text.length());
    for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
      int c = b & 0xFF;
      boolean letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      if (letter || "_.-~".indexOf(c) >= 0 || (c == '/' && !query)) {
        out.append((char) c);
      } else if (c == ' ' && query) {
        out.append('+');
      } else {
        out.append('%').append(Show.hex(c, 2).toUpperCase(Locale.ROOT));
      }
    }
    return out.toString();
  }

  /** Text without comments and tags, its white space single blanks, its entities characters. */
  private static Object stripTags(Rendering rendering, Object value, Args args) {
    args.bind("striptags");
    Meter meter = rendering.meter();
    String text = withoutSpans(Show.str(value, meter), "<!--", "-->", meter);
    text = withoutSpans(text, "<", ">", meter);
    Object words =
        Members.member(text, "split") instanceof Callable split
            ? split.call(rendering, Args.NONE)
            : List.of();
    String joined = StringParts.joined(Types.list(words, meter), " ", meter);
    return joined
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#34;", "\"")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&");
  }

  private static String withoutSpans(String text, String open, String close, Meter meter) {
    meter.chars(text.length());
    StringBuilder out = new StringBuilder();
    int from = 0;
    for (int at = text.indexOf(open); at >= 0; at = text.indexOf(open, from)) {
      int end = text.indexOf(close, at);
      if (end < 0) {
        break;
      }
      out.append(text, from, at);
      from = end + close.length();
    }
    return out.append(text, from, text.length()).toString();
  }

  private static Object xmlAttributes(Rendering rendering, Object value, Args args) {
    boolean autospace = args.bind("xmlattr", "autospace").flag(0, true);
    Meter meter = rendering.meter();
    if (!(value instanceof Dict dict)) {
      throw TemplateException.runtime("xmlattr takes a mapping");
    }
    List<Object> parts = new ArrayList<>();
    for (Object key : dict.keys()) {
      Object item = dict.get(key);
      if (item == null || item == None.NONE || item instanceof Undefined) {
        continue;
      }
      String name = Show.str(key, meter);
      if (name.chars().anyMatch(c -> (c < 128 && Chars.isSpace(c)) || "/>=".indexOf(c) >= 0)) {
        throw TemplateException.runtime("invalid character in attribute name");
      }
      String text = Show.str(item, meter);
      String shown = item instanceof Markup ? text : Markup.escaped(text, meter);
      parts.add(Markup.escaped(name, meter) + "=\"" + shown + "\"");
    }
    String joined = StringParts.joined(parts, " ", meter);
    return autospace && !joined.isEmpty() ? " " + joined : joined;
  }

  private static Object center(Rendering rendering, Object value, Args args) {
    int width = args.bind("center", "width").integer(0, 80);
    String text = Show.str(value, rendering.meter());
    return StringMethods.padded(text, width, " ", StringMethods.Side.BOTH, rendering.meter());
  }

  private static Object truncate(Rendering rendering, Object value, Args args) {
    Args.Bound bound = args.bind("truncate", "length", "killwords", "end", "leeway");
    Meter meter = rendering.meter();
    String text = Show.str(value, meter);
    meter.chars(text.length());
    int length = bound.integer(0, 255);
    String end = bound.text(2, "...");
    int leeway = bound.integer(3, 5);
    int kept = length - Chars.length(end);
    if (kept < 0 || leeway < 0) {
      throw TemplateException.runtime("truncate: length or leeway is too small");
    }
    if (Chars.length(text) <= (long) length + leeway) {
      return value;
    }
    String cut = Chars.slice(text, 0, kept);
    if (!bound.flag(1, false)) {
      int blank = cut.lastIndexOf(' ');
      cut = blank < 0 ? cut : cut.substring(0, blank);
    }
    return cut + end;
  }
}
