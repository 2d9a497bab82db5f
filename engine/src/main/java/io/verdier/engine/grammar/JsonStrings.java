package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Automaton;
import io.verdier.engine.grammar.Expression.Both;
import io.verdier.engine.grammar.Expression.Call;
import io.verdier.engine.grammar.Expression.Chars;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Counted;
import io.verdier.engine.grammar.Expression.Except;
import io.verdier.engine.grammar.Expression.Literal;
import io.verdier.engine.grammar.Expression.Repeat;
import io.verdier.engine.grammar.Expression.Sequence;
import io.verdier.engine.grammar.Expression.Special;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * How JSON spells strings (RFC 8259, section 7). Owned by the compiling thread: what large classes
 * of characters become is remembered, for a schema that has one often has it again.
 *
 * <p>A character may have several spellings, but a spelling has one character; so a set of values
 * turns into the set of their spellings part by part, and what two sets share, or what one leaves
 * out, is the same before and behind. A pair of {@code \\u} escapes that is a surrogate pair is one
 * character; half of one is none.
 *
 * <p>Where a schema says more of a string than nothing, a character of ASCII that needs no escape
 * has none, save {@code \/}: no serialiser writes others, and automata stay half as large.
 */
final class JsonStrings {
  private static final String NAMED = "\"\\/\b\f\n\r\t";
  private static final String NAMES = "\"\\/bfnrt";

  private static final CodePoints PLAIN =
      CodePoints.range(0x20, CodePoints.LAST).without(CodePoints.of("\"\\"));

  /** What may be written as {@code \\uXXXX} besides. */
  private static final CodePoints ESCAPED =
      CodePoints.range(0, 0x1f).or(CodePoints.range(0x7f, CodePoints.LAST));

  private static final CodePoints ASCII_LITERAL =
      CodePoints.range(0x20, 0x7e).without(CodePoints.of("\"\\/"));

  /** Any character, in any spelling. */
  private static final Expression CHARACTER = character(CodePoints.ALL, CodePoints.ALL);

  /** Any value, in the spellings of which others are told. */
  private static final Expression VALUES = Expression.any(character(CodePoints.ALL, ESCAPED));

  private static final int PART_BYTES = 40;

  /** Of the spellings of one range of a set. */
  private static final int RANGE_BYTES = 600;

  private final Budget budget;
  private final Map<CodePoints, Expression> known = new HashMap<>(); // spellings by the set

  JsonStrings(Budget budget) {
    this.budget = budget;
  }

  /** Strings of so many characters, in quotes. */
  static Expression ofLength(int min, int max) {
    return quoted(new Repeat(CHARACTER, min, max));
  }

  /** Strings of these values, in quotes. */
  Expression of(Expression values) {
    return quoted(spelled(values));
  }

  /** Strings of these values that have so many characters, in quotes. */
  Expression of(Expression values, int min, int max) {
    return quoted(new Counted(spelled(values), min, max));
  }

  /** The automaton of what stands between quotes: it accepts between two characters. */
  static ByteDfa characters(Budget budget) {
    return ByteDfa.of(NfaBuilder.build(VALUES, budget, CallSymbols.none()), budget);
  }

  /** A string of one value, in quotes. */
  Expression of(String value) {
    if (value.codePoints().allMatch(ASCII_LITERAL::contains)) {
      return new Literal('"' + value + '"');
    }
    return of(Expression.text(value));
  }

  private static Expression quoted(Expression content) {
    return Expression.sequence(Expression.text("\""), content, Expression.text("\""));
  }

  private Expression spelled(Expression values) {
    return switch (values) {
      case Chars chars -> spelled(chars.set());
      case Literal literal -> spelled(literal.text());
      case Sequence sequence -> new Sequence(all(sequence.parts()));
      case Choice choice -> new Choice(all(choice.options()));
      case Repeat repeat -> new Repeat(spelled(repeat.part()), repeat.min(), repeat.max());
      case Both both -> new Both(spelled(both.first()), spelled(both.second()));
      case Except except -> new Both(VALUES, new Except(spelled(except.part())));
      case Counted counted -> throw new IllegalStateException("a count within a string");
      case Call call -> throw new IllegalStateException("a call within a string");
      case Special special -> throw new IllegalStateException("a token within a string");
      case Automaton automaton -> throw new IllegalStateException("an automaton within a string");
    };
  }

  private List<Expression> all(List<Expression> parts) {
    budget.hold(PART_BYTES * (1L + parts.size()));
    return parts.stream().map(this::spelled).toList();
  }

  private Expression spelled(String text) {
    if (text.codePoints().allMatch(ASCII_LITERAL::contains)) {
      return Expression.text(text);
    }
    budget.hold((long) PART_BYTES * text.length());
    return new Sequence(text.codePoints().mapToObj(c -> spelled(CodePoints.of(c))).toList());
  }

  private Expression spelled(CodePoints set) {
    Expression done = known.get(set);
    if (done == null) {
      budget.hold((long) RANGE_BYTES * (1 + set.and(ESCAPED).ranges()));
      done = character(set, ESCAPED);
      known.put(set, done);
    }
    return done;
  }

  /**
   * One character of a set.
   *
   * @param escaped those that may also be written as {@code \\uXXXX}
   */
  private static Expression character(CodePoints set, CodePoints escaped) {
    List<Expression> options = new ArrayList<>();
    CodePoints plain = set.and(PLAIN);
    if (!plain.isEmpty()) {
      options.add(new Chars(plain));
    }
    StringBuilder names = new StringBuilder();
    for (int i = 0; i < NAMED.length(); i++) {
      if (set.contains(NAMED.charAt(i))) {
        names.append(NAMES.charAt(i));
      }
    }
    if (!names.isEmpty()) {
      options.add(
          Expression.sequence(Expression.text("\\"), new Chars(CodePoints.of(names.toString()))));
    }
    CodePoints units = set.and(escaped);
    for (int i = 0; i < units.ranges(); i++) {
      addEscapes(units.first(i), units.last(i), options);
    }
    return options.size() == 1 ? options.getFirst() : new Choice(options);
  }

  private static void addEscapes(int first, int last, List<Expression> options) {
    int unitLast = Math.min(last, 0xffff);
    if (first <= unitLast) {
      options.add(unit(first, unitLast));
    }
    int from = Math.max(first, 0x10000) - 0x10000;
    int to = last - 0x10000;
    while (from <= to) { // by pairs of which both halves vary independently
      int end = to;
      if ((from & 0x3ff) != 0 || (from | 0x3ff) > to) {
        end = Math.min(to, from | 0x3ff);
      } else if ((to & 0x3ff) != 0x3ff) {
        end = (to & ~0x3ff) - 1;
      }
      Expression high =
          unit(
              Character.MIN_HIGH_SURROGATE + (from >> 10),
              Character.MIN_HIGH_SURROGATE + (end >> 10));
      Expression low =
          unit(
              Character.MIN_LOW_SURROGATE + (from & 0x3ff),
              Character.MIN_LOW_SURROGATE + (end & 0x3ff));
      options.add(Expression.sequence(high, low));
      from = end + 1;
    }
  }

  /** An escape of four digits. */
  private static Expression unit(int first, int last) {
    List<Expression> options = new ArrayList<>();
    addDigits(first, last, options);
    return Expression.sequence(Expression.text("\\u"), new Choice(options));
  }

  /** Cuts a range until every digit varies independently of the others. */
  private static void addDigits(int first, int last, List<Expression> options) {
    for (int mask = 0xf; mask < 0xffff; mask = mask << 4 | 0xf) {
      if ((first & ~mask) != (last & ~mask)) {
        if ((first & mask) != 0) {
          addDigits(first, first | mask, options);
          addDigits((first | mask) + 1, last, options);
          return;
        }
        if ((last & mask) != mask) {
          addDigits(first, (last & ~mask) - 1, options);
          addDigits(last & ~mask, last, options);
          return;
        }
      }
    }
    List<Expression> digits = new ArrayList<>();
    for (int shift = 12; shift >= 0; shift -= 4) {
      digits.add(new Chars(digit((first >> shift) & 0xf, (last >> shift) & 0xf)));
    }
    options.add(new Sequence(digits));
  }

  private static CodePoints digit(int first, int last) {
    List<CodePoints> sets = new ArrayList<>();
    for (int digit = first; digit <= last; digit++) {
      char lower = Character.forDigit(digit, 16);
      sets.add(CodePoints.of(lower));
      sets.add(CodePoints.of(Character.toUpperCase(lower)));
    }
    return CodePoints.union(sets);
  }
}
