package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.grammar.RegexParser.Extent;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Supplier;
import org.apache.lucene.util.automaton.Automata;
import org.apache.lucene.util.automaton.Automaton;
import org.apache.lucene.util.automaton.ByteRunAutomaton;
import org.apache.lucene.util.automaton.Operations;
import org.apache.lucene.util.automaton.RegExp;
import org.apache.lucene.util.automaton.UTF32ToUTF8;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * Automata against Lucene's: not on some texts but as languages, by walking through both at once
 * until no pair of states is new.
 */
class LuceneAutomataTest {
  private static final long SEED = Long.getLong("seed", 17);
  private static final int PATTERNS = 300;
  private static final int WORK_MAX = 10_000_000; // of determinizing
  private static final Budget.Limits LIMITS =
      new Budget.Limits(3000, 10_000_000, Long.MAX_VALUE, 64L << 20);
  private static final int DEAD = -1;

  /**
   * Bytes that are UTF-8, by the table of RFC 3629, section 4. Lucene takes for granted that they
   * are, and lets other bytes be ranges too.
   */
  private static final Automaton UTF_8 =
      Operations.repeat(
          Operations.union(
              List.of(
                  bytes(0x00, 0x7f),
                  bytes(0xc2, 0xdf, 0x80, 0xbf),
                  bytes(0xe0, 0xe0, 0xa0, 0xbf, 0x80, 0xbf),
                  bytes(0xe1, 0xec, 0x80, 0xbf, 0x80, 0xbf),
                  bytes(0xed, 0xed, 0x80, 0x9f, 0x80, 0xbf),
                  bytes(0xee, 0xef, 0x80, 0xbf, 0x80, 0xbf),
                  bytes(0xf0, 0xf0, 0x90, 0xbf, 0x80, 0xbf, 0x80, 0xbf),
                  bytes(0xf1, 0xf3, 0x80, 0xbf, 0x80, 0xbf, 0x80, 0xbf),
                  bytes(0xf4, 0xf4, 0x80, 0x8f, 0x80, 0xbf, 0x80, 0xbf))));

  /** Pairs of the first and the last byte of each range. */
  private static Automaton bytes(int... bounds) {
    List<Automaton> ranges = new ArrayList<>();
    for (int i = 0; i < bounds.length; i += 2) {
      ranges.add(Automata.makeCharRange(bounds[i], bounds[i + 1]));
    }
    return Operations.concatenate(ranges);
  }

  private static final String[] ATOMS = {
    "a", "b", "é", "日", "😀", ".", "[ab]", "[^a]", "[a-dé-日]", "[^b日-😀]", "\\.", "\\d", "\\w"
  };

  private static String pattern(Random random, int depth) {
    int parts = 1 + random.nextInt(3);
    StringBuilder pattern = new StringBuilder();
    for (int i = 0; i < parts; i++) {
      pattern.append(
          depth > 0 && random.nextInt(3) == 0
              ? "(" + pattern(random, depth - 1) + ")"
              : ATOMS[random.nextInt(ATOMS.length)]);
      switch (random.nextInt(8)) {
        case 0 -> pattern.append('*');
        case 1 -> pattern.append('+');
        case 2 -> pattern.append('?');
        case 3 -> pattern.append("{2}");
        case 4 -> pattern.append("{1,3}");
        case 5 -> pattern.append("{2,}");
        default -> {}
      }
      pattern.append(i + 1 < parts && random.nextInt(5) == 0 ? "|" : "");
    }
    return pattern.toString();
  }

  private static Expression ours(String pattern) {
    return RegexParser.parse(
        "(?s)" + pattern, Extent.WHOLE); // Lucene's full stop is every character
  }

  private static Automaton lucenes(String pattern) {
    return determinized(new RegExp(pattern, RegExp.NONE).toAutomaton());
  }

  private static Automaton determinized(Automaton automaton) {
    return Operations.determinize(automaton, WORK_MAX);
  }

  private static Automaton complement(Automaton automaton) {
    return Operations.complement(automaton, WORK_MAX);
  }

  /** Whether both match the same texts. */
  private static void compare(String what, Expression expression, Supplier<Automaton> lucene) {
    @Nullable StateSpace space = null;
    try {
      space = new StateSpace(Grammar.of(expression, new Budget(LIMITS, () -> 0)));
    } catch (GrammarException e) {
      if (String.valueOf(e.getMessage()).contains("states")) {
        return; // a pattern may take exponentially many, at random too
      }
      assertThat(e).hasMessageContaining("no text can match");
    }
    Automaton bytes = Operations.intersection(new UTF32ToUTF8().convert(lucene.get()), UTF_8);
    Automaton texts = Operations.removeDeadStates(determinized(bytes));
    if (space == null || Operations.isEmpty(texts)) {
      assertThat(space == null).as("seed %d: %s", SEED, what).isEqualTo(Operations.isEmpty(texts));
      return;
    }
    walk(what, space, new ByteRunAutomaton(texts, true));
  }

  private static void walk(String what, StateSpace space, ByteRunAutomaton lucene) {
    record Pair(GrammarState ours, int lucenes) {}
    Pair start = new Pair(space.start(), 0);
    Map<Pair, String> known = new HashMap<>(Map.of(start, "")); // a way there, in hexadecimal
    ArrayDeque<Pair> waiting = new ArrayDeque<>(List.of(start));
    while (!waiting.isEmpty()) {
      Pair pair = waiting.remove();
      String way = known.getOrDefault(pair, "");
      if (pair.ours.mayEnd() != lucene.isAccept(pair.lucenes)) {
        throw different(what, way, pair.ours.mayEnd());
      }
      for (int value = 0; value < 256; value++) {
        @Nullable GrammarState ours = space.next(pair.ours, value);
        int theirs = lucene.step(pair.lucenes, value);
        if ((ours == null) != (theirs == DEAD)) {
          throw different(what, "%s %02x".formatted(way, value), ours != null);
        }
        if (ours != null) {
          Pair next = new Pair(ours, theirs);
          if (known.putIfAbsent(next, "%s %02x".formatted(way, value)) == null) {
            waiting.add(next);
          }
        }
      }
    }
  }

  private static AssertionError different(String what, String way, boolean ours) {
    return new AssertionError(
        "seed %d: %s on%s: ours %b, Lucene's %b".formatted(SEED, what, way, ours, !ours));
  }

  @Test
  void parse_randomPatterns_areLucenesLanguages() {
    Random random = new Random(SEED);
    for (int i = 0; i < PATTERNS; i++) {
      String pattern = pattern(random, 2);
      compare(pattern, ours(pattern), () -> lucenes(pattern));
    }
  }

  @Test
  void bothAndExcept_randomPatterns_areLucenesLanguages() {
    Random random = new Random(SEED);
    for (int i = 0; i < PATTERNS / 3; i++) {
      String some = pattern(random, 1);
      String other = pattern(random, 1);
      Expression both = new Expression.Both(ours(some), ours(other));
      compare(
          some + " & " + other, both, () -> Operations.intersection(lucenes(some), lucenes(other)));
      compare("not " + some, new Expression.Except(ours(some)), () -> complement(lucenes(some)));
      Expression minus = new Expression.Both(ours(some), new Expression.Except(ours(other)));
      compare(
          some + " - " + other,
          minus,
          () -> Operations.intersection(lucenes(some), complement(lucenes(other))));
    }
  }

  @Test
  void freeText_randomStops_areLucenesLanguages() {
    Random random = new Random(SEED);
    for (int i = 0; i < PATTERNS / 6; i++) {
      List<String> stops = List.of(word(random), word(random), word(random));
      String any = "(" + String.join("|", stops) + ")";
      Automaton without = complement(lucenes(".*" + any + ".*"));
      compare("without " + stops, FreeText.without(stops), () -> without);
      Automaton first =
          Operations.intersection(
              lucenes(".*" + stops.getFirst()), complement(lucenes(".*" + any + ".+")));
      compare("up to " + stops, FreeText.upTo(stops.getFirst(), stops), () -> determinized(first));
    }
  }

  private static String word(Random random) {
    StringBuilder word = new StringBuilder();
    for (int i = 1 + random.nextInt(4); i > 0; i--) {
      word.append(new String[] {"a", "b", "é"}[random.nextInt(3)]);
    }
    return word.toString();
  }
}
