package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.api.ApiTable;
import io.verdier.verticles.http.api.Body;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Reads a request of the Responses API as the chat request that asks the same, for the reason that
 * {@link MessagesFields} gives. Owned by the event loop.
 */
record ResponsesFields(Fields fields) {
  static final String LENGTH = "max_output_tokens";

  private static final String LOGPROBS = "message.output_text.logprobs";

  /** Fields that mean the same in both, those of this route's own aside. */
  private static final List<String> SHARED =
      ApiTable.shared(
          Body.RESPONSES,
          Body.CHAT,
          Set.of("tools", "tool_choice", "store", "metadata", "top_logprobs"));

  /** What {@code include} may ask for, of OpenAI and of vLLM. */
  private static final List<String> INCLUDABLE =
      List.of(
          LOGPROBS,
          "reasoning.encrypted_content",
          "message.input_image.image_url",
          "file_search_call.results",
          "web_search_call.results",
          "web_search_call.action.sources",
          "code_interpreter_call.outputs",
          "computer_call_output.output.image_url");

  /** Refuses what nobody can mean, and names what is never there: its field has no effect then. */
  static void checkIncluded(Exchange exchange, Fields fields) {
    List<?> included = fields.list("include");
    for (Object part : included == null ? List.of() : included) {
      if (!(part instanceof String) || !INCLUDABLE.contains(part)) {
        throw fields.wrong("include", "a list of " + String.join(", ", INCLUDABLE));
      }
      if (!part.equals(LOGPROBS)) {
        exchange.ignored("include", true);
      }
    }
  }

  /**
   * @param history the conversation so far, without what this request says
   * @param turn what this request says
   */
  Fields chat(
      List<Map<String, @Nullable Object>> history, List<Map<String, @Nullable Object>> turn) {
    Map<String, @Nullable Object> chat = new LinkedHashMap<>();
    for (String name : SHARED) {
      if (fields.has(name)) {
        chat.put(name, fields.value(name));
      }
    }
    List<Object> messages = new ArrayList<>();
    String instructions = fields.string("instructions");
    if (instructions != null) {
      messages.add(ResponsesInput.message("system", instructions));
    }
    messages.addAll(history);
    messages.addAll(turn);
    chat.put("messages", messages);
    int tokens = fields.integer(LENGTH, 0);
    if (tokens > 0) {
      chat.put("max_tokens", (long) tokens);
    }
    logprobs(chat);
    truncation(chat);
    tools(chat);
    format(chat);
    Fields reasoning = fields.object("reasoning");
    String effort = reasoning == null ? null : reasoning.choice("effort");
    if (effort != null) {
      chat.put("reasoning_effort", effort);
    }
    return Fields.of(chat, Body.CHAT);
  }

  /** How many to show says nothing of whether to: that is asked for apart. */
  private void logprobs(Map<String, @Nullable Object> chat) {
    int top = fields.integer("top_logprobs");
    List<?> included = fields.list("include");
    if (included != null && included.contains(LOGPROBS)) {
      chat.put("logprobs", true);
      chat.put("top_logprobs", (long) top);
    }
  }

  private void truncation(Map<String, @Nullable Object> chat) {
    if (fields.word("truncation").equals("auto")) {
      chat.put("truncate_prompt_tokens", -1L);
    }
  }

  private void tools(Map<String, @Nullable Object> chat) {
    List<?> given = fields.list("tools");
    List<Object> tools = new ArrayList<>();
    for (Object tool : given == null ? List.of() : given) {
      tools.add(tool(fields.element("tools", tools.size(), tool)));
    }
    if (!tools.isEmpty()) {
      chat.put("tools", tools);
    }
    Object choice = fields.value("tool_choice");
    if (choice instanceof String && (!tools.isEmpty() || !choice.equals("auto"))) {
      chat.put("tool_choice", choice);
    } else if (choice != null && !(choice instanceof String)) {
      Fields named = Objects.requireNonNull(fields.object("tool_choice"));
      String name = named.string("name");
      if (!"function".equals(named.string("type")) || name == null) {
        throw named.wrong("type", "function, with a name");
      }
      chat.put("tool_choice", Map.of("type", "function", "function", Map.of("name", name)));
    }
  }

  private static Object tool(Fields tool) {
    if (!"function".equals(tool.string("type"))) {
      throw tool.unsupportedValue(
          "type", "this server runs no tools, only functions can be declared.");
    }
    if (tool.string("name") == null) {
      throw tool.wrong("name", "a string");
    }
    Map<String, @Nullable Object> function = new LinkedHashMap<>();
    for (String name : List.of("name", "description", "parameters", "strict")) {
      if (tool.has(name)) {
        function.put(name, tool.value(name));
      }
    }
    return ToolFields.declaration(function);
  }

  /** The format of the chat has its schema one level deeper. */
  private void format(Map<String, @Nullable Object> chat) {
    Fields text = fields.object("text");
    Fields format = text == null ? null : text.object("format");
    if (format == null) {
      return;
    }
    String type = format.string("type");
    if (!"json_schema".equals(type)) {
      chat.put("response_format", format.map());
      return;
    }
    Map<String, @Nullable Object> schema = new LinkedHashMap<>(format.map());
    schema.remove("type");
    Map<String, @Nullable Object> chats = new LinkedHashMap<>();
    chats.put("type", type);
    chats.put("json_schema", schema);
    chat.put("response_format", chats);
  }
}
