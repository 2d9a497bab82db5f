package io.verdier.engine.text.template;

import java.time.Clock;
import java.util.List;
import java.util.Map;

/**
 * A parsed Jinja template. Immutable; any number of threads may render it at once.
 *
 * <p>Speaks the Jinja of chat templates: Jinja2 with {@code trim_blocks} and {@code lstrip_blocks},
 * loop controls, no escaping, the immutable sandbox, and what Hugging Face adds ({@code
 * raise_exception}, {@code strftime_now}, {@code generation}, a {@code tojson} that leaves HTML
 * alone). Templates that read other templates are refused.
 */
public final class Template {
  private final List<Node> nodes;

  private Template(List<Node> nodes) {
    this.nodes = nodes;
  }

  /**
   * @throws TemplateException if the text is not a template; time and depth are bounded
   */
  public static Template parse(String source) {
    return new Template(Parser.parse(source));
  }

  /**
   * @param variables names of the template with values as a JSON parser gives them: strings,
   *     numbers, booleans, null, lists and maps
   * @param clock what {@code strftime_now} reads, with its zone
   * @throws TemplateException if the template fails on these values, or raises
   * @throws io.verdier.engine.RejectedException if it passes a limit
   */
  public String render(Map<String, ?> variables, RenderLimits limits, Clock clock) {
    return new Rendering(limits, clock).render(nodes, variables);
  }

  /** How it treats the content of messages. */
  public ContentUse contentUse() {
    return ContentUse.of(nodes);
  }
}
