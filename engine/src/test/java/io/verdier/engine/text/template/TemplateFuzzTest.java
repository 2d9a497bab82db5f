package io.verdier.engine.text.template;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import io.verdier.engine.RejectedException;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Random templates: whatever they are, the answer is a text, a refusal or a template's error. */
@Timeout(60)
class TemplateFuzzTest {
  private static final RenderLimits LIMITS = new RenderLimits(20_000, 20_000);
  private static final Clock CLOCK = Clock.fixed(Instant.EPOCH, ZoneOffset.UTC);

  private static final List<String> TOKENS =
      List.of(
          "{{",
          "}}",
          "{%",
          "%}",
          "{%-",
          "-%}",
          "{{-",
          "-}}",
          "{#",
          "#}",
          "{%+",
          "+%}",
          " ",
          " ",
          "\n",
          "(",
          ")",
          "[",
          "]",
          "{",
          "}",
          ",",
          ":",
          ".",
          "|",
          "=",
          "~",
          "+",
          "-",
          "*",
          "/",
          "//",
          "%",
          "**",
          "==",
          "!=",
          "<",
          "<=",
          ">",
          ">=",
          "if",
          "elif",
          "else",
          "endif",
          "for",
          "in",
          "endfor",
          "recursive",
          "set",
          "endset",
          "macro",
          "endmacro",
          "call",
          "endcall",
          "filter",
          "endfilter",
          "with",
          "endwith",
          "raw",
          "endraw",
          "generation",
          "endgeneration",
          "break",
          "continue",
          "is",
          "not",
          "and",
          "or",
          "none",
          "true",
          "x",
          "y",
          "m",
          "d",
          "loop",
          "namespace",
          "range",
          "upper",
          "join",
          "map",
          "tojson",
          "defined",
          "'a'",
          "\"b\"",
          "'",
          "\\",
          "0",
          "1",
          "2.5",
          "1e400",
          "99999999999999999999",
          "😀",
          "\u00a0",
          "\ud800",
          "@",
          "'%s'",
          "'{}'",
          "'{:>5}'");

  private static final List<String> ATOMS =
      List.of(
          "x",
          "s",
          "l",
          "d",
          "nope",
          "none",
          "true",
          "0",
          "-1",
          "7",
          "2.5",
          "''",
          "'a,b'",
          "'%s %d'",
          "'{} {:>4}'",
          "[1, 'a', none]",
          "(1, 2)",
          "{'a': 1}",
          "range(3)",
          "loop",
          "namespace(a=1)",
          "1e308",
          "10**20",
          "'\\ud83d'",
          "d.items()",
          "l | map('string')");

  /** Sorted: the tables have an order of their own in every process, which no seed replays. */
  private static final List<String> FILTERS = Filters.TABLE.keySet().stream().sorted().toList();

  private static final List<String> METHODS =
      StringMethods.TABLE.keySet().stream().sorted().toList();

  @Test
  void parse_randomTokens_neverFailsOtherwise() {
    Random random = seeded();
    int parsed = 0;
    for (int i = 0; i < 60_000; i++) {
      StringBuilder source = new StringBuilder(random.nextBoolean() ? "{{ " : "{% ");
      for (int n = random.nextInt(14); n >= 0; n--) {
        source.append(pick(TOKENS, random)).append(random.nextBoolean() ? " " : "");
      }
      parsed += answers(source.append(random.nextBoolean() ? " }}" : " %}").toString()) ? 1 : 0;
    }
    assertThat(parsed).as("templates that rendered").isGreaterThan(100);
  }

  @Test
  void render_randomExpressions_neverFailOtherwise() {
    Random random = seeded();
    int rendered = 0;
    for (int i = 0; i < 40_000; i++) {
      rendered += answers("{{ " + expression(random, 3) + " }}") ? 1 : 0;
    }
    assertThat(rendered).as("templates that rendered").isGreaterThan(1000);
  }

  @Test
  void render_everyFilterTestAndMethodOnEveryValue_neverFailsOtherwise() {
    for (String value : ATOMS) {
      for (String argument : ATOMS) {
        for (String filter : Filters.TABLE.keySet()) {
          answers("{{ " + value + " | " + filter + " }}");
          answers("{{ " + value + " | " + filter + "(" + argument + ") | list }}");
          answers("{{ " + value + " | " + filter + "(" + argument + ", 2, 'x') }}");
        }
        for (String test : Tests.TABLE.keySet()) {
          if (Character.isLetter(test.charAt(0))) {
            answers("{{ " + value + " is " + test + "(" + argument + ") }}");
          }
        }
        for (String method : StringMethods.TABLE.keySet()) {
          answers("{{ 'a b' . " + method + "(" + value + ", " + argument + ") }}");
          answers("{{ " + value + " . " + method + "(" + argument + ") }}");
        }
        for (String function : Globals.TABLE.keySet()) {
          answers("{{ " + function + "(" + value + ", " + argument + ") }}");
        }
        answers("{{ " + value + "[" + argument + "] }}");
        answers("{{ " + value + "[" + argument + ":" + value + "] }}");
        answers("{% for a in " + value + " %}{{ loop.changed(" + argument + ") }}{% endfor %}");
      }
    }
  }

  private static Random seeded() {
    long seed = Long.getLong("seed", 20_251_123L);
    System.out.println("TemplateFuzzTest -Dseed=" + seed);
    return new Random(seed);
  }

  private static String expression(Random random, int depth) {
    if (depth == 0 || random.nextInt(5) == 0) {
      return pick(ATOMS, random);
    }
    String a = expression(random, depth - 1);
    String b = expression(random, depth - 1);
    return switch (random.nextInt(11)) {
      case 0 -> a + " " + pick(List.of("+", "-", "*", "/", "//", "%", "**", "~"), random) + " " + b;
      case 1 ->
          a + " " + pick(List.of("==", "<", ">=", "in", "not in", "and", "or"), random) + " " + b;
      case 2 -> "(" + a + ") | " + pick(FILTERS, random);
      case 3 -> "(" + a + ") | " + pick(FILTERS, random) + "(" + b + ")";
      case 4 -> "(" + a + ")[" + b + "]";
      case 5 -> "(" + a + ")[" + b + ":" + pick(ATOMS, random) + ":" + pick(ATOMS, random) + "]";
      case 6 -> "(" + a + ")." + pick(METHODS, random) + "(" + b + ")";
      case 7 -> "not " + a;
      case 8 -> "(" + a + " if " + b + " else " + pick(ATOMS, random) + ")";
      case 9 -> "-(" + a + ")";
      default -> "[" + a + ", {'k': " + b + "}]";
    };
  }

  private static String pick(List<String> options, Random random) {
    return options.get(random.nextInt(options.size()));
  }

  /** Whether the template rendered; fails on any exception that is no answer. */
  private static boolean answers(String source) {
    Map<String, Object> variables = new HashMap<>();
    variables.put("x", 3);
    variables.put("s", "Hello, Wörld 😀");
    variables.put("l", List.of(3, "b", 1.5));
    variables.put("d", Map.of("a", 1, "b", List.of()));
    try {
      Template template = Template.parse(source);
      template.contentUse();
      template.render(variables, LIMITS, CLOCK);
      return true;
    } catch (TemplateException | RejectedException e) {
      return false;
    } catch (RuntimeException | StackOverflowError e) {
      return fail("not an answer, for: " + source, e);
    }
  }
}
