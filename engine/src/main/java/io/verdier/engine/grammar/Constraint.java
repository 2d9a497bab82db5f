package io.verdier.engine.grammar;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What an answer must match, as a client said it. Immutable plain data: equal constraints compile
 * to equal grammars, so that a constraint can be the key of a cache and can go to another node.
 */
public sealed interface Constraint {

  /** Any JSON object. */
  record JsonObject(JsonStyle style) implements Constraint {}

  /**
   * A JSON value that a schema describes.
   *
   * @param schema JSON text: an object, {@code true} or {@code false}
   */
  record JsonSchema(String schema, JsonStyle style) implements Constraint {}

  /**
   * A text that a regular expression matches as a whole.
   *
   * @param pattern see {@link RegexParser}
   */
  record Regex(String pattern) implements Constraint {}

  /** One of several texts. */
  record Choice(List<String> options) implements Constraint {
    public Choice {
      options = List.copyOf(options);
    }
  }

  /**
   * A text of a context-free language.
   *
   * @param text its rules, in GBNF, EBNF or Lark's notation
   */
  record Rules(String text) implements Constraint {}

  /**
   * Free text in which some tags, once begun, go on as they must.
   *
   * @param tag JSON text, in vLLM's notation
   * @param specials special tokens of the vocabulary: where one's spelling is in the beginning or
   *     the end of a tag, or in a trigger, the token may stand for it
   */
  record StructuralTag(String tag, JsonStyle style, List<String> specials) implements Constraint {
    public StructuralTag {
      specials = List.copyOf(specials);
    }

    /** Of text alone. */
    public StructuralTag(String tag, JsonStyle style) {
      this(tag, style, List.of());
    }
  }

  /**
   * How JSON is laid out, where a schema leaves it open.
   *
   * @param isCompact no space but one behind each comma and colon
   * @param whitespace pattern of what may stand between tokens, in place of the usual; null: usual
   * @param isClosed objects have no properties beyond those named, unless the schema allows them
   *     explicitly
   */
  record JsonStyle(boolean isCompact, @Nullable String whitespace, boolean isClosed) {
    /** As vLLM's default: any sensible space, further properties where the schema has them. */
    public static final JsonStyle USUAL = new JsonStyle(false, null, false);
  }
}
