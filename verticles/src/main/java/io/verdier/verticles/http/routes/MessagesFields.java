package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.api.ApiTable;
import io.verdier.verticles.http.api.Body;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Reads a request of the Messages API as the chat request that asks the same. Owned by the event
 * loop.
 *
 * <p>Why by way of the chat's own fields: then template, parsers, grammar and sampling values are
 * those of the chat route, and the same question gives the same tokens on both. What the chat calls
 * by another name is checked here, so that a refusal names the field that the client has sent.
 */
record MessagesFields(Fields fields) {
  /** Fields that mean the same in both, those of this route's own aside. */
  private static final List<String> SHARED =
      ApiTable.shared(
          Body.MESSAGES,
          Body.CHAT,
          Set.of("messages", "tools", "tool_choice", "chat_template_kwargs"));

  private static final String KWARGS = "chat_template_kwargs";

  /**
   * The whole request.
   *
   * @param tellsReasoning whether the server can tell what is reasoning; else a bound of it is only
   *     read, for clients send one whenever they ask for thinking
   */
  Fields chat(boolean tellsReasoning) {
    fields.required("max_tokens");
    fields.given("max_tokens", Integer.MAX_VALUE);
    Map<String, @Nullable Object> chat = new LinkedHashMap<>(prompt().map());
    List<?> stops = fields.list("stop_sequences");
    if (stops != null && !stops.isEmpty()) {
      for (int i = 0; i < stops.size(); i++) {
        if (!(stops.get(i) instanceof String text) || text.isEmpty()) {
          throw Fields.wrongAt("stop_sequences." + i, stops.get(i), "a string that is not empty");
        }
      }
      chat.put("stop", stops);
    }
    output(chat);
    Fields thinking = fields.object("thinking");
    int most = thinking == null ? 0 : thinking.integer("budget_tokens", 0);
    if (most > 0 && tellsReasoning) {
      chat.putIfAbsent(ChatParsing.BUDGET, (long) most);
    }
    return Fields.of(chat, Body.CHAT);
  }

  /** What the prompt is made of. */
  Fields prompt() {
    Map<String, @Nullable Object> chat = new LinkedHashMap<>();
    for (String name : SHARED) {
      if (fields.has(name)) {
        chat.put(name, fields.value(name));
      }
    }
    if (fields.has(KWARGS)) {
      chat.put(KWARGS, fields.value(KWARGS));
    }
    List<Object> messages = messages();
    chat.put("messages", messages);
    if (isPrefilled(messages.getLast())) {
      chat.put("add_generation_prompt", false);
      chat.put("continue_final_message", true);
    }
    tools(chat);
    thinking(chat);
    return Fields.of(chat, Body.CHAT);
  }

  private List<Object> messages() {
    List<Object> messages = new ArrayList<>();
    if (fields.has("system")) {
      Object system = ChatMessages.content(fields, "system", fields.value("system"));
      messages.add(message("system", system));
    }
    List<?> given = fields.list("messages");
    if (given == null || given.isEmpty()) {
      throw fields.wrong("messages", "a list of at least one message");
    }
    for (int i = 0; i < given.size(); i++) {
      Fields message = fields.element("messages", i, given.get(i));
      switch (message.string("role")) {
        case "user" -> user(message, messages);
        case "assistant" -> messages.add(assistant(message));
        case "system" -> messages.add(message("system", systemContent(message)));
        case null, default -> throw message.wrong("role", "user, assistant or system");
      }
    }
    return messages;
  }

  private static Object systemContent(Fields message) {
    return ChatMessages.content(message, "content", message.value("content"));
  }

  private static Map<String, @Nullable Object> message(String role, @Nullable Object content) {
    Map<String, @Nullable Object> message = new LinkedHashMap<>();
    message.put("role", role);
    message.put("content", content);
    return message;
  }

  /** Results of tools are messages of their own in a chat; order is kept. */
  private static void user(Fields message, List<Object> messages) {
    if (!(message.value("content") instanceof List<?>)) {
      messages.add(message("user", content(message)));
      return;
    }
    List<String> texts = new ArrayList<>();
    for (Fields block : blocks(message)) {
      if ("tool_result".equals(block.string("type"))) {
        addTexts(texts, messages);
        messages.add(toolResult(block));
      } else {
        texts.add(text(block));
      }
    }
    addTexts(texts, messages);
  }

  private static void addTexts(List<String> texts, List<Object> messages) {
    if (!texts.isEmpty()) {
      messages.add(message("user", ChatMessages.content(texts)));
      texts.clear();
    }
  }

  private static Object content(Fields message) {
    String content = message.string("content");
    if (content == null) {
      throw message.wrong("content", "a string or a list of blocks");
    }
    return content;
  }

  private static List<Fields> blocks(Fields message) {
    List<?> given = message.list("content");
    List<Fields> blocks = new ArrayList<>();
    for (Object block : given == null ? List.of() : given) {
      blocks.add(message.element("content", blocks.size(), block));
    }
    if (blocks.isEmpty()) {
      throw message.wrong("content", "a string or a list of at least one block");
    }
    return blocks;
  }

  private static String text(Fields block) {
    if (!"text".equals(block.string("type"))) {
      throw block.unsupported(
          "type",
          "the model being served takes text only; images, documents and other blocks are not"
              + " supported.");
    }
    String text = block.string("text");
    if (text == null) {
      throw block.wrong("text", "a string");
    }
    return text;
  }

  private static Map<String, @Nullable Object> toolResult(Fields block) {
    Object content = block.value("content");
    Map<String, @Nullable Object> message =
        message("tool", content == null ? "" : ChatMessages.content(block, "content", content));
    String id = block.string("tool_use_id");
    if (id == null) {
      throw block.wrong("tool_use_id", "a string");
    }
    message.put("tool_call_id", id);
    return message;
  }

  private static Map<String, @Nullable Object> assistant(Fields message) {
    if (!(message.value("content") instanceof List<?>)) {
      return message("assistant", content(message));
    }
    List<String> texts = new ArrayList<>();
    StringBuilder reasoning = new StringBuilder();
    List<Object> calls = new ArrayList<>();
    for (Fields block : blocks(message)) {
      switch (block.string("type")) {
        case "thinking" -> {
          String thinking = block.string("thinking");
          reasoning.append(thinking == null ? "" : thinking);
        }
        case "redacted_thinking" -> {} // nobody here can read it
        case "tool_use" -> calls.add(call(block));
        case null, default -> texts.add(text(block));
      }
    }
    Map<String, @Nullable Object> chat = message("assistant", ChatMessages.content(texts));
    if (!reasoning.isEmpty()) {
      chat.put("reasoning_content", reasoning.toString());
    }
    if (!calls.isEmpty()) {
      chat.put("tool_calls", calls);
    }
    return chat;
  }

  private static Object call(Fields block) {
    String id = block.string("id");
    String name = block.string("name");
    Fields input = block.object("input");
    if (id == null || name == null) {
      throw block.wrong(id == null ? "id" : "name", "a string");
    }
    if (input == null) {
      throw block.wrong("input", "an object");
    }
    return Map.of(
        "id", id, "type", "function", "function", Map.of("name", name, "arguments", input.map()));
  }

  /** As the API promises, a last message of the assistant is the beginning of the answer. */
  private static boolean isPrefilled(Object last) {
    return last instanceof Map<?, ?> message
        && "assistant".equals(message.get("role"))
        && !message.containsKey("tool_calls");
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
    Fields choice = fields.object("tool_choice");
    if (choice == null) {
      return;
    }
    chat.put("parallel_tool_calls", !choice.bool("disable_parallel_tool_use"));
    switch (choice.string("type")) {
      case "auto" -> {
        if (!tools.isEmpty()) {
          chat.put("tool_choice", "auto");
        }
      }
      case "none" -> chat.put("tool_choice", "none");
      case "any" -> chat.put("tool_choice", "required");
      case "tool" -> {
        String name = choice.string("name");
        if (name == null) {
          throw choice.wrong("name", "the name of a tool");
        }
        chat.put("tool_choice", Map.of("type", "function", "function", Map.of("name", name)));
      }
      case null, default -> throw choice.wrong("type", "auto, any, tool or none");
    }
  }

  private static Object tool(Fields tool) {
    String type = tool.string("type");
    if (type != null && !type.equals("custom")) {
      throw tool.unsupportedValue(
          "type", "this server runs no tools, only your own can be declared.");
    }
    String name = tool.string("name");
    Fields schema = tool.object("input_schema");
    if (name == null) {
      throw tool.wrong("name", "a string");
    }
    if (schema == null) {
      throw tool.wrong("input_schema", "a JSON schema");
    }
    Map<String, @Nullable Object> function = new LinkedHashMap<>();
    function.put("name", name);
    String description = tool.string("description");
    if (description != null) {
      function.put("description", description);
    }
    function.put("parameters", schema.map());
    if (tool.has("strict")) {
      function.put("strict", tool.bool("strict"));
    }
    return ToolFields.declaration(function);
  }

  /**
   * Models have no common switch; these two names are those that templates look for. A request that
   * says nothing leaves it to the model, as on the chat route.
   */
  private void thinking(Map<String, @Nullable Object> chat) {
    Fields output = fields.object("output_config");
    String effort = output == null ? null : output.choice("effort");
    if (effort != null) {
      chat.put("reasoning_effort", effort);
    }
    Fields thinking = fields.object("thinking");
    if (thinking == null) {
      return;
    }
    boolean on =
        switch (thinking.string("type")) {
          case "enabled", "adaptive" -> true;
          case "disabled" -> false;
          case null, default -> throw thinking.wrong("type", "enabled, adaptive or disabled");
        };
    Map<String, @Nullable Object> kwargs = new LinkedHashMap<>();
    kwargs.put("enable_thinking", on);
    kwargs.put("thinking", on);
    Fields given = fields.object(KWARGS);
    if (given != null) {
      kwargs.putAll(given.map());
    }
    chat.put(KWARGS, kwargs);
  }

  private void output(Map<String, @Nullable Object> chat) {
    Fields output = fields.object("output_config");
    Fields format = output == null ? null : output.object("format");
    if (format == null) {
      return;
    }
    Fields schema = format.object("schema");
    if (!"json_schema".equals(format.string("type")) || schema == null) {
      throw format.wrong("type", "json_schema, with a schema");
    }
    chat.put(
        "response_format",
        Map.of("type", "json_schema", "json_schema", Map.of("schema", schema.map())));
  }
}
