package io.verdier.engine.text.template;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.RejectedException;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Hostile templates: each must end soon, with an answer, on a small stack. */
@Timeout(60)
class TemplateLimitsTest {
  private static final RenderLimits LIMITS = new RenderLimits(1_000_000, 1_000_000);

  /** Half of what a thread gets by default. */
  private static final int STACK_BYTES = 512 * 1024;

  private static final Duration ONE_MAX = Duration.ofSeconds(5);

  @Test
  void render_loopsWithoutEnd_stopAtTheStepLimit() {
    assertThatThrownBy(
            () ->
                render(
                    "{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}"
                        + "{% endfor %}"))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("1000000")
        .hasMessageContaining("templateSteps");
  }

  @Test
  void render_hugeText_stopsAtTheOutputLimit() {
    assertThatThrownBy(() -> render("{{ 'a' * 10 ** 9 }}"))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("templateCharsMax");
  }

  @Test
  void render_withinLimits_isServed() {
    assertThat(render("{{ 'a' * 1000000 }}")).hasSize(1_000_000);
    assertThatThrownBy(() -> render("{{ 'a' * 1000000 }}a")).isInstanceOf(RejectedException.class);
  }

  @Test
  void render_bombs_endSoonWithAnAnswer() throws Exception {
    for (String bomb : bombs()) {
      assertEnds(bomb);
    }
  }

  @Test
  void parse_deepOrLongSource_endsSoonWithAnAnswer() throws Exception {
    for (String source : deep(20_000)) {
      assertEnds(source);
    }
    for (String source : deep(100)) {
      assertEnds(source);
    }
  }

  @Test
  void parse_hugeSource_takesLinearTime() throws Exception {
    for (String unit :
        List.of(
            "{{ x }}",
            "{% if x %}a{% endif %}",
            "{#",
            "{",
            "}",
            "  \n  {%- set a = 1 %}",
            "{% raw",
            "{{ '",
            "{% raw %}{% endraw",
            "x\n",
            "   ",
            "{{ 1_",
            "{{ a.b(c)[d] | e }}",
            "\r",
            "\\")) {
      assertEnds(unit.repeat(100_000));
    }
  }

  private static List<String> bombs() {
    List<String> bombs = new ArrayList<>();
    bombs.add("{{ range(10 ** 9) }}");
    bombs.add("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}");
    bombs.add("{% set l = [] %}{% for i in range(99999) %}{{ l.append(i) }}{% endfor %}");
    bombs.add("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
    bombs.add(
        "{% macro m(x) %}{% if true %}{% for i in [1] %}{{ m(x) | trim }}{% endfor %}{% endif %}"
            + "{% endmacro %}{{ m(1) }}");
    bombs.add(
        "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{% call a() %}{% endcall %}"
            + "{% endmacro %}{{ a() }}");
    bombs.add(
        "{% macro m() %}{% set x %}{% filter upper %}{% generation %}{% with a = m() %}"
            + "{% endwith %}{% endgeneration %}{% endfilter %}{% endset %}{% endmacro %}{{ m() }}");
    bombs.add("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}");
    bombs.add("{% macro m(a=m()) %}{% endmacro %}{{ m() }}");
    for (int times : List.of(40, 180, 90_000)) {
      growing(bombs, times);
    }
    bombs.add("{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}");
    bombs.add("{{ 'a' | indent(10 ** 9, true) }}");
    bombs.add("{{ ('a\n' * 10000) | indent(10000) }}");
    bombs.add("{{ '%1000000000d' % 1 }}");
    bombs.add("{{ '%.1000000000f' % 1.5 }}");
    bombs.add("{{ '%.900000f' % 1.5 }}{{ '%.900000e' % 1e300 }}{{ '%.900000g' % 1e-300 }}");
    bombs.add("{{ '{:1000000000}'.format(1) }}");
    bombs.add("{{ '{:0900000,}'.format(1) }}");
    bombs.add("{{ '{:{}}'.format('x', 10 ** 30) }}");
    bombs.add("{{ 10 ** 10 ** 10 }}{{ 2 ** 10000000000 }}{{ 7 ** (2 ** 62) }}");
    bombs.add("{{ (10 ** 4000) * (10 ** 4000) * (10 ** 4000) * (10 ** 4000) * (10 ** 4000) }}");
    bombs.add("{{ 'a'.ljust(10 ** 9) }}{{ 'a'.zfill(10 ** 9) }}{{ '\t'.expandtabs(10 ** 9) }}");
    bombs.add("{{ ('a' * 500000 ~ 'b') in 'a' * 999999 }}");
    bombs.add("{% for i in range(9999) %}{{ ('a' * 5000 ~ 'b') in 'a' * 99999 }}{% endfor %}");
    bombs.add("{{ ('a' * 900000).split('a' * 40) | length }}{{ ('a' * 900000).count('a' * 99) }}");
    bombs.add("{{ ('a' * 900000).rsplit('a' * 40, 99999) | length }}");
    bombs.add("{{ ('ab' * 400000).strip('a' * 100000 ~ 'b' ) }}");
    bombs.add("{{ ' ' * 900000 ~ 'x' ~ ' ' * 90000 }}{{ (' ' * 900000) | trim }}");
    bombs.add("{% for i in range(99999) %}{{ ('x' * 900000)[1:][::-1] | length }}{% endfor %}");
    bombs.add(
        "{% for i in range(99999) %}{{ ('x' * 900000) | upper | title | wordcount }}{% endfor %}");
    bombs.add("{% for i in range(99999) %}{{ range(99999) | sort | length }}{% endfor %}");
    bombs.add("{{ range(99999) | batch(10 ** 9, 'x') | list }}");
    bombs.add("{{ [1] | slice(10 ** 9) | list }}");
    bombs.add("{{ range(99999) | map('string') | join(', ') | length }}");
    bombs.add("{{ 'x' | center(10 ** 9) }}");
    bombs.add("{{ [range(99999)] * 99999 }}");
    bombs.add("{% for i in range(99999) %}{{ strftime_now('%c' * 99999) }}{% endfor %}");
    bombs.add("{{ raise_exception('a' * 999999) }}");
    bombs.add("{{ ('<' * 900000) | e | e | e }}{{ ('<a' * 300000) | striptags }}");
    bombs.add("{{ '{' * 99999 }}{{ ('{:' * 99999).format(1) }}{{ ('{a' * 99999).format(1) }}");
    bombs.add(
        "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = ns.x + [i] %}"
            + "{% if ns.x | unique | list | length > 99999 %}{% endif %}{% endfor %}");
    return bombs;
  }

  private static void growing(List<String> bombs, int times) {
    bombs.add(grow("'ab'", "ns.x | replace('a', ns.x)", times));
    bombs.add(grow("'ab'", "ns.x ~ ns.x", times));
    bombs.add(grow("'ab'", "ns.x + ns.x", times));
    bombs.add(grow("[1]", "ns.x + ns.x", times));
    bombs.add(grow("[1]", "[ns.x, ns.x]", times) + "{{ ns.x }}");
    bombs.add(grow("[1]", "[ns.x, ns.x]", times) + "{{ ns.x | tojson }}");
    bombs.add(grow("[1]", "[ns.x, ns.x]", times) + "{{ ns.x == [ns.x] }}");
    bombs.add(grow("[1]", "[ns.x, ns.x]", times) + "{{ ns.x < [ns.x] }}");
    bombs.add(grow("(1,)", "(ns.x, ns.x)", times) + "{{ {ns.x: 1} }}");
    bombs.add(grow("{}", "{'a': ns.x}", times) + "{{ ns.x | tojson(indent=1000) }}");
    bombs.add(grow("2", "ns.x * ns.x", times));
    bombs.add(grow("2.0", "ns.x ** 2", times));
  }

  private static String grow(String start, String step, int times) {
    return "{% set ns = namespace(x="
        + start
        + ") %}{% for i in range("
        + times
        + ") %}{% set ns.x = "
        + step
        + " %}{% endfor %}";
  }

  /** Sources that nest or chain something this many times. */
  private static List<String> deep(int times) {
    return List.of(
        "{{ " + "(".repeat(times) + "1" + ")".repeat(times) + " }}",
        "{{ " + "[".repeat(times) + "]".repeat(times) + " }}",
        "{{ " + "{'a':".repeat(times) + "1" + "}".repeat(times) + " }}",
        "{{ " + "not ".repeat(times) + "1 }}",
        "{{ " + "- ".repeat(times) + "1 }}",
        "{{ " + "f(".repeat(times) + ")".repeat(times) + " }}",
        "{{ " + "x[".repeat(times) + "1" + "]".repeat(times) + " }}",
        "{{ x" + "[1]".repeat(times) + " }}",
        "{{ x" + ".a".repeat(times) + " }}",
        "{{ x" + "()".repeat(times) + " }}",
        "{{ x" + "|trim".repeat(times) + " }}",
        "{{ x" + "|d(x".repeat(times) + ")".repeat(times) + " }}",
        "{{ x" + " is none == x".repeat(times) + " }}",
        "{{ 1" + " + 1".repeat(times) + " }}",
        "{{ 1" + " ** 1".repeat(times) + " }}",
        "{{ 1" + " ~ 1".repeat(times) + " }}",
        "{{ 1" + " < 2".repeat(times) + " }}",
        "{{ 0" + " or 0".repeat(times) + " }}",
        "{{ 1" + " and 1".repeat(times) + " }}",
        "{{ 1" + " if 1".repeat(times) + " }}",
        "{{ 1" + " if 0 else 1".repeat(times) + " }}",
        "{{ 1" + " if x if y else z".repeat(times) + " }}",
        "{{ x is" + " divisibleby x is".repeat(times) + " odd }}",
        "{% set " + "(".repeat(times) + "a" + ")".repeat(times) + " = 1 %}",
        "{% if x %}".repeat(times) + "{% endif %}".repeat(times),
        "{% for x in y %}".repeat(times) + "{% endfor %}".repeat(times),
        "{% if x %}" + "{% elif x %}".repeat(times) + "{% endif %}",
        "{% macro x() %}".repeat(times) + "{% endmacro %}".repeat(times),
        "{% with %}".repeat(times) + "{% endwith %}".repeat(times),
        "{% macro m() %}{{ 1"
            + " + 1".repeat(times)
            + " }}{% endmacro %}{{ {m: 1} }}{{ m is sameas(m) }}{{ [m] | unique | list }}",
        "{{ 'a' " + "'b' ".repeat(times) + " }}");
  }

  /** Any answer will do: a text, a refusal, an error of the template. */
  private static void assertEnds(String source) throws Exception {
    CompletableFuture<String> answer = new CompletableFuture<>();
    Thread thread =
        new Thread(
            null,
            () -> {
              try {
                answer.complete("ok " + render(source).length());
              } catch (TemplateException | RejectedException e) {
                answer.complete(String.valueOf(e.getMessage()));
              } catch (Throwable e) {
                answer.completeExceptionally(e);
              }
            },
            "template",
            STACK_BYTES);
    thread.setDaemon(true);
    thread.start();
    String shown = source.substring(0, Math.min(120, source.length()));
    assertThat(answer).as(shown).succeedsWithin(ONE_MAX.toSeconds(), TimeUnit.SECONDS);
  }

  private static String render(String source) {
    Template template = Template.parse(source);
    template.contentUse();
    return template.render(Map.of("y", List.of(1)), LIMITS, Clock.systemUTC());
  }
}
