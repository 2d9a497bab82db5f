package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.grammar.RegexParser.Extent;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Regular expressions, against {@link Pattern} where both mean the same. */
class RegexTest {
  private static final long SEED = Long.getLong("seed", 11);
  private static final int PATTERNS = 3000;
  private static final int TEXTS = 30;

  private static boolean matches(StateSpace space, String text) {
    @Nullable GrammarState state = space.start();
    for (byte value : text.getBytes(StandardCharsets.UTF_8)) {
      state = state == null ? null : space.next(state, value & 0xff);
    }
    return state != null && state.mayEnd();
  }

  private static StateSpace compile(String pattern, Extent extent) {
    return new StateSpace(Grammar.of(RegexParser.parse(pattern, extent), Budget.defaults()));
  }

  private static boolean isWhole(String pattern, String text) {
    return matches(compile(pattern, Extent.WHOLE), text);
  }

  @Test
  void parse_randomPatterns_matchWhatJavaMatches() {
    Random random = new Random(SEED);
    int matching = 0;
    for (int i = 0; i < PATTERNS; i++) {
      String pattern = pattern(random, 2);
      StateSpace space = compile(pattern, Extent.WHOLE);
      Pattern java = java(pattern);
      for (int j = 0; j < TEXTS; j++) {
        String text = j % 3 == 0 ? text(random) : sample(space, random);
        if (text.length() > 20) {
          continue; // Java's way of matching may take years
        }
        boolean expected = java.matcher(text).matches();
        matching += expected ? 1 : 0;
        assertThat(matches(space, text))
            .as("seed %d: %s on '%s'", SEED, pattern, text)
            .isEqualTo(expected);
      }
    }
    assertThat(matching).isGreaterThan(PATTERNS * TEXTS / 4);
  }

  @Test
  void parse_partOfAText_matchesWhatJavaFinds() {
    Random random = new Random(SEED);
    int refused = 0;
    for (int i = 0; i < PATTERNS / 4; i++) {
      String pattern =
          (random.nextInt(3) == 0 ? "^" : "")
              + pattern(random, 2).replace("|", "")
              + (random.nextInt(3) == 0 ? "$" : "");
      StateSpace space;
      try {
        space = compile(pattern, Extent.PART);
      } catch (GrammarException tooLarge) {
        refused++;
        continue;
      }
      Pattern java = java(pattern.endsWith("$") ? pattern.replace("$", "\\z") : pattern);
      for (int j = 0; j < TEXTS; j++) {
        String text = text(random);
        assertThat(matches(space, text))
            .as("seed %d: %s in '%s'", SEED, pattern, text)
            .isEqualTo(java.matcher(text).find());
      }
    }
    assertThat(refused).isLessThan(PATTERNS / 400);
  }

  @Test
  void parse_anchorsInGroups_matchWhatJavaFinds() {
    Random random = new Random(SEED);
    for (int i = 0; i < PATTERNS / 4; i++) {
      String pattern = anchored(random) + (random.nextBoolean() ? "|" + anchored(random) : "");
      StateSpace space = compile(pattern, Extent.PART);
      Pattern java = java(pattern.replace("$", "\\z"));
      for (int j = 0; j < TEXTS; j++) {
        String text = text(random);
        assertThat(matches(space, text))
            .as("seed %d: %s in '%s'", SEED, pattern, text)
            .isEqualTo(java.matcher(text).find());
      }
    }
  }

  private static String anchored(Random random) {
    String first = random.nextBoolean() ? "(^a|b)" : "(?:a|^(?:b|é))";
    String last = random.nextBoolean() ? "(d$|A)" : "(1|2$|$)";
    String middle = random.nextBoolean() ? "[^A-Z]" : "";
    return switch (random.nextInt(4)) {
      case 0 -> first + middle;
      case 1 -> middle + last;
      case 2 -> "(" + first + "|" + last + ")";
      default -> first + middle + last;
    };
  }

  /** Java's full stop also leaves U+0085 out. */
  private static Pattern java(String pattern) {
    return Pattern.compile(pattern.replace("\\.", "\\x2e").replace(".", "[^\n\r\u2028\u2029]"));
  }

  private static final String[] ATOMS = {
    "a",
    "b",
    "ab",
    "é",
    "日",
    "😀",
    ".",
    "\\d",
    "\\w",
    "[ab]",
    "[^a]",
    "[a-dé-日]",
    "[^\\d日]",
    "\\.",
    "\\x41",
    "\\u65e5",
    "[😀-😎]"
  };

  /** Java and ECMA-262 agree on these. */
  private static String pattern(Random random, int depth) {
    int parts = 1 + random.nextInt(3);
    StringBuilder pattern = new StringBuilder();
    for (int i = 0; i < parts; i++) {
      String atom =
          depth > 0 && random.nextInt(3) == 0
              ? "(" + (random.nextBoolean() ? "?:" : "") + pattern(random, depth - 1) + ")"
              : ATOMS[random.nextInt(ATOMS.length)];
      boolean isOne = atom.startsWith("(") || !atom.equals("ab");
      pattern.append(isOne ? atom : "(?:" + atom + ")");
      switch (random.nextInt(8)) {
        case 0 -> pattern.append('*');
        case 1 -> pattern.append("+?");
        case 2 -> pattern.append('?');
        case 3 -> pattern.append("{2}");
        case 4 -> pattern.append("{1,3}");
        case 5 -> pattern.append("{2,}");
        default -> {}
      }
      if (i + 1 < parts && random.nextInt(5) == 0) {
        pattern.append('|');
      }
    }
    return pattern.toString();
  }

  private static String text(Random random) {
    String letters = "aabbcdA1.2é日😀😄 \n";
    StringBuilder text = new StringBuilder();
    for (int i = random.nextInt(6); i > 0; i--) {
      int at =
          letters.offsetByCodePoints(
              0, random.nextInt(letters.codePointCount(0, letters.length())));
      text.appendCodePoint(letters.codePointAt(at));
    }
    return text.toString();
  }

  /** A text on whose way the automaton is, byte for byte at random, and that mostly matches. */
  private static String sample(StateSpace space, Random random) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    GrammarState state = space.start();
    while (bytes.size() < 60 // some ends are hard to find
        && !(state.mayEnd() && (state.mustEnd() || bytes.size() > 8 || random.nextInt(4) == 0))) {
      int value = random.nextInt(256);
      @Nullable GrammarState next = space.next(state, value);
      for (int tries = 0; next == null; tries++) {
        if (tries == 256) {
          throw new AssertionError("dead end after " + bytes);
        }
        value = (value + 1) % 256;
        next = space.next(state, value);
      }
      bytes.write(value);
      state = next;
    }
    return bytes.toString(StandardCharsets.UTF_8);
  }

  @ParameterizedTest
  @CsvSource({
    "\\cA, '\u0001', true",
    "[\\b], '\b', true",
    "a|, '', true",
    "(?<name>x)y, xy, true",
    "\\u{1F600}, 😀, true",
    "\\ud83d\\ude00, 😀, true",
    "\\p{Lu}\\p{L}*, Éa, true",
    "\\p{Lu}, a, false",
    "\\P{L}, 1, true",
    "a{0}, '', true",
    "[^], x, true",
    "a]b}, 'a]b}', true",
    "., '\u2028', false",
    "\\s, '\ufeff', true",
    "^abc$, abc, true",
    "\\Aabc\\z, abc, true",
    "^(?:ab|c)$|^d$, d, true",
    "(^$)|(^a+$), aa, true",
    "(^ab|(?:^c|d))e$, ce, true",
    "a*?b+?c??, aab, true",
    "(?P<year>\\d{4})-x, 2026-x, true",
    "(?i)select, SeLeCt, true",
    "(?i)[^a], A, false",
    "a(?i:b)c, aBc, true",
    "a(?i:b)c, aBC, false",
    "a(?:(?i)b|c)d, aCd, true",
    "(?i)straße, STRASSE, false",
    "(?i)é, É, true",
    "(?s)., '\n', true",
    "(?s-i:.)., 'x\n', false",
    "\\p{Script=Greek}+, αβγ, true",
    "\\p{Greek}+, abc, false",
    "\\p{Alphabetic}, 1, false",
    "\\p{Letter}\\pN, é5, true",
    "\\p{White_Space}, '\u00a0', true",
    "\\p{White_Space}, '\u001c', false",
    "'{\"a\": \\d{1,2}}', '{\"a\": 12}', true"
  })
  void parse_syntaxOfEcma_isRead(String pattern, String text, boolean expected) {
    assertThat(isWhole(pattern, text)).isEqualTo(expected);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "(",
        ")",
        "(a",
        "a)",
        "[a",
        "*a",
        "a**",
        "a{2",
        "a{,2}",
        "a{3,2}",
        "\\",
        "\\1",
        "\\k<a>",
        "\\b",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?<!a)",
        "(?x)a",
        "(?i",
        "(?i)*",
        "(?>a)b",
        "a^b",
        "a$b",
        "(^a)*",
        "a(^b)",
        "(a$)b",
        "(^)+a",
        "(?m)^a$",
        "[[:alpha:]]",
        "\\p",
        "\\p{}",
        "\\p{L",
        "\\p{scx=Greek}",
        "[b-a]",
        "\\p{Klingon}",
        "\\u{110000}",
        "\\ud800",
        "\\x4",
        "\\q",
        "a{2}{3}",
        "[\\d-x]",
        "[\\d-\\w",
        "(?<a",
        "[]"
      })
  void parse_malformedOrUnsupported_saysWhatAndWhere(String pattern) {
    assertThatThrownBy(() -> compile(pattern, Extent.WHOLE))
        .isInstanceOf(GrammarException.class)
        .hasMessageMatching("(?s).*(at character \\d+|no text can match the constraint)");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "(a+)+b",
        "(a|aa)*b",
        "(.*a){12}",
        "(.*a){25}",
        "x{1,1000}{1,1000}",
        "(x{1,1000}){1,1000}",
        "[\\u0000-\\u{10ffff}]{1,65535}",
        "(a?){40}a{40}",
        "((((a*)*)*)*)*b",
        "(.*a.*){200}",
        "(a|b|c|d){1,500}x",
        "(\\w{1,1000}\\d){1000}",
        ".{1000000000}",
        "(.{0,1000}a){0,1000}"
      })
  void compile_bomb_endsSoonWithAnAutomatonOrASentence(String pattern) {
    long start = System.nanoTime();
    try {
      StateSpace space = compile(pattern, Extent.WHOLE);
      @Nullable GrammarState state = space.start();
      for (int i = 0; i < 2000 && state != null; i++) {
        state = space.next(state, 'a');
      }
    } catch (GrammarException expected) {
      assertThat(expected).hasMessageNotContaining("null");
    }
    assertThat(System.nanoTime() - start).isLessThan(2_500_000_000L);
  }

  @Test
  void compile_deeplyNestedGroups_isRefused() {
    String pattern = "(".repeat(30_000) + "a" + ")".repeat(30_000);
    assertThatThrownBy(() -> compile(pattern, Extent.WHOLE))
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining("nested");
  }

  @Test
  void compile_longRepetition_isCounted() {
    StateSpace space = compile("\"[^\"]{3,5000}\"", Extent.WHOLE);
    assertThat(space.grammar().states()).isLessThan(40);
    assertThat(matches(space, '"' + "é".repeat(5000) + '"')).isTrue();
    assertThat(matches(space, '"' + "é".repeat(5001) + '"')).isFalse();
    assertThat(matches(space, "\"éé\"")).isFalse();
    assertThat(matches(compile("(ab){700,}", Extent.WHOLE), "ab".repeat(900))).isTrue();
    assertThat(matches(compile("(ab){700,}", Extent.WHOLE), "ab".repeat(699))).isFalse();
  }
}
