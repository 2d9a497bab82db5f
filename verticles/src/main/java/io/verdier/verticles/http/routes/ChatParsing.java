package io.verdier.verticles.http.routes;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.RejectedException;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import io.verdier.engine.text.toolcall.ToolCallFormat;
import io.verdier.engine.text.toolcall.Tools;
import io.verdier.verticles.http.Ingress;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;

/**
 * What is read out of the text of a chat answer. Immutable.
 *
 * @param calls format of tool calls, empty: none are looked for
 * @param parallel whether more than the first call counts
 * @param reasoning format of reasoning, empty: it stays in the text
 * @param showReasoning whether the client wants to see it
 */
record ChatParsing(
    Optional<ToolCallFormat> calls,
    Tools tools,
    boolean parallel,
    Optional<ReasoningFormat> reasoning,
    boolean showReasoning) {
  /** How the embedded model, which needs no flags, was taught to call. */
  private static final ToolCallFormat DEMO_FORMAT = ToolCallFormat.LLAMA3;

  static ChatParsing read(Ingress ingress, Fields fields, ToolFields tools) {
    ServerConfig.Parsing config = ingress.config().parsing();
    boolean auto = tools.choice() == ToolFields.Choice.AUTO;
    Optional<ToolCallFormat> format = config.toolParser().flatMap(ToolCallFormat::of);
    boolean demo = format.isEmpty() && ingress.config().model().source().isEmpty();
    if (demo) {
      format = Optional.of(DEMO_FORMAT);
    }
    if (auto && !demo && (format.isEmpty() || !config.autoToolChoice())) {
      throw RejectedException.invalid(
          fields.path("tool_choice"),
          "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be"
              + " set");
    }
    return new ChatParsing(
        auto ? format : Optional.empty(),
        Tools.of(tools.declared()),
        tools.parallel(),
        config.reasoningParser().flatMap(ReasoningFormat::of),
        fields.bool("include_reasoning", true));
  }

  /** Whether text is all content. */
  boolean isNothing() {
    return calls.isEmpty() && reasoning.isEmpty();
  }

  /** Special tokens that must stay in the text. */
  Set<String> visibleTokens() {
    Set<String> visible = new HashSet<>();
    calls.ifPresent(format -> visible.addAll(format.visibleTokens()));
    reasoning.ifPresent(format -> visible.addAll(format.visibleTokens()));
    return visible;
  }
}
