package io.verdier.conf;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * How conversations become prompts. Immutable.
 *
 * @param template Jinja source, a file with it or the name of one of the model's own templates;
 *     empty: the model's
 * @param contentFormat how templates are given what is said; empty: as each of them is seen to take
 *     it
 * @param variables of the template, decoded JSON, where requests do not set them
 */
public record ChatConfig(
    Optional<String> template,
    Optional<ContentFormat> contentFormat,
    Map<String, @Nullable Object> variables) {
  /** The shape of a message's content. */
  public enum ContentFormat {
    /** A string; the texts of parts are its lines. */
    STRING,
    /** A list of parts, as in the OpenAI API. */
    OPENAI
  }

  public ChatConfig {
    variables = Collections.unmodifiableMap(new LinkedHashMap<>(variables)); // may hold null
  }
}
