package io.verdier.engine.grammar;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * A schema at its place in a document. Equal to itself only: what is written twice are two schemas.
 */
final class SchemaNode {
  private final JsonNode json;
  private final String path;

  /**
   * @param path a JSON pointer behind {@code #}, for messages
   */
  SchemaNode(JsonNode json, String path) {
    this.json = json;
    this.path = path;
  }

  JsonNode json() {
    return json;
  }

  String path() {
    return path;
  }

  /** Whether every value is valid, at first sight. */
  boolean isTrivial() {
    return json.isBoolean() ? json.booleanValue() : json.isEmpty();
  }

  /** Whether no value is, at first sight. */
  boolean isFalse() {
    return json.isBoolean() && !json.booleanValue();
  }

  /** What a keyword of this schema says. */
  JsonNode get(String keyword) {
    return json.path(keyword);
  }

  boolean has(String keyword) {
    return json.has(keyword);
  }

  /** An error in what a keyword says. */
  GrammarException error(String keyword, String what) {
    return new GrammarException("the JSON schema, " + path + "/" + keyword + ": " + what);
  }
}
