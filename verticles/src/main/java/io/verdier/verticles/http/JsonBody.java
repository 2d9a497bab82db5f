package io.verdier.verticles.http;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import io.verdier.conf.Limits;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Immutable. Reads a request body: one JSON object in strict UTF-8, into maps, lists, strings,
 * {@code Long}, {@code BigInteger}, {@code Double} and {@code Boolean}.
 *
 * <p>Stricter than RFC 8259 asks, because a proxy in front may read loose input another way:
 * repeated keys, trailing text, byte order marks, unpaired surrogates and numbers without a finite
 * value are refused. Depth, number of values and length of numbers are bounded before anything
 * proportional to them is built. The parser is recursive; {@code jsonDepthMax} bounds its stack.
 */
public final class JsonBody {
  private static final int NUMBER_CHARS_MAX = 64;
  private static final int STRING_CHARS_MAX = 16 << 20;
  private static final int NAME_CHARS_MAX = 1024;

  private final Limits limits;
  private final JsonFactory factory;

  public JsonBody(Limits limits) {
    this.limits = limits;
    StreamReadConstraints constraints =
        StreamReadConstraints.builder()
            .maxNestingDepth(limits.jsonDepthMax())
            .maxNumberLength(NUMBER_CHARS_MAX)
            .maxNameLength(NAME_CHARS_MAX)
            .maxStringLength((int) Math.min(limits.bodyBytesMax(), STRING_CHARS_MAX))
            .build();
    // Names come from outside: a table of them that lives on would be theirs to fill.
    this.factory =
        JsonFactory.builder()
            .streamReadConstraints(constraints)
            .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
            .build();
  }

  /**
   * @throws RejectedException if the bytes are not one JSON object within the limits
   */
  public Map<String, @Nullable Object> parse(byte[] utf8) {
    if (parseAny(decode(utf8)) instanceof Map<?, ?> map) {
      @SuppressWarnings("unchecked") // built below, with names as keys
      Map<String, @Nullable Object> object = (Map<String, @Nullable Object>) map;
      return object;
    }
    throw invalid("The request body must be a JSON object.");
  }

  /**
   * Any one JSON value, under the same limits.
   *
   * @throws RejectedException if the text is not one JSON value within the limits
   */
  public @Nullable Object parseAny(String text) {
    return parse(text, new Nodes(limits.jsonNodesMax()));
  }

  /** For the texts of one request that are JSON themselves. */
  public Texts texts() {
    return new Texts();
  }

  /**
   * Owned by one event loop: reads the texts of one request that are JSON themselves. All of them
   * together may have as many values as a body, for each of them is one value there.
   */
  public final class Texts {
    private final Nodes nodes = new Nodes(limits.jsonNodesMax());

    private Texts() {}

    /**
     * @throws RejectedException if the text is not one JSON value within the limits
     */
    public @Nullable Object parse(String text) {
      return JsonBody.this.parse(text, nodes);
    }

    /** Whether they have too many values together. */
    public boolean areTooMany() {
      return nodes.areTooMany();
    }
  }

  private @Nullable Object parse(String text, Nodes nodes) {
    try (JsonParser parser = factory.createParser(text)) {
      if (parser.nextToken() == null) {
        throw invalid("The request body is empty; it must be a JSON object.");
      }
      Object value = new Reading(parser, nodes).value();
      if (parser.nextToken() != null) {
        throw invalid("There is more after the end of the JSON value.");
      }
      return value;
    } catch (StreamConstraintsException tooMuch) {
      throw invalid(
          "The JSON exceeds a limit: nesting "
              + limits.jsonDepthMax()
              + ", numbers of "
              + NUMBER_CHARS_MAX
              + " and names of "
              + NAME_CHARS_MAX
              + " characters.");
    } catch (JsonParseException malformed) {
      throw invalid("The JSON is malformed" + place(malformed) + ".");
    } catch (IOException unexpected) {
      throw invalid("The JSON cannot be read.");
    }
  }

  private static String place(JsonProcessingException malformed) {
    return malformed.getLocation() == null
        ? ""
        : " at line "
            + malformed.getLocation().getLineNr()
            + ", column "
            + malformed.getLocation().getColumnNr();
  }

  private static String decode(byte[] utf8) {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(utf8)).toString();
    } catch (CharacterCodingException malformed) {
      throw invalid("The request body is not valid UTF-8.");
    }
  }

  private static RejectedException invalid(String text) {
    return new RejectedException(ErrorCode.INVALID_ARGUMENT, text);
  }

  /** Counts values. */
  private static final class Nodes {
    private final int max;
    private int count;

    Nodes(int max) {
      this.max = max;
    }

    void add() {
      if (areTooMany() || ++count > max) {
        throw invalid("The JSON has more than " + max + " values.");
      }
    }

    boolean areTooMany() {
      return count > max;
    }
  }

  /** One text being read. */
  private static final class Reading {
    private final JsonParser parser;
    private final Nodes nodes;

    Reading(JsonParser parser, Nodes nodes) {
      this.parser = parser;
      this.nodes = nodes;
    }

    @Nullable Object value() throws IOException {
      nodes.add();
      return switch (parser.currentToken()) {
        case START_OBJECT -> object();
        case START_ARRAY -> array();
        case VALUE_STRING -> wellFormed(parser.getText());
        case VALUE_NUMBER_INT ->
            parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER
                ? parser.getBigIntegerValue()
                : (Object) parser.getLongValue();
        case VALUE_NUMBER_FLOAT -> finite(parser.getDoubleValue());
        case VALUE_TRUE -> true;
        case VALUE_FALSE -> false;
        default -> null;
      };
    }

    private Map<String, @Nullable Object> object() throws IOException {
      Map<String, @Nullable Object> map = new LinkedHashMap<>();
      while (parser.nextToken() != JsonToken.END_OBJECT) {
        String name = wellFormed(parser.currentName());
        parser.nextToken();
        if (map.containsKey(name)) {
          throw invalid("The JSON repeats the key \"" + shortened(name) + "\".");
        }
        map.put(name, value());
      }
      return map;
    }

    private List<@Nullable Object> array() throws IOException {
      List<@Nullable Object> list = new ArrayList<>();
      while (parser.nextToken() != JsonToken.END_ARRAY) {
        list.add(value());
      }
      return list;
    }

    private static double finite(double value) {
      if (!Double.isFinite(value)) {
        throw invalid("The JSON has a number that is too large.");
      }
      return value;
    }

    private static String wellFormed(String text) {
      for (int i = 0; i < text.length(); i++) {
        if (Character.isSurrogate(text.charAt(i))) {
          if (!Character.isSurrogatePair(
              text.charAt(i), i + 1 < text.length() ? text.charAt(i + 1) : ' ')) {
            throw invalid("The JSON has an unpaired surrogate.");
          }
          i++;
        }
      }
      return text;
    }

    private static String shortened(String name) {
      return name.length() <= 40 ? name : name.substring(0, 40) + "…";
    }
  }
}
