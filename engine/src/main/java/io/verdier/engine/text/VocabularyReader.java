package io.verdier.engine.text;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;

/**
 * Reads the tokens out of a {@code tokenizer.json}. Owned by the calling thread, for one file.
 *
 * <p>The native library does not show its vocabulary, so the file is read a second time, but only
 * as far as needed: it streams, makes no tree, and stops before the list of merges, which is most
 * of the file.
 */
final class VocabularyReader {
  /** Tokens are field names here, each seen once: nothing to gain from a table of known names. */
  private static final JsonFactory JSON =
      JsonFactory.builder().disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES).build();

  private record Added(String content, long id, boolean special) {}

  private final Vocabulary.Builder builder = new Vocabulary.Builder();
  private final List<Added> added = new ArrayList<>();
  private final Set<String> decoders = new HashSet<>();
  private final Set<String> seen = new HashSet<>();
  private boolean byteFallback;

  private VocabularyReader() {}

  /**
   * Reads a whole file.
   *
   * @throws IOException when it is not a {@code tokenizer.json}
   */
  static Vocabulary read(byte[] json) throws IOException {
    VocabularyReader reader = new VocabularyReader();
    try (JsonParser parser = JSON.createParser(json)) {
      reader.readFile(parser);
    } catch (JsonProcessingException e) {
      throw new IOException("tokenizer.json is not valid JSON: " + e.getOriginalMessage(), e);
    }
    for (Added token : reader.added) { // last: they hide the model's own
      reader.builder.addAdded(token.content, token.id, token.special);
    }
    return reader.builder.build(reader.spelling());
  }

  /**
   * The id of one token, without a vocabulary being built: an added one is found at the beginning.
   *
   * @throws IOException as {@link #read}
   */
  static OptionalInt idOf(byte[] json, String token) throws IOException {
    VocabularyReader reader = new VocabularyReader();
    try (JsonParser parser = JSON.createParser(json)) {
      expect(parser.nextToken(), JsonToken.START_OBJECT, "the file");
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        boolean isAdded = parser.currentName().equals("added_tokens");
        parser.nextToken();
        if (isAdded) {
          reader.readAdded(parser);
          break;
        }
        parser.skipChildren();
      }
    } catch (JsonProcessingException e) {
      throw new IOException("tokenizer.json is not valid JSON: " + e.getOriginalMessage(), e);
    }
    for (Added known : reader.added) {
      if (known.content.equals(token)) {
        return OptionalInt.of(Math.toIntExact(known.id));
      }
    }
    return read(json).idOf(token);
  }

  private Vocabulary.Spelling spelling() {
    if (decoders.equals(Set.of("ByteLevel"))) {
      return Vocabulary.Spelling.BYTE_LEVEL;
    }
    boolean sentencePiece = byteFallback || decoders.contains("Metaspace");
    return sentencePiece ? Vocabulary.Spelling.SENTENCE_PIECE : Vocabulary.Spelling.PLAIN;
  }

  private void readFile(JsonParser parser) throws IOException {
    expect(parser.nextToken(), JsonToken.START_OBJECT, "the file");
    while (parser.nextToken() == JsonToken.FIELD_NAME && !isComplete()) {
      String field = parser.currentName();
      parser.nextToken();
      switch (field) {
        case "added_tokens" -> readAdded(parser);
        case "decoder" -> readDecoder(parser);
        case "model" -> readModel(parser);
        default -> parser.skipChildren();
      }
      seen.add(field);
      if (isComplete()) {
        return;
      }
    }
    if (!seen.contains("vocab")) {
      throw new IOException("tokenizer.json has no model.vocab.");
    }
  }

  /** In the usual order of fields only the merges are still to come then. */
  private boolean isComplete() {
    return seen.contains("added_tokens")
        && seen.contains("decoder")
        && seen.contains("vocab")
        && seen.contains("byte_fallback");
  }

  private void readModel(JsonParser parser) throws IOException {
    expect(parser.currentToken(), JsonToken.START_OBJECT, "model");
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String field = parser.currentName();
      JsonToken value = parser.nextToken();
      if (field.equals("byte_fallback")) {
        byteFallback = value == JsonToken.VALUE_TRUE;
      } else if (field.equals("vocab") && value == JsonToken.START_ARRAY) {
        readScored(parser);
      } else if (field.equals("vocab")) {
        readMapped(parser);
      } else {
        parser.skipChildren();
      }
      seen.add(field);
      if (isComplete()) {
        return;
      }
    }
  }

  /** BPE, WordPiece, WordLevel: {@code {"token": id, …}}. */
  private void readMapped(JsonParser parser) throws IOException {
    expect(parser.currentToken(), JsonToken.START_OBJECT, "model.vocab");
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String token = parser.currentName();
      expect(parser.nextToken(), JsonToken.VALUE_NUMBER_INT, "an id in model.vocab");
      builder.add(token, parser.getLongValue());
    }
  }

  /** Unigram: {@code [["token", score], …]}, the id is the position. */
  private void readScored(JsonParser parser) throws IOException {
    for (long id = 0; parser.nextToken() == JsonToken.START_ARRAY; id++) {
      expect(parser.nextToken(), JsonToken.VALUE_STRING, "a token in model.vocab");
      builder.add(parser.getText(), id);
      while (parser.nextToken() != JsonToken.END_ARRAY) {
        parser.skipChildren();
      }
    }
  }

  private void readAdded(JsonParser parser) throws IOException {
    expect(parser.currentToken(), JsonToken.START_ARRAY, "added_tokens");
    while (parser.nextToken() == JsonToken.START_OBJECT) {
      String content = "";
      long id = -1;
      boolean special = false;
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String field = parser.currentName();
        JsonToken value = parser.nextToken();
        switch (field) {
          case "content" -> content = parser.getText();
          case "id" -> {
            expect(value, JsonToken.VALUE_NUMBER_INT, "an id in added_tokens");
            id = parser.getLongValue();
          }
          case "special" -> special = value == JsonToken.VALUE_TRUE;
          default -> parser.skipChildren();
        }
      }
      added.add(new Added(content, id, special));
    }
  }

  /** Collects the types of all decoders, those inside a sequence included. */
  private void readDecoder(JsonParser parser) throws IOException {
    if (parser.currentToken() != JsonToken.START_OBJECT) {
      return;
    }
    for (int depth = 1; depth > 0; ) {
      JsonToken token = parser.nextToken();
      if (token == JsonToken.START_OBJECT || token == JsonToken.START_ARRAY) {
        depth++;
      } else if (token == JsonToken.END_OBJECT || token == JsonToken.END_ARRAY) {
        depth--;
      } else if (token == JsonToken.VALUE_STRING && "type".equals(parser.currentName())) {
        String type = parser.getText();
        if (!type.equals("Sequence")) {
          decoders.add(type);
        }
      }
    }
  }

  private static void expect(JsonToken actual, JsonToken wanted, String what) throws IOException {
    if (actual != wanted) {
      throw new IOException("tokenizer.json: " + what + " is not " + wanted + " but " + actual);
    }
  }
}
