package io.verdier.verticles.bus;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What to complete, before tokenization. A closed choice. Immutable (decoded JSON inside must not
 * be changed).
 */
public sealed interface Prompt {

  /**
   * A conversation for the chat template.
   *
   * @param messages decoded JSON objects, role and content checked
   * @param tools decoded JSON objects, null when none were declared
   * @param templateArguments further variables of the template ({@code chat_template_kwargs},
   *     {@code documents})
   * @param template used in place of the model's own, null: the model's
   */
  record Chat(
      List<Map<String, @Nullable Object>> messages,
      @Nullable List<Object> tools,
      Map<String, @Nullable Object> templateArguments,
      boolean addGenerationPrompt,
      boolean continueFinalMessage,
      boolean addSpecialTokens,
      @Nullable String template)
      implements Prompt {}

  /** Plain text. */
  record Text(String text, boolean addSpecialTokens) implements Prompt {}

  /** Two texts that the model is to look at together, framed by its tokenizer. */
  record Pair(String first, String second) implements Prompt {}

  /** Token ids as they are. */
  record Tokens(int[] ids) implements Prompt {}
}
