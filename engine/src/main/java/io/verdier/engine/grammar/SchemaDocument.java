package io.verdier.engine.grammar;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The text of a JSON schema, its parts by their places, and what refers to what. Owned by the
 * compiling thread.
 *
 * <p>References lead to places within the text: by pointer, by anchor, or by the {@code $id} of a
 * schema that is part of it. Nothing is ever fetched.
 */
final class SchemaDocument {
  /** Values in values. Texts are read without recursion; what they mean is not. */
  private static final int DEPTH_MAX = 500;

  /** Values in all; some hundred bytes each. */
  private static final int VALUES_MAX = 100_000;

  private static final int DIGITS_MAX = 400;

  /** Of a value, beside its text. */
  private static final int VALUE_BYTES = 120;

  /** Of a schema that is part of it, beside its path. */
  private static final int NODE_BYTES = 120;

  /** What is under these are no schemas. */
  private static final Set<String> DATA = Set.of("const", "enum", "default", "examples", "example");

  private static final JsonFactory FACTORY =
      JsonFactory.builder()
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(DEPTH_MAX + 1) // one more: ours says it in plain words
                  .maxNumberLength(Integer.MAX_VALUE)
                  .build())
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .build();

  private static final JsonMapper MAPPER =
      JsonMapper.builder(FACTORY)
          .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private final Budget budget;
  private final SchemaNode root;
  private final boolean isDraft7;
  private final IdentityHashMap<JsonNode, SchemaNode> nodes = new IdentityHashMap<>();
  private final Map<String, SchemaNode> named =
      new HashMap<>(); // by $id, or by resource and anchor

  /** Of what is in embedded ones. */
  private final IdentityHashMap<JsonNode, SchemaNode> resources = new IdentityHashMap<>();

  private SchemaDocument(JsonNode json, Budget budget) {
    this.budget = budget;
    root = node(json, "#");
    String dialect = json.path("$schema").asText();
    isDraft7 = dialect.contains("draft-0");
    if (json.isObject()) {
      findNames();
    }
  }

  /**
   * Reads a schema.
   *
   * @throws GrammarException if it is no JSON, or no schema, or too large
   */
  static SchemaDocument read(String text, Budget budget) {
    try {
      budget.hold((long) VALUE_BYTES * countedValues(text) + text.length());
      JsonNode json = MAPPER.readTree(text);
      if (!json.isObject() && !json.isBoolean()) {
        throw new GrammarException("a JSON schema is an object, true or false");
      }
      return new SchemaDocument(json, budget);
    } catch (JsonProcessingException malformed) {
      throw new GrammarException("the JSON schema is no JSON: " + malformed.getOriginalMessage());
    } catch (IOException impossible) {
      throw new IllegalStateException("a string cannot be read", impossible);
    }
  }

  /**
   * @throws GrammarException if there are too many, or too deep ones
   */
  private static int countedValues(String text) throws IOException {
    try (JsonParser parser = FACTORY.createParser(text)) {
      int values = 0;
      int depth = 0;
      for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
        depth += token.isStructStart() ? 1 : token.isStructEnd() ? -1 : 0;
        if (depth > DEPTH_MAX) {
          throw new GrammarException(
              "the JSON schema has more than " + DEPTH_MAX + " values in values");
        }
        if (token.isNumeric() && parser.getTextLength() > DIGITS_MAX) {
          throw new GrammarException(
              "the JSON schema has a number of more than " + DIGITS_MAX + " digits");
        }
        if (++values > VALUES_MAX) {
          throw new GrammarException(
              "the JSON schema has more than " + VALUES_MAX + " values. Make it smaller.");
        }
      }
      return values;
    }
  }

  SchemaNode root() {
    return root;
  }

  /** Whether {@code $ref} hides what is written beside it. */
  boolean isDraft7() {
    return isDraft7;
  }

  /**
   * The schema at a place below another.
   *
   * @throws GrammarException if there is something else
   */
  SchemaNode child(SchemaNode parent, JsonNode json, String... steps) {
    StringBuilder path = new StringBuilder(parent.path());
    for (String step : steps) {
      path.append('/').append(step.replace("~", "~0").replace("/", "~1"));
    }
    if (!json.isObject() && !json.isBoolean()) {
      throw new GrammarException("the JSON schema, " + path + ": a schema is needed here");
    }
    return node(json, path.toString());
  }

  private SchemaNode node(JsonNode json, String path) {
    SchemaNode known = nodes.get(json);
    if (known == null) {
      budget.hold(NODE_BYTES + path.length());
      known = new SchemaNode(json, path);
      nodes.put(json, known);
    }
    return known;
  }

  /** Notes every name a schema gives itself. */
  private void findNames() {
    record Place(SchemaNode schema, SchemaNode resource) {}
    ArrayDeque<Place> pending = new ArrayDeque<>();
    pending.add(new Place(root, root));
    while (!pending.isEmpty()) {
      Place place = pending.removeLast();
      JsonNode json = place.schema.json();
      SchemaNode resource = place.resource;
      if (json.path("$id").isTextual()) {
        String id = json.path("$id").textValue();
        if (id.startsWith("#")) { // an anchor of draft 7
          named.put(resource.path() + id, place.schema);
        } else {
          resource = place.schema;
          named.put(id, resource);
          named.put(resolved(id), resource);
        }
      }
      for (String anchor : new String[] {"$anchor", "$dynamicAnchor"}) {
        if (json.path(anchor).isTextual()) {
          named.put(resource.path() + "#" + json.path(anchor).textValue(), place.schema);
        }
      }
      if (resource != root) {
        resources.put(json, resource);
      }
      for (Map.Entry<String, JsonNode> part : json.properties()) {
        if (part.getValue().isContainerNode() && !DATA.contains(part.getKey())) {
          pending.add(new Place(step(place.schema, part.getKey(), part.getValue()), resource));
        }
      }
      for (int i = 0; json.isArray() && i < json.size(); i++) {
        if (json.get(i).isContainerNode()) {
          pending.add(new Place(step(place.schema, Integer.toString(i), json.get(i)), resource));
        }
      }
    }
  }

  private SchemaNode step(SchemaNode parent, String step, JsonNode json) {
    return node(json, parent.path() + "/" + step.replace("~", "~0").replace("/", "~1"));
  }

  private String resolved(String reference) {
    try {
      return URI.create(root.get("$id").asText()).resolve(reference).toString();
    } catch (IllegalArgumentException malformed) {
      return reference;
    }
  }

  /**
   * What a schema refers to.
   *
   * @throws GrammarException if that is not in the document
   */
  SchemaNode target(SchemaNode from, String keyword) {
    JsonNode value = from.get(keyword);
    if (!value.isTextual()) {
      throw from.error(keyword, "a reference is a text");
    }
    String reference = value.textValue();
    int hash = reference.indexOf('#');
    String base = hash < 0 ? reference : reference.substring(0, hash);
    String fragment = hash < 0 ? "" : reference.substring(hash + 1);
    SchemaNode resource = resources.getOrDefault(from.json(), root);
    if (!base.isEmpty()) {
      SchemaNode known = named.getOrDefault(base, named.get(resolved(base)));
      if (known == null) {
        throw from.error(
            keyword, shown(reference) + " is not in the schema, and nothing is fetched");
      }
      resource = known;
    }
    SchemaNode target = within(resource, fragment);
    if (target == null) {
      throw from.error(keyword, shown(reference) + " leads nowhere");
    }
    return target;
  }

  private static String shown(String reference) {
    return reference.length() > 100 ? reference.substring(0, 100) + " …" : reference;
  }

  private @Nullable SchemaNode within(SchemaNode resource, String fragment) {
    if (fragment.isEmpty()) {
      return resource;
    }
    if (!fragment.startsWith("/")) {
      return named.get(resource.path() + "#" + fragment);
    }
    SchemaNode at = resource;
    for (String step : decoded(fragment).substring(1).split("/", -1)) {
      String name = step.replace("~1", "/").replace("~0", "~");
      JsonNode json = at.json();
      JsonNode next = json.isArray() ? json.path(index(name)) : json.path(name);
      if (next.isMissingNode()) {
        return null;
      }
      at = step(at, name, next);
    }
    return at.json().isObject() || at.json().isBoolean() ? at : null;
  }

  private static int index(String name) {
    try {
      return Integer.parseInt(name);
    } catch (NumberFormatException noNumber) {
      return -1;
    }
  }

  /** Percent-decoded; a plus sign is one. */
  private static String decoded(String fragment) {
    try {
      return URLDecoder.decode(fragment.replace("+", "%2B"), StandardCharsets.UTF_8);
    } catch (IllegalArgumentException malformed) {
      return fragment;
    }
  }
}
