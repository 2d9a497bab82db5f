package io.verdier.engine.text.template;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.verdier.engine.text.template.TemplateException.Kind;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

class TemplateTest {
  private static final RenderLimits LIMITS = new RenderLimits(100_000, 100_000);
  private static final Clock CLOCK =
      Clock.fixed(Instant.parse("2025-01-31T23:30:00Z"), ZoneOffset.UTC);

  @Test
  void parse_wrongSource_namesTheLine() {
    TemplateException e = failure("one\ntwo {% if x %}\n{{ 1 + }}");
    assertThat(e.kind()).isEqualTo(Kind.SYNTAX);
    assertThat(e.line()).isEqualTo(3);
    assertThat(e).hasMessageStartingWith("line 3: ");
  }

  @Test
  void render_failure_namesTheLineAndWhatWasMissing() {
    TemplateException e = failure("{% if true %}\n\n{{ x.y }}{% endif %}");
    assertThat(e.kind()).isEqualTo(Kind.RUNTIME);
    assertThat(e.line()).isEqualTo(3);
    assertThat(e.text()).isEqualTo("'x' is undefined");
  }

  @Test
  void render_failureBehindMacro_namesTheCallersLine() {
    TemplateException e = failure("{% macro m() %}\n\na{% endmacro %}\n{{ m() + 1 }}");
    assertThat(e.line()).isEqualTo(4);
  }

  @Test
  void render_raiseException_carriesTheMessage() {
    TemplateException e = failure("{{ raise_exception('Roles must alternate!') }}");
    assertThat(e.kind()).isEqualTo(Kind.RAISED);
    assertThat(e.text()).isEqualTo("Roles must alternate!");
  }

  @Test
  void parse_templatesThatReadOthers_areRefused() {
    for (String tag :
        List.of("include 'x'", "extends 'x'", "import 'x' as y", "from 'x' import y", "block b")) {
      assertThatThrownBy(() -> Template.parse("{% " + tag + " %}"))
          .isInstanceOf(TemplateException.class)
          .hasMessageContaining("not supported");
    }
  }

  @Test
  void render_sandboxEscapes_reachNothing() {
    for (String attempt :
        List.of(
            "''.__class__.__mro__",
            "x.__class__.__bases__",
            "x.getClass()",
            "x.class.forName('java.lang.Runtime')",
            "lipsum.__globals__",
            "self._TemplateReference__context",
            "cycler.__init__.__globals__",
            "namespace.__init__",
            "(x | attr('__class__')).y",
            "'{0.__class__.__mro__}'.format(x)",
            "'{x.__class__.y}'.format_map({'x': x})",
            "d.update({'a': 2})",
            "l.append(1)",
            "l.sort()",
            "d.pop('a')",
            "____int3rpr3t3r____.config",
            "range.__self__.x",
            "raise_exception.__globals__.os")) {
      String template = "{{ " + attempt + " }}";
      String got;
      try {
        got = render(template);
      } catch (TemplateException e) {
        continue;
      }
      assertThat(got).as(template).isIn("", "Undefined");
    }
  }

  @Test
  void render_valuesOfAJsonParser_areTakenAsPythonReadsThem() {
    Map<String, Object> variables =
        Map.of(
            "v",
            List.of(
                1,
                2L,
                (short) 3,
                1.0f,
                0.1,
                new BigInteger("123456789012345678901234567890"),
                new BigDecimal("2.50"),
                true,
                "s",
                Map.of("k", List.of())));
    assertThat(Template.parse("{{ v }}").render(variables, LIMITS, CLOCK))
        .isEqualTo(
            "[1, 2, 3, 1.0, 0.1, 123456789012345678901234567890, 2.5, True, 's', {'k': []}]");
  }

  @Test
  void render_variableOfAnotherKind_isACallersMistake() {
    Template template = Template.parse("{{ x }}");
    assertThatThrownBy(() -> template.render(Map.of("x", new Object()), LIMITS, CLOCK))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void render_strftimeNow_readsTheGivenClockInItsZone() {
    Template template = Template.parse("{{ strftime_now('%d %b %Y %-I %p') }}");
    assertThat(template.render(Map.of(), LIMITS, CLOCK)).isEqualTo("31 Jan 2025 11 PM");
    Clock paris = CLOCK.withZone(ZoneId.of("Europe/Paris"));
    assertThat(template.render(Map.of(), LIMITS, paris)).isEqualTo("01 Feb 2025 12 AM");
  }

  @Test
  void render_variable_hidesTheGlobalOfItsName() {
    assertThat(Template.parse("{{ range }}").render(Map.of("range", 5), LIMITS, CLOCK))
        .isEqualTo("5");
  }

  @Test
  void render_manyThreadsAtOnce_giveTheSameText() {
    Template template =
        Template.parse(
            "{% macro m(x) %}[{{ x }}]{% endmacro %}{% set ns = namespace(n=0) %}"
                + "{% for i in range(50) %}{% set ns.n = ns.n + i %}{{ m(i) }}{% endfor %}{{ ns.n }}");
    String expected = template.render(Map.of(), LIMITS, CLOCK);
    List<CompletableFuture<String>> answers = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      answers.add(CompletableFuture.supplyAsync(() -> template.render(Map.of(), LIMITS, CLOCK)));
    }
    assertThat(answers).allSatisfy(answer -> assertThat(answer.join()).isEqualTo(expected));
  }

  @Test
  void contentUse_idiomsOfRealTemplates_areRecognized() {
    assertThat(use("{% for m in messages %}{{ m['content'] | trim }}{% endfor %}"))
        .isEqualTo(new ContentUse(false, false, false));
    assertThat(use("{{ '[INST]' + message.content }}"))
        .isEqualTo(new ContentUse(false, true, false));
    assertThat(
            use(
                "{% if m.content is string %}{{ m.content }}{% else %}"
                    + "{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}"))
        .isEqualTo(new ContentUse(true, true, false));
    assertThat(
            use("{% for p in m['content'] | selectattr('type', 'equalto', 'text') %}{% endfor %}"))
        .isEqualTo(new ContentUse(true, false, false));
    assertThat(
            use(
                "{% macro r(content) %}{% for c in content %}{{ c.text }}{% endfor %}{% endmacro %}"))
        .isEqualTo(new ContentUse(true, false, false));
    assertThat(use("{% if m.content is not none %}{% endif %}"))
        .isEqualTo(new ContentUse(false, false, true));
    assertThat(use("{% set calls = m.content %}{% for c in calls %}{% endfor %}"))
        .isEqualTo(new ContentUse(false, false, false));
  }

  private static ContentUse use(String source) {
    return Template.parse(source).contentUse();
  }

  private static String render(String source) {
    return Template.parse(source)
        .render(Map.of("x", 1, "l", List.of(1), "d", Map.of("a", 1)), LIMITS, CLOCK);
  }

  private static TemplateException failure(String source) {
    TemplateException failure =
        catchThrowableOfType(
            TemplateException.class, () -> Template.parse(source).render(Map.of(), LIMITS, CLOCK));
    assertThat(failure).as(source).isNotNull();
    return failure;
  }
}
