package io.verdier.verticles.token;

import io.verdier.engine.text.ChatTemplate;
import io.verdier.engine.text.ChatTemplate.Conversation;
import io.verdier.engine.text.ChatTemplate.Ending;
import io.verdier.engine.text.template.RenderLimits;
import io.verdier.verticles.bus.Prompt;
import java.time.Clock;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Conversations as requests give them to prompt texts. Immutable and thread-safe.
 *
 * @param variables of the template, where a request does not set them
 * @param limits what one rendering may cost
 * @param clock what a template that asks for the date sees
 */
public record ChatRenderer(
    ChatTemplate template,
    Map<String, @Nullable Object> variables,
    RenderLimits limits,
    Clock clock) {

  /**
   * @throws io.verdier.engine.RejectedException where the template refuses the conversation, or a
   *     limit is passed
   */
  String render(Prompt.Chat chat) {
    Map<String, Object> extra = variables(chat);
    Object documents = extra.remove("documents");
    Object tools = extra.remove("tools");
    Conversation conversation =
        new Conversation(
            new ArrayList<>(chat.messages()),
            objects(chat.tools() == null ? tools : chat.tools()),
            objects(documents),
            extra,
            ending(chat));
    String own = chat.template();
    ChatTemplate used = own == null ? template : template.withTemplate(own);
    return used.render(conversation, limits, clock);
  }

  /** The request's, and where it has none, or null, the server's. */
  private Map<String, Object> variables(Prompt.Chat chat) {
    Map<String, Object> all = new LinkedHashMap<>(variables);
    chat.templateArguments()
        .forEach(
            (name, value) -> {
              if (value != null || !all.containsKey(name)) {
                all.put(name, value);
              }
            });
    return all;
  }

  private static Ending ending(Prompt.Chat chat) {
    if (chat.continueFinalMessage()) {
      return Ending.OPEN_MESSAGE;
    }
    return chat.addGenerationPrompt() ? Ending.GENERATION_PROMPT : Ending.MESSAGE;
  }

  /** The JSON objects of a list; the HTTP layer has refused anything else. */
  private static List<Map<String, Object>> objects(@Nullable Object list) {
    List<Map<String, Object>> objects = new ArrayList<>();
    if (list instanceof List<?> values) {
      for (Object value : values) {
        if (value instanceof Map<?, ?> object) {
          Map<String, Object> copy = new LinkedHashMap<>();
          object.forEach((key, field) -> copy.put(String.valueOf(key), field));
          objects.add(copy);
        }
      }
    }
    return objects;
  }
}
