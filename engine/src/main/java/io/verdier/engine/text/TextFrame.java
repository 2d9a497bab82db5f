package io.verdier.engine.text;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * The tokens in front of and behind a bare text, for tokenizers whose {@code tokenizer.json} does
 * not name them. Stateless.
 *
 * <p>Usually a template in that file does. Hugging Face's classes for Llama replace it, whatever
 * the file says, by one made of {@code add_bos_token} and {@code add_eos_token}; DeepSeek's
 * distilled models rely on that. Here a template stays unless one of the flags is there, for those
 * who write neither mean the file. Of those classes nothing else is imitated: they know a
 * vocabulary of SentencePiece, which many files under their name do not hold.
 */
final class TextFrame {
  private static final JsonFactory JSON = new JsonFactory();
  private static final String FIELD = "post_processor";

  private TextFrame() {}

  /** A token of the frame. */
  private record Mark(String text, int id) {}

  /** Bytes of the file's own template, or of what stands in its place; of length 0: nothing. */
  private record Place(int start, int end, boolean isTemplate) {}

  /**
   * The file with the frame that its class gives it.
   *
   * @param json a whole {@code tokenizer.json}
   * @throws IOException if it is not valid JSON
   */
  static byte[] complete(byte[] json, TokenizerConfig config, Vocabulary vocabulary)
      throws IOException {
    if (!config.isLlama()) {
      return json;
    }
    Optional<Boolean> begins = config.flag("add_bos_token");
    Optional<Boolean> ends = config.flag("add_eos_token");
    Place place = place(json);
    if (place.isTemplate && begins.isEmpty() && ends.isEmpty()) {
      return json;
    }
    Optional<Mark> bos = mark(begins.orElse(true), "bos_token", config, vocabulary);
    Optional<Mark> eos = mark(ends.orElse(false), "eos_token", config, vocabulary);
    ByteArrayOutputStream out = new ByteArrayOutputStream(json.length + 1024);
    out.write(json, 0, place.start);
    boolean isNew = place.start == place.end;
    if (isNew) {
      out.writeBytes(("\"" + FIELD + "\":").getBytes(StandardCharsets.UTF_8));
    }
    writeTemplate(out, bos, eos);
    if (isNew) {
      out.write(',');
    }
    out.write(json, place.end, json.length - place.end);
    return out.toByteArray();
  }

  /** Empty: it is not wanted, or nobody could say which it is. */
  private static Optional<Mark> mark(
      boolean isWanted, String key, TokenizerConfig config, Vocabulary vocabulary) {
    Optional<String> text = isWanted ? config.token(key) : Optional.empty();
    OptionalInt id = text.map(vocabulary::idOf).orElse(OptionalInt.empty());
    return id.isPresent()
        ? Optional.of(new Mark(text.orElseThrow(), id.getAsInt()))
        : Optional.empty();
  }

  private static Place place(byte[] json) throws IOException {
    try (JsonParser parser = JSON.createParser(json)) {
      parser.nextToken();
      int first = (int) parser.currentLocation().getByteOffset(); // behind the brace
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        boolean isIt = parser.currentName().equals(FIELD);
        parser.nextToken();
        int start = (int) parser.currentTokenLocation().getByteOffset();
        if (isIt) {
          boolean isTemplate = holdsTemplate(parser);
          return new Place(start, (int) parser.currentLocation().getByteOffset(), isTemplate);
        }
        parser.skipChildren();
      }
      return new Place(first, first, false);
    }
  }

  /** Reads to the end of the value; a template may be one of a sequence. */
  private static boolean holdsTemplate(JsonParser parser) throws IOException {
    boolean found = false;
    int depth = parser.currentToken().isStructStart() ? 1 : 0;
    while (depth > 0) {
      JsonToken token = parser.nextToken();
      depth += token.isStructStart() ? 1 : token.isStructEnd() ? -1 : 0;
      found |=
          token == JsonToken.VALUE_STRING
              && "type".equals(parser.currentName())
              && parser.getText().equals("TemplateProcessing");
    }
    return found;
  }

  /** A pair is each of its texts in a frame of its own. */
  private static void writeTemplate(
      ByteArrayOutputStream out, Optional<Mark> bos, Optional<Mark> eos) throws IOException {
    try (JsonGenerator json = JSON.createGenerator(out)) {
      json.writeStartObject();
      json.writeStringField("type", "TemplateProcessing");
      json.writeArrayFieldStart("single");
      writeFrame(json, bos, "A", eos, 0);
      json.writeEndArray();
      json.writeArrayFieldStart("pair");
      writeFrame(json, bos, "A", eos, 0);
      writeFrame(json, bos, "B", eos, 1);
      json.writeEndArray();
      json.writeObjectFieldStart("special_tokens");
      if (bos.isPresent()) {
        writeToken(json, bos.get());
      }
      if (eos.isPresent() && !eos.map(Mark::text).equals(bos.map(Mark::text))) {
        writeToken(json, eos.get());
      }
      json.writeEndObject();
      json.writeEndObject();
    }
  }

  private static void writeFrame(
      JsonGenerator json, Optional<Mark> bos, String text, Optional<Mark> eos, int type)
      throws IOException {
    if (bos.isPresent()) {
      writePiece(json, "SpecialToken", bos.get().text, type);
    }
    writePiece(json, "Sequence", text, type);
    if (eos.isPresent()) {
      writePiece(json, "SpecialToken", eos.get().text, type);
    }
  }

  private static void writePiece(JsonGenerator json, String kind, String id, int type)
      throws IOException {
    json.writeStartObject();
    json.writeObjectFieldStart(kind);
    json.writeStringField("id", id);
    json.writeNumberField("type_id", type);
    json.writeEndObject();
    json.writeEndObject();
  }

  private static void writeToken(JsonGenerator json, Mark mark) throws IOException {
    json.writeObjectFieldStart(mark.text);
    json.writeStringField("id", mark.text);
    json.writeArrayFieldStart("ids");
    json.writeNumber(mark.id);
    json.writeEndArray();
    json.writeArrayFieldStart("tokens");
    json.writeString(mark.text);
    json.writeEndArray();
    json.writeEndObject();
  }
}
