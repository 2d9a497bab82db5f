package io.verdier.verticles.http.routes;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.RejectedException;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import io.verdier.engine.text.toolcall.ToolCallFormat;
import io.verdier.engine.text.toolcall.Tools;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.observe.ToolReads;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;

/**
 * What is read out of the text of a chat answer. Immutable.
 *
 * @param calls format of tool calls, empty: none are looked for
 * @param parallel whether more than the first call counts
 * @param shortIds whether calls are named by nine characters
 * @param endsByCalling whether the finish reason tells calls; as in vLLM it does not where the
 *     request itself has named the function
 * @param reasoning format of reasoning, empty: it stays in the text, or there is none because the
 *     whole answer is held to be a call
 * @param thoughtTokensMax most tokens of reasoning; {@link TextParams#UNBOUNDED}: any number
 * @param showReasoning whether the client wants to see it
 * @param reads hears of each answer that was read for calls
 */
record ChatParsing(
    Optional<ToolCallFormat> calls,
    Tools tools,
    boolean parallel,
    boolean shortIds,
    boolean endsByCalling,
    Optional<ReasoningFormat> reasoning,
    int thoughtTokensMax,
    boolean showReasoning,
    ToolReads reads) {
  static final String BUDGET = "thinking_token_budget";

  static ChatParsing read(Ingress ingress, Fields fields, ToolFields tools, ToolReads reads) {
    ServerConfig.Parsing config = ingress.serving().card().parsing();
    boolean auto = tools.choice() == ToolFields.Choice.AUTO;
    Optional<ToolCallFormat> format = config.toolParser().flatMap(ToolCallFormat::of);
    if (auto && (format.isEmpty() || !config.autoToolChoice())) {
      throw RejectedException.invalid(
          fields.path("tool_choice"),
          "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be"
              + " set");
    }
    boolean shortIds = format.map(ToolCallFormat::hasShortIds).orElse(false);
    boolean called =
        tools.choice() == ToolFields.Choice.REQUIRED || tools.choice() == ToolFields.Choice.NAMED;
    Optional<ReasoningFormat> reasoning = config.reasoningParser().flatMap(ReasoningFormat::of);
    boolean thinks = !called || !ingress.config().structuredOutput().holdsThoughts();
    return new ChatParsing(
        switch (tools.choice()) {
          case NONE -> Optional.empty();
          case AUTO -> format;
          case REQUIRED -> Optional.of(ToolCallFormat.LIST);
          case NAMED -> Optional.of(ToolCallFormat.ARGUMENTS);
        },
        Tools.of(tools.callable()),
        tools.parallel(),
        shortIds,
        tools.choice() != ToolFields.Choice.NAMED,
        thinks ? reasoning : Optional.empty(),
        thoughtTokensMax(fields, reasoning),
        fields.bool("include_reasoning"),
        reads);
  }

  /** What the request's budget says. */
  static int thoughtTokensMax(Fields fields, Optional<ReasoningFormat> reasoning) {
    int most = fields.integer(BUDGET);
    if (most >= 0 && reasoning.isEmpty()) {
      throw fields.unsupported(
          BUDGET,
          "nobody can tell what is reasoning: the server was not started with --reasoning-parser.");
    }
    return most < 0 ? TextParams.UNBOUNDED : most;
  }

  /** What comes before an answer that is held to something. */
  Optional<ReasoningFormat> thoughts(ServerConfig.StructuredOutput config) {
    return config.holdsThoughts() ? Optional.empty() : reasoning;
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
