package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Chars;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Repeat;
import io.verdier.engine.grammar.Expression.Sequence;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Reads a regular expression in the syntax of ECMA-262 (section 22.2.1, with the meaning of its
 * {@code u} flag), as JSON Schema's {@code pattern} has it. Owned by its caller.
 *
 * <p>Alternatives, groups of every kind that captures or not, quantifiers (a lazy one matches the
 * same texts), classes, and the escapes of characters and of general categories are taken. What
 * looks around or back ({@code (?=}, {@code \b}, {@code \1}) is refused by name: an automaton does
 * not remember what a group held. {@code ^} and {@code $} are taken where a whole alternative
 * begins and ends.
 */
public final class RegexParser {
  /** Groups in groups; parsing one takes a few frames of the stack. */
  private static final int DEPTH_MAX = 200;

  private static final int COUNT_MAX = 1_000_000_000;

  private static final Expression ANYTHING = Expression.any(new Chars(CodePoints.ALL));

  private final String pattern;
  private final Extent extent;
  private int at;
  private int depth;

  /** What of a text a pattern describes. */
  public enum Extent {
    /** All of it, as in a constraint on an answer. */
    WHOLE,
    /** Some part, as in JSON Schema, unless {@code ^} and {@code $} say otherwise. */
    PART
  }

  private RegexParser(String pattern, Extent extent) {
    this.pattern = pattern;
    this.extent = extent;
  }

  /**
   * The texts that a pattern matches.
   *
   * @throws GrammarException if it is malformed, or needs what is not supported
   */
  public static Expression parse(String pattern, Extent extent) {
    RegexParser parser = new RegexParser(pattern, extent);
    Expression all = parser.alternatives();
    if (parser.at < pattern.length()) {
      throw parser.error("unmatched )");
    }
    return all;
  }

  /** Up to the end or the parenthesis that closes this group. */
  private Expression alternatives() {
    List<Expression> options = new ArrayList<>();
    do {
      options.add(alternative());
    } while (accept('|'));
    return options.size() == 1 ? options.getFirst() : new Choice(options);
  }

  private Expression alternative() {
    List<Expression> parts = new ArrayList<>();
    boolean isOutermost = depth == 0;
    boolean begins = false;
    boolean ends = false;
    while (!isAtEnd() && peek() != '|' && peek() != ')') {
      if (peek() == '^' || peek() == '$') {
        boolean isStart = peek() == '^';
        if (!isOutermost || (isStart && !(parts.isEmpty() && !ends))) {
          throw error("^ and $ are supported only where a whole alternative begins and ends");
        }
        at++;
        begins |= isStart;
        ends |= !isStart;
      } else if (ends) {
        throw error("$ is supported only where an alternative ends");
      } else {
        parts.add(term());
      }
    }
    if (isOutermost && extent == Extent.PART) {
      if (!begins) {
        parts.addFirst(ANYTHING);
      }
      if (!ends) {
        parts.add(ANYTHING);
      }
    }
    return parts.size() == 1 ? parts.getFirst() : new Sequence(parts);
  }

  private Expression term() {
    Expression atom = atom();
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
    if (!accept('{')) {
      return null;
    }
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

  private Expression atom() {
    int c = next();
    return switch (c) {
      case '(' -> group();
      case '[' -> new Chars(bracketed());
      case '.' -> new Chars(CharacterClasses.LINE_END.not());
      case '\\' -> new Chars(escape(false));
      case '*', '+', '?', '{' -> {
        at--;
        throw error("nothing to repeat");
      }
      default -> new Chars(CodePoints.of(checked(c)));
    };
  }

  private int checked(int c) {
    if (c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE) {
      throw error("half of a surrogate pair");
    }
    return c;
  }

  private Expression group() {
    if (accept('?')) {
      if (!accept(':')) {
        skipName();
      }
    }
    if (++depth > DEPTH_MAX) {
      throw error("groups are nested more than " + DEPTH_MAX + " deep");
    }
    Expression all = alternatives();
    depth--;
    expect(')');
    return all;
  }

  private void skipName() {
    if (pattern.startsWith("=", at) || pattern.startsWith("!", at)) {
      throw error("looking ahead is not supported");
    }
    if (pattern.startsWith("<=", at) || pattern.startsWith("<!", at)) {
      throw error("looking behind is not supported");
    }
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
    CodePoints set = CodePoints.union(sets);
    return isNegated ? set.not() : set;
  }

  private CodePoints member() {
    int c = next();
    return c == '\\' ? escape(true) : CodePoints.of(checked(c));
  }

  private CodePoints span(CodePoints first, CodePoints last) {
    boolean areSingle = isSingle(first) && isSingle(last);
    if (!areSingle || first.first(0) > last.first(0)) {
      throw error("a range in [] goes from a character to one that is not below it");
    }
    return CodePoints.range(first.first(0), last.first(0));
  }

  private static boolean isSingle(CodePoints set) {
    return set.ranges() == 1 && set.first(0) == set.last(0);
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
    int close = pattern.indexOf('}', at);
    if (!accept('{') || close < 0) {
      throw error("\\p needs a general category in {}");
    }
    String name = pattern.substring(at, close);
    at = close + 1;
    String value = name.startsWith("gc=") ? name.substring(3) : name;
    CodePoints set = CharacterClasses.category(value);
    if (set == null) {
      throw error(
          "\\p{" + name + "} is not supported: only general categories such as L or Nd are");
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
