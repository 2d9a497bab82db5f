package io.verdier.conf;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Reads JSON values of flags. No state.
 *
 * <p>A class of its own because loading Jackson takes a tenth of a second that a start without such
 * values need not wait for.
 */
final class Json {
  private static final JsonMapper MAPPER =
      JsonMapper.builder().enable(DeserializationFeature.USE_LONG_FOR_INTS).build();

  private Json() {}

  /** A JSON value, or vLLM's older spelling of small objects, {@code image=1,video=2}. */
  static JsonNode parse(String text, boolean secret) throws BadValueException {
    boolean pairs = text.matches("[A-Za-z_][\\w.-]*=[^{}\\[\\]\"]*");
    return pairs ? parsePairs(text) : read(text, secret);
  }

  private static ObjectNode parsePairs(String text) throws BadValueException {
    ObjectNode object = JsonNodeFactory.instance.objectNode();
    for (String pair : text.split(",")) {
      int equals = pair.indexOf('=');
      if (equals <= 0) {
        throw new BadValueException(
            "'" + Shown.text(text) + "' is neither JSON nor name=value,name=value");
      }
      object.set(pair.substring(0, equals).strip(), jsonOrText(pair.substring(equals + 1).strip()));
    }
    return object;
  }

  /** The entries of a JSON array, each as text. */
  static List<String> items(String text, boolean secret) throws BadValueException {
    List<String> items = new ArrayList<>();
    for (JsonNode item : read(text, secret)) {
      items.add(item.isContainerNode() ? item.toString() : item.asText());
    }
    return items;
  }

  static ObjectNode object() {
    return JsonNodeFactory.instance.objectNode();
  }

  /** A text that is the same for equal values, in whatever order their keys were written. */
  static String sorted(JsonNode value) {
    try {
      return MAPPER
          .writer(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS)
          .writeValueAsString(MAPPER.treeToValue(value, Object.class));
    } catch (JsonProcessingException impossible) {
      throw new IllegalStateException(impossible); // it was parsed, or made, as JSON
    }
  }

  /** A JSON object as decoded requests have them: whole numbers are Long, null stays. */
  static Map<String, @Nullable Object> values(JsonNode object) {
    return MAPPER.convertValue(object, new TypeReference<>() {});
  }

  private static JsonNode read(String text, boolean secret) throws BadValueException {
    try {
      JsonNode node = MAPPER.readTree(text);
      if (!node.isMissingNode()) {
        return node;
      }
    } catch (JsonProcessingException broken) {
      // Jackson's own message quotes its source, which may be secret.
    }
    String what = secret ? "the value" : "'" + Shown.text(text) + "'";
    throw new BadValueException(what + " is not valid JSON");
  }

  /** The JSON value that a text is, or the text itself. */
  static JsonNode jsonOrText(String text) {
    try {
      JsonNode node = MAPPER.readTree(text);
      return node.isMissingNode() ? JsonNodeFactory.instance.textNode(text) : node;
    } catch (JsonProcessingException plainText) {
      return JsonNodeFactory.instance.textNode(text);
    }
  }
}
