package io.verdier.verticles.http.routes;

import io.verdier.engine.RejectedException;
import io.verdier.engine.text.toolcall.CallSpelling;
import io.verdier.engine.text.toolcall.ToolCallFormat;
import io.verdier.verticles.bus.Demand;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.api.Body;
import io.verdier.verticles.observe.ToolReads;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A request for a chat completion, checked. Immutable.
 *
 * @param role who answers
 * @param echo what every answer begins with
 * @param showsPrompt whether the prompt's text is wanted
 */
record ChatRequest(
    Generation generation,
    AnswerShape shape,
    ChatParsing parsing,
    String role,
    String echo,
    boolean showsPrompt) {
  private static final String ID_PREFIX = "chatcmpl-";

  static ChatRequest read(Exchange exchange, Fields fields) {
    return read(exchange, fields, ID_PREFIX);
  }

  /**
   * @param idPrefix of the answer's id
   */
  static ChatRequest read(Exchange exchange, Fields fields, String idPrefix) {
    Ingress ingress = exchange.ingress();
    ingress.serving().checkName(fields.string("model"));
    AnswerShape shape = AnswerShape.read(exchange, fields, idPrefix);
    ToolFields tools = ToolFields.read(ingress, fields);
    Prompt.Chat prompt = prompt(ingress, fields, tools);
    ToolReads reads = ingress.metrics().toolReads(requestType(idPrefix), shape.streamed());
    ChatParsing parsing = ChatParsing.read(ingress, fields, tools, reads);
    Map<String, @Nullable Object> last = prompt.messages().getLast();
    // Who does not begin to speak goes on.
    String role =
        prompt.addGenerationPrompt()
            ? ingress.config().http().responseRole()
            : String.valueOf(last.get("role"));
    Optional<CallSpelling> spelling = parsing.calls().flatMap(ToolCallFormat::spelling);
    if (StrictTools.hasNoEffect(tools, spelling)) {
      exchange.ignored(idPrefix.equals(ID_PREFIX) ? "tools.function.strict" : "tools.strict", true);
    }
    Demand calls = tools.demand(fields, spelling);
    GenerationFields generation = new GenerationFields(ingress, fields);
    return new ChatRequest(
        generation
            .generation(prompt, shape.streamed(), parsing, calls)
            .behind(parsing.thoughts(ingress.config().structuredOutput())),
        shape,
        parsing,
        role,
        fields.bool("echo") && role.equals(last.get("role"))
            ? String.valueOf(last.get("content"))
            : "",
        fields.bool("return_prompt_text"));
  }

  /** As vLLM's metrics name the APIs. */
  private static String requestType(String idPrefix) {
    return switch (idPrefix) {
      case ID_PREFIX -> "chat_completions";
      case Responses.ID_PREFIX -> "responses";
      default -> "other";
    };
  }

  /** The conversation and all that the chat template is given with it. */
  static Prompt.Chat prompt(Ingress ingress, Fields fields, ToolFields tools) {
    boolean add = fields.bool("add_generation_prompt");
    boolean resume = fields.bool("continue_final_message");
    if (add && resume) {
      throw RejectedException.invalid(
          fields.path("continue_final_message"),
          "continue_final_message needs \"add_generation_prompt\": false.");
    }
    String template = fields.string("chat_template");
    if (template != null && !ingress.config().http().trustRequestChatTemplate()) {
      throw fields.unsupported(
          "chat_template", "the server was not started with --trust-request-chat-template.");
    }
    List<Map<String, @Nullable Object>> messages =
        new ChatMessages(ingress.json(), ingress.limits().messagesMax()).read(fields);
    return new Prompt.Chat(
        messages,
        tools.shown(ingress.serving().card().parsing()),
        templateArguments(fields),
        add,
        resume,
        fields.as(Body.CHAT).bool("add_special_tokens"),
        template);
  }

  private static Map<String, @Nullable Object> templateArguments(Fields fields) {
    Map<String, @Nullable Object> arguments = new LinkedHashMap<>();
    List<?> documents = fields.list("documents");
    if (documents != null) {
      for (int i = 0; i < documents.size(); i++) {
        if (!(documents.get(i) instanceof Map<?, ?>)) {
          throw Fields.wrongAt(fields.path("documents") + "." + i, documents.get(i), "an object");
        }
      }
      arguments.put("documents", documents);
    }
    String effort = fields.choice("reasoning_effort");
    if (effort != null) {
      arguments.put("reasoning_effort", effort);
      arguments.put("enable_thinking", !effort.equals("none")); // a template may know only this
    }
    Fields further = fields.object("chat_template_kwargs");
    if (further != null) {
      arguments.putAll(further.map());
    }
    return arguments;
  }
}
