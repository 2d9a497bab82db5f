package io.verdier.verticles.http.routes;

import io.verdier.engine.RejectedException;
import io.verdier.engine.text.toolcall.CallSpelling;
import io.verdier.engine.text.toolcall.ToolCallFormat;
import io.verdier.verticles.bus.Demand;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonBody;
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
  private static final String VARIABLES = "chat_template_kwargs";

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
    Prompt.Chat prompt = prompt(ingress, fields, tools, exchange.jsonTexts());
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
        fields.bool("echo") && role.equals(last.get("role")) ? ChatMessages.lines(last) : "",
        fields.bool("return_prompt_text"));
  }

  /** The same of a request that calls {@code max_tokens} otherwise. */
  ChatRequest bounded(String lengthField) {
    return new ChatRequest(
        generation.bounded(lengthField), shape, parsing, role, echo, showsPrompt);
  }

  /** Characters of the conversation that its answers repeat. */
  long repeatedChars() {
    return (long) generation.choices() * echo.length();
  }

  /** As vLLM's metrics name the APIs. */
  private static String requestType(String idPrefix) {
    return switch (idPrefix) {
      case ID_PREFIX -> "chat_completions";
      case Responses.ID_PREFIX -> "responses";
      default -> "other";
    };
  }

  /**
   * The conversation of a request that has one, and all that the chat template is given with it.
   */
  static Prompt.Chat prompt(Ingress ingress, Fields fields, ToolFields tools) {
    return prompt(ingress, fields, tools, ingress.json().texts());
  }

  /**
   * @param texts of the whole request
   */
  private static Prompt.Chat prompt(
      Ingress ingress, Fields fields, ToolFields tools, JsonBody.Texts texts) {
    Map<String, @Nullable Object> variables = templateArguments(fields);
    boolean add = either(fields, variables, "add_generation_prompt");
    boolean resume = either(fields, variables, "continue_final_message");
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
        new ChatMessages(texts, ingress.limits().messagesMax()).read(fields);
    return new Prompt.Chat(
        messages,
        tools.shown(ingress.serving().card().parsing()),
        variables,
        add,
        resume,
        fields.as(Body.CHAT).bool("add_special_tokens"),
        template);
  }

  /**
   * What the template is given by name. A field of the request wins over a variable of its name, as
   * in later versions of vLLM (in 0.9 it was the other way round).
   */
  private static Map<String, @Nullable Object> templateArguments(Fields fields) {
    Map<String, @Nullable Object> arguments = new LinkedHashMap<>();
    Fields further = fields.object(VARIABLES);
    if (further != null) {
      objects(further, "tools");
      objects(further, "documents");
      arguments.putAll(further.map());
    }
    List<?> documents = objects(fields, "documents");
    if (documents != null) {
      arguments.put("documents", documents);
    }
    String effort = fields.choice("reasoning_effort");
    if (effort != null) {
      arguments.put("reasoning_effort", effort);
      arguments.putIfAbsent("enable_thinking", !effort.equals("none")); // some know only this
    }
    return arguments;
  }

  private static @Nullable List<?> objects(Fields fields, String name) {
    List<?> objects = fields.list(name);
    for (int i = 0; objects != null && i < objects.size(); i++) {
      if (!(objects.get(i) instanceof Map<?, ?>)) {
        throw Fields.wrongAt(fields.path(name) + "." + i, objects.get(i), "an object");
      }
    }
    return objects;
  }

  /** A switch of the request that it may also set as a variable of the template. */
  private static boolean either(
      Fields fields, Map<String, @Nullable Object> variables, String name) {
    Object variable = variables.remove(name);
    if (fields.has(name) || variable == null) {
      return fields.bool(name);
    }
    if (variable instanceof Boolean bool) {
      return bool;
    }
    throw Fields.wrongAt(fields.path(VARIABLES) + "." + name, variable, "true or false");
  }
}
