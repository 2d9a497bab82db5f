package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.networknt.schema.InputFormat;
import com.networknt.schema.Schema;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.SpecificationVersion;
import io.verdier.engine.grammar.Constraint.JsonSchema;
import io.verdier.engine.grammar.Constraint.JsonStyle;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * Texts drawn through masks are valid, and valid texts are not masked; by another's validator.
 *
 * <p>Logits are random and anew at each step. A sampler then draws from those tokens that the mask
 * leaves, any of them as likely as any other, whatever the temperature: so that is what is done
 * here.
 */
class JsonSchemaSamplingTest {
  private static final long SEED = Long.getLong("seed", 17);
  private static final int TEXTS = 3;
  private static final int INSTANCES = 4;

  /** Tokens from which on a text is brought to its end. */
  private static final int LONG = 40;

  private static final int BYTES_MAX = 4000;

  private static final JsonStyle COMPACT = new JsonStyle(true, null, false);
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final ObjectWriter PRETTY = JSON.writerWithDefaultPrettyPrinter();

  private static Schema validator(String schema) {
    SpecificationVersion version =
        schema.contains("draft-07")
            ? SpecificationVersion.DRAFT_7
            : SpecificationVersion.DRAFT_2020_12;
    return SchemaRegistry.withDefaultDialect(version).getSchema(schema);
  }

  private static boolean isValid(Schema validator, String text) {
    return validator
        .validate(
            text,
            InputFormat.JSON,
            context -> context.executionConfig(config -> config.formatAssertionsEnabled(true)))
        .isEmpty();
  }

  @Test
  void sample_400Schemas_isValid() throws IOException {
    List<String> schemas = TestSchemas.all();
    assertThat(schemas.stream().distinct().count()).isGreaterThanOrEqualTo(400);
    TokenTrie demo = TestVocabularies.demo();
    TokenTrie large = TestVocabularies.large(String.join(" ", schemas));
    assertThat(large.vocabularySize()).isEqualTo(TestVocabularies.LARGE);
    Random random = new Random(SEED);
    int drawn = 0;
    int finished = 0;
    List<String> wrong = new ArrayList<>();
    for (int i = 0; i < schemas.size(); i++) {
      String schema = schemas.get(i);
      JsonStyle style = i % 3 == 0 ? COMPACT : JsonStyle.USUAL;
      Grammar grammar =
          GrammarCompiler.compile(new JsonSchema(schema, style), TestSchemas.budget());
      Schema validator = validator(schema);
      for (TokenTrie trie : List.of(demo, large)) {
        TokenGrammar tokens = new TokenGrammar(grammar, trie);
        for (int j = 0; j < TEXTS; j++) {
          drawn++;
          String text = draw(tokens, trie, random);
          if (text != null) {
            finished++;
            JSON.readTree(text);
            if (!isValid(validator, known(text, schema))) {
              wrong.add(schema + "\n    " + text);
            }
          }
        }
      }
    }
    assertThat(wrong).as("seed %d", SEED).isEmpty();
    assertThat(finished).isGreaterThan(drawn * 97 / 100);
  }

  /**
   * What the validator knows no better: it has a list of top-level domains, which is no part of the
   * format, and takes no # in a JSON pointer, which RFC 6901 does.
   */
  private static String known(String text, String schema) {
    String pointers = schema.contains("json-pointer") ? text.replace('#', 'x') : text;
    String[] domains = {"", "", "io", "org", "info", "click", "museum"};
    return Pattern.compile("(@[^\"]*\\.)([A-Za-z]{2,6})\"")
        .matcher(pointers)
        .replaceAll(found -> found.group(1) + domains[found.group(2).length()] + '"');
  }

  /** A text, or null if it does not come to its end. */
  private static @Nullable String draw(TokenGrammar grammar, TokenTrie trie, Random random) {
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    GrammarState state = grammar.start();
    for (int step = 0; !state.mustEnd(); step++) {
      boolean isEnding = step >= LONG;
      if (state.mayEnd() && (isEnding || random.nextInt(8) == 0)) {
        break;
      }
      if (text.size() > BYTES_MAX) {
        return null;
      }
      byte[] next = isEnding ? closing(grammar, state, text.toByteArray(), random) : null;
      byte[] token = next == null ? trie.bytes(any(grammar.allowed(state), trie, random)) : next;
      text.writeBytes(token);
      state = Objects.requireNonNull(grammar.next(state, token));
    }
    return text.toString(StandardCharsets.UTF_8);
  }

  /** A byte that leads to the end, mostly; null: none does. */
  private static byte @Nullable [] closing(
      TokenGrammar grammar, GrammarState state, byte[] text, Random random) {
    boolean isInString = false;
    for (int i = 0; i < text.length; i++) {
      if (text[i] == '\\') {
        i++;
      } else if (text[i] == '"') {
        isInString = !isInString;
      }
    }
    for (char c : (isInString ? "\"" : "}]\"n0").toCharArray()) {
      byte[] one = {(byte) c};
      if (random.nextInt(20) != 0 && grammar.next(state, one) != null) {
        return one;
      }
    }
    int first = random.nextInt(128);
    for (int i = 0; i < 128; i++) {
      byte[] one = {(byte) ((first + i) % 128)};
      if (one[0] > ' ' && one[0] != '\\' && grammar.next(state, one) != null) {
        return one;
      }
    }
    return null;
  }

  private static int any(long[] allowed, TokenTrie trie, Random random) {
    for (int tries = 0; tries < 64; tries++) {
      int token = random.nextInt(trie.vocabularySize());
      if (((allowed[token >> 6] >>> token) & 1) != 0) {
        return token;
      }
    }
    int count = 0;
    for (long word : allowed) {
      count += Long.bitCount(word);
    }
    assertThat(count).as("a text that has not ended goes on").isPositive();
    int chosen = random.nextInt(count);
    for (int i = 0; ; i++) {
      int here = Long.bitCount(allowed[i]);
      if (chosen < here) {
        long word = allowed[i];
        for (int skipped = 0; skipped < chosen; skipped++) {
          word &= word - 1;
        }
        return i * 64 + Long.numberOfTrailingZeros(word);
      }
      chosen -= here;
    }
  }

  @Test
  void allowed_validInstances_haveAllTheirTokens() throws IOException {
    List<String> schemas = TestSchemas.all();
    TokenTrie trie = TestVocabularies.large(String.join(" ", schemas));
    Random random = new Random(SEED);
    int with = 0;
    List<String> masked = new ArrayList<>();
    for (String schema : schemas) {
      Schema validator = validator(schema);
      TestInstances instances = new TestInstances(JSON.readTree(schema), random);
      TokenGrammar usual = null;
      TokenGrammar compact = null;
      int valid = 0;
      for (int i = 0; i < INSTANCES; i++) {
        JsonNode instance = instances.next();
        if (instance == null || !isValid(validator, instance.toString())) {
          continue;
        }
        valid++;
        if (usual == null) {
          usual = tokens(schema, JsonStyle.USUAL, trie);
          compact = tokens(schema, COMPACT, trie);
        }
        check(usual, trie, instance.toString(), schema, masked);
        check(usual, trie, escaped(PRETTY.writeValueAsString(instance)), schema, masked);
        check(Objects.requireNonNull(compact), trie, spaced(instance), schema, masked);
      }
      with += valid > 0 ? 1 : 0;
    }
    assertThat(masked).as("seed %d", SEED).isEmpty();
    assertThat(with).isGreaterThan(schemas.size() * 95 / 100);
  }

  private static TokenGrammar tokens(String schema, JsonStyle style, TokenTrie trie) {
    return new TokenGrammar(
        GrammarCompiler.compile(new JsonSchema(schema, style), TestSchemas.budget()), trie);
  }

  /** Longest tokens first, each looked up in the mask. */
  private static void check(
      TokenGrammar grammar, TokenTrie trie, String text, String schema, List<String> masked) {
    GrammarState state = grammar.start();
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    for (int at = 0; at < bytes.length; ) {
      int token = TestVocabularies.longest(trie, bytes, at);
      long[] allowed = grammar.allowed(state);
      GrammarState next = grammar.next(state, token);
      if (((allowed[token >> 6] >>> token) & 1) == 0 || next == null) {
        masked.add(schema + "\n    " + text + "\n    at " + at);
        return;
      }
      state = next;
      at += trie.bytes(token).length;
    }
    if (!state.mayEnd()) {
      masked.add(schema + "\n    " + text + "\n    at its end");
    }
  }

  /** As Python writes it, in ASCII. */
  private static String escaped(String text) {
    StringBuilder ascii = new StringBuilder();
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c < 0x7f) {
        ascii.append(c);
      } else {
        ascii.append("\\u%04x".formatted((int) c));
      }
    }
    return ascii.toString();
  }

  /** As Python writes it: a space behind each comma and colon. */
  private static String spaced(JsonNode node) throws IOException {
    StringBuilder text = new StringBuilder();
    if (node.isObject()) {
      node.properties()
          .forEach(
              e -> {
                try {
                  text.append(text.isEmpty() ? "" : ", ")
                      .append(JSON.writeValueAsString(e.getKey()))
                      .append(": ")
                      .append(spaced(e.getValue()));
                } catch (IOException impossible) {
                  throw new UncheckedIOException(impossible);
                }
              });
      return "{" + text + "}";
    }
    if (node.isArray()) {
      for (JsonNode item : node) {
        text.append(text.isEmpty() ? "" : ", ").append(spaced(item));
      }
      return "[" + text + "]";
    }
    return JSON.writeValueAsString(node);
  }
}
