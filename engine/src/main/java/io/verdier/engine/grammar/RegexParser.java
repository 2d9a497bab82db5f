package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Chars;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Repeat;
import io.verdier.engine.grammar.Expression.Sequence;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Reads a regular expression in the syntax of ECMA-262 (section 22.2.1, with the meaning of its
 * {@code u} flag), as JSON Schema's {@code pattern} has it, and what the regular expressions of
 * Python and Rust add that means the same to all. Owned by its caller.
 *
 * <p>Alternatives, groups of every kind that captures or not, quantifiers (a lazy one matches the
 * same texts), classes, flags such as {@code (?i)}, and the escapes of characters and of Unicode's
 * properties are taken. What looks around or back ({@code (?=}, {@code \b}, {@code \1}) is refused
 * by name: an automaton does not remember what a group held. {@code ^} and {@code $} are taken
 * where a text begins and ends, in groups too, but not in the middle.
 */
public final class RegexParser {
  /** Groups in groups; parsing one takes a few frames of the stack. */
  private static final int DEPTH_MAX = 200;

  private static final int COUNT_MAX = 1_000_000_000;

  private static final Expression ANYTHING = Expression.any(new Chars(CodePoints.ALL));

  private static final Pattern POSIX_CLASS = Pattern.compile("\\[:\\^?[a-z]{1,10}:\\]");

  /** Of an expression, for each character of a pattern. */
  private static final int CHARACTER_BYTES = 64;

  private final String pattern;
  private final Extent extent;
  private final Budget budget;
  private final RegexOutline outline;
  private int at;
  private int depth;
  private Flags flags = new Flags(false, false, false);

  /** How a part of a pattern is read: {@code (?i)}, {@code (?s)} and {@code (?m)}. */
  private record Flags(boolean ignoresCase, boolean dotIsAll, boolean anchorsAreLines) {}

  /** Which edges of a text a part of a pattern touches. */
  private record Edges(boolean isFirst, boolean isLast) {
    static final Edges NONE = new Edges(false, false);
  }

  /** What of a text a pattern describes. */
  public enum Extent {
    /** All of it, as in a constraint on an answer. */
    WHOLE,
    /** Some part, as in JSON Schema, unless {@code ^} and {@code $} say otherwise. */
    PART
  }

  private RegexParser(String pattern, Extent extent, Budget budget) {
    this.budget = budget;
    this.pattern = pattern;
    this.extent = extent;
    outline = new RegexOutline(pattern);
  }

  /**
   * The texts that a pattern matches.
   *
   * @throws GrammarException if it is malformed, or needs what is not supported
   */
  public static Expression parse(String pattern, Extent extent) {
    return parse(pattern, extent, Budget.defaults());
  }

  /**
   * The texts that a pattern matches.
   *
   * @throws GrammarException if it is malformed, needs what is not supported, or more than the
   *     budget has
   */
  static Expression parse(String pattern, Extent extent, Budget budget) {
    budget.hold((long) CHARACTER_BYTES * pattern.length());
    RegexParser parser = new RegexParser(pattern, extent, budget);
    Expression all = parser.alternatives(new Edges(true, true));
    if (parser.at < pattern.length()) {
      throw parser.error("unmatched )");
    }
    return all;
  }

  /** Up to the end or the parenthesis that closes this group. */
  private Expression alternatives(Edges edges) {
    List<Expression> options = new ArrayList<>();
    do {
      options.add(alternative(edges));
    } while (accept('|'));
    return options.size() == 1 ? options.getFirst() : new Choice(options);
  }

  private Expression alternative(Edges edges) {
    List<Expression> parts = new ArrayList<>();
    boolean begins = !edges.isFirst; // nothing has to come before
    boolean ends = !edges.isLast;
    boolean isClosed = false; // by $
    while (!isAtEnd() && peek() != '|' && peek() != ')') {
      if (skipFlags()) {
        continue;
      }
      if (outline.isStart(at) || outline.isEnd(at)) {
        boolean isStart = outline.isStart(at);
        checkAnchor(isStart ? edges.isFirst && parts.isEmpty() && !isClosed : edges.isLast);
        begins |= isStart;
        isClosed |= !isStart;
        ends |= !isStart;
        at += peek() == '\\' ? 2 : 1;
      } else if (isClosed) {
        throw error("$ is supported only where a text ends");
      } else if (peek() == '(' && outline.isAnchored(at)) {
        boolean isFirst = parts.isEmpty() && !begins;
        boolean isLast = outline.isLast(at) && !ends;
        begins |= isFirst;
        ends |= isLast;
        parts.add(term(new Edges(isFirst, isLast)));
      } else {
        parts.add(term(Edges.NONE));
      }
    }
    if (extent == Extent.PART) {
      if (!begins) {
        parts.addFirst(ANYTHING);
      }
      if (!ends) {
        parts.add(ANYTHING);
      }
    }
    return parts.size() == 1 ? parts.getFirst() : new Sequence(parts);
  }

  private void checkAnchor(boolean isAtEdge) {
    if (!isAtEdge) {
      throw error("^ and $ are supported only where a text begins and ends");
    }
    if (flags.anchorsAreLines) {
      throw error("^ and $ are not supported with the flag m, where they are of lines");
    }
  }

  private Expression term(Edges edges) {
    Expression atom = atom(edges);
    Repeat counted = quantified(atom);
    if (counted == null) {
      return atom;
    }
    accept('?'); // lazy: prefers other matches, among the same texts
    if (quantified(counted) != null) {
      throw error("a repetition of a repetition needs a group");
    }
    return counted;
  }

  private @Nullable Repeat quantified(Expression part) {
    if (accept('*')) {
      return new Repeat(part, 0, Repeat.UNBOUNDED);
    }
    if (accept('+')) {
      return new Repeat(part, 1, Repeat.UNBOUNDED);
    }
    if (accept('?')) {
      return new Repeat(part, 0, 1);
    }
    if (!isCountNext(at)) {
      return null;
    }
    at++;
    int min = count();
    int max = min;
    if (accept(',')) {
      max = !isAtEnd() && peek() == '}' ? Repeat.UNBOUNDED : count();
    }
    expect('}');
    if (max < min) {
      throw error("a repetition of at least " + min + " and at most " + max + " times");
    }
    return new Repeat(part, min, max);
  }

  /** A brace before anything else is itself. */
  private boolean isCountNext(int brace) {
    if (!pattern.startsWith("{", brace) || brace + 1 == pattern.length()) {
      return false;
    }
    char next = pattern.charAt(brace + 1);
    return next == ',' || (next >= '0' && next <= '9');
  }

  private int count() {
    int from = at;
    long count = 0;
    while (!isAtEnd() && peek() >= '0' && peek() <= '9') {
      count = Math.min(COUNT_MAX, 10 * count + peek() - '0');
      at++;
    }
    if (at == from) {
      throw error("a number is missing in {}");
    }
    return (int) count;
  }

  private Expression atom(Edges edges) {
    if (isCountNext(at)) {
      throw error("nothing to repeat");
    }
    int c = next();
    return switch (c) {
      case '(' -> group(edges);
      case '[' -> chars(bracketed());
      case '.' -> new Chars(flags.dotIsAll ? CodePoints.ALL : CharacterClasses.LINE_END.not());
      case '\\' -> chars(cased(escape(false)));
      case '*', '+', '?' -> {
        at--;
        throw error("nothing to repeat");
      }
      default -> new Chars(cased(CodePoints.of(checked(c))));
    };
  }

  private Chars chars(CodePoints set) {
    budget.hold(set);
    return new Chars(set);
  }

  private CodePoints cased(CodePoints set) {
    return flags.ignoresCase ? CaseFolding.closed(set, budget) : set;
  }

  private int checked(int c) {
    if (c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE) {
      throw error("half of a surrogate pair");
    }
    return c;
  }

  private Expression group(Edges edges) {
    Flags outer = flags;
    if (accept('?')) {
      if (isFlag()) {
        flags = flags();
      }
      if (!accept(':')) {
        skipName();
      }
    }
    if (++depth > DEPTH_MAX) {
      throw error("groups are nested more than " + DEPTH_MAX + " deep");
    }
    Expression all = alternatives(edges);
    depth--;
    flags = outer;
    expect(')');
    return all;
  }

  /** Of the rest of a group: {@code (?i)}. False: there are none. */
  private boolean skipFlags() {
    int from = at;
    if (pattern.startsWith("(?", at)) {
      at += 2;
      Flags changed = isFlag() ? flags() : null;
      if (changed != null && accept(')')) {
        flags = changed;
        return true;
      }
    }
    at = from;
    return false;
  }

  private boolean isFlag() {
    return !isAtEnd() && (peek() == '-' || (peek() >= 'a' && peek() <= 'z'));
  }

  private Flags flags() {
    boolean on = true;
    Flags changed = flags;
    while (isFlag()) {
      char flag = pattern.charAt(at++);
      switch (flag) {
        case '-' -> on = false;
        case 'i' -> changed = new Flags(on, changed.dotIsAll, changed.anchorsAreLines);
        case 's' -> changed = new Flags(changed.ignoresCase, on, changed.anchorsAreLines);
        case 'm' -> changed = new Flags(changed.ignoresCase, changed.dotIsAll, on);
        case 'u' -> {} // as always
        default -> throw error("the flag " + flag + " is not supported");
      }
    }
    return changed;
  }

  private void skipName() {
    if (pattern.startsWith("=", at) || pattern.startsWith("!", at)) {
      throw error("looking ahead is not supported");
    }
    if (pattern.startsWith("<=", at) || pattern.startsWith("<!", at)) {
      throw error("looking behind is not supported");
    }
    if (accept('>')) {
      throw error("(?> is not supported: an automaton does not prefer one match to another");
    }
    accept('P'); // as Python has it
    if (!accept('<')) {
      throw error("(? is followed by what is not supported");
    }
    int close = pattern.indexOf('>', at);
    if (close < 0) {
      throw error("a group's name does not end");
    }
    at = close + 1;
  }

  /** Behind the opening bracket. */
  private CodePoints bracketed() {
    boolean isNegated = accept('^');
    List<CodePoints> sets = new ArrayList<>();
    while (true) {
      if (isAtEnd()) {
        throw error("[ is not closed");
      }
      if (accept(']')) {
        break;
      }
      if (POSIX_CLASS.matcher(pattern).region(at, pattern.length()).lookingAt()) {
        throw error("classes such as [:alpha:] are not supported; write \\p{L} or a range");
      }
      CodePoints first = member();
      if (!isAtEnd()
          && peek() == '-'
          && at + 1 < pattern.length()
          && pattern.charAt(at + 1) != ']') {
        at++;
        sets.add(span(first, member()));
      } else {
        sets.add(first);
      }
    }
    CodePoints set = cased(CodePoints.union(sets));
    return isNegated ? set.not() : set;
  }

  private CodePoints member() {
    int c = next();
    return c == '\\' ? escape(true) : CodePoints.of(checked(c));
  }

  private CodePoints span(CodePoints first, CodePoints last) {
    if (!first.isSingle() || !last.isSingle() || first.first(0) > last.first(0)) {
      throw error("a range in [] goes from a character to one that is not below it");
    }
    return CodePoints.range(first.first(0), last.first(0));
  }

  /** Behind the backslash. */
  private CodePoints escape(boolean isInClass) {
    if (isAtEnd()) {
      throw error("\\ at the end");
    }
    int c = next();
    return switch (c) {
      case 'd' -> CharacterClasses.DIGIT;
      case 'D' -> CharacterClasses.DIGIT.not();
      case 'w' -> CharacterClasses.WORD;
      case 'W' -> CharacterClasses.WORD.not();
      case 's' -> CharacterClasses.SPACE;
      case 'S' -> CharacterClasses.SPACE.not();
      case 't' -> CodePoints.of('\t');
      case 'n' -> CodePoints.of('\n');
      case 'v' -> CodePoints.of(0x0b);
      case 'f' -> CodePoints.of('\f');
      case 'r' -> CodePoints.of('\r');
      case 'c' -> CodePoints.of(control());
      case 'x' -> CodePoints.of(hex(2));
      case 'u' -> CodePoints.of(unicode());
      case 'p' -> property();
      case 'P' -> property().not();
      case '0' -> CodePoints.of(0);
      case 'b', 'B' -> {
        if (c == 'b' && isInClass) {
          yield CodePoints.of('\b');
        }
        throw error("\\" + (char) c + " is not supported: an automaton does not look around");
      }
      case 'k', '1', '2', '3', '4', '5', '6', '7', '8', '9' ->
          throw error("\\" + (char) c + " is not supported: an automaton does not remember groups");
      default -> {
        if (Character.isLetterOrDigit(c)) {
          throw error("\\" + Character.toString(c) + " is not an escape of ECMA-262");
        }
        yield CodePoints.of(checked(c));
      }
    };
  }

  private int control() {
    int letter = isAtEnd() ? -1 : next();
    if (letter < 'A' || letter > 'z' || (letter > 'Z' && letter < 'a')) {
      throw error("\\c needs a letter");
    }
    return letter % 32;
  }

  private int hex(int digits) {
    int value = 0;
    for (int i = 0; i < digits; i++) {
      int digit = isAtEnd() ? -1 : Character.digit(pattern.charAt(at), 16);
      if (digit < 0) {
        throw error("a hexadecimal digit is missing");
      }
      value = value * 16 + digit;
      at++;
    }
    return value;
  }

  private int unicode() {
    if (accept('{')) {
      int value = 0;
      int from = at;
      while (!isAtEnd() && Character.digit(pattern.charAt(at), 16) >= 0 && at - from < 8) {
        value = value * 16 + Character.digit(pattern.charAt(at++), 16);
      }
      if (at == from || value < 0 || value > CodePoints.LAST) {
        throw error("\\u{} needs a code point, at most 10ffff");
      }
      expect('}');
      return checked(value);
    }
    int unit = hex(4);
    if (Character.isHighSurrogate((char) unit) && pattern.startsWith("\\u", at)) {
      at += 2;
      int low = hex(4);
      if (!Character.isLowSurrogate((char) low)) {
        throw error("half of a surrogate pair");
      }
      return Character.toCodePoint((char) unit, (char) low);
    }
    return checked(unit);
  }

  private CodePoints property() {
    int from = at;
    String name;
    if (accept('{')) {
      int close = pattern.indexOf('}', at);
      name = close < 0 ? "" : pattern.substring(at, close);
      at = close + 1;
    } else {
      name = isAtEnd() ? "" : Character.toString(next());
    }
    CodePoints set = name.isEmpty() ? null : CharacterClasses.property(name);
    if (set == null) {
      at = from;
      throw error("\\p needs a general category, a script or a property of Unicode's in {}");
    }
    return set;
  }

  private boolean isAtEnd() {
    return at >= pattern.length();
  }

  private int peek() {
    return pattern.charAt(at);
  }

  private int next() {
    int c = pattern.codePointAt(at);
    at += Character.charCount(c);
    return c;
  }

  private boolean accept(char c) {
    boolean is = !isAtEnd() && peek() == c;
    if (is) {
      at++;
    }
    return is;
  }

  private void expect(char c) {
    if (!accept(c)) {
      throw error(c + " is missing");
    }
  }

  private GrammarException error(String what) {
    String shown = pattern.length() > 80 ? pattern.substring(0, 80) + " …" : pattern;
    return new GrammarException(
        "the regular expression %s: %s, at character %d".formatted(shown, what, at + 1));
  }
}
