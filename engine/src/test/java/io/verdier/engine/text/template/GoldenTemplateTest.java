package io.verdier.engine.text.template;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Templates rendered by Jinja2 itself; ours must give the same bytes, or fail where it fails. */
class GoldenTemplateTest {
  private static final RenderLimits LIMITS = new RenderLimits(1_000_000, 1_000_000);
  private static final Clock CLOCK =
      Clock.fixed(Instant.parse("2025-07-26T14:05:09Z"), ZoneOffset.UTC);

  @JsonIgnoreProperties("about")
  record Cases(Map<String, Object> context, List<Case> cases) {}

  /** Exactly one of {@code out} and {@code err} is there. */
  record Case(@Nullable String name, String template, @Nullable String out, @Nullable String err) {}

  @Test
  void render_constructsOfRealTemplates_matchesJinja2() throws IOException {
    assertThat(mismatches("/golden/jinja-cases.json", 123)).isEmpty();
  }

  @Test
  void render_manySmallExpressions_matchesJinja2() throws IOException {
    assertThat(mismatches("/golden/jinja-differential.json", 4000)).isEmpty();
  }

  private static List<String> mismatches(String resource, int atLeast) throws IOException {
    Cases cases;
    try (InputStream stream = GoldenTemplateTest.class.getResourceAsStream(resource)) {
      cases = new ObjectMapper().readValue(stream, Cases.class);
    }
    assertThat(cases.cases()).hasSizeGreaterThanOrEqualTo(atLeast);
    List<String> mismatches = new ArrayList<>();
    for (Case one : cases.cases()) {
      String got = rendered(one.template(), cases.context());
      boolean same = one.out() == null ? got.startsWith("ERR ") : got.equals(one.out());
      if (!same) {
        mismatches.add(one + "\n  but got: " + got);
      }
    }
    return mismatches;
  }

  private static String rendered(String template, Map<String, Object> context) {
    try {
      return Template.parse(template).render(context, LIMITS, CLOCK);
    } catch (TemplateException e) {
      return "ERR " + e.getMessage();
    }
  }
}
