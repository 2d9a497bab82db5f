package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.grammar.Constraint.JsonSchema;
import io.verdier.engine.grammar.Constraint.JsonStyle;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvFileSource;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** JSON schemas, by what matches and what does not. */
class JsonSchemaTest {
  private static final JsonStyle COMPACT = new JsonStyle(true, null, false);
  private static final JsonStyle CLOSED = new JsonStyle(false, null, true);

  private static StateSpace compile(String schema, JsonStyle style) {
    return new StateSpace(
        GrammarCompiler.compile(new JsonSchema(schema, style), TestSchemas.budget()));
  }

  private static boolean matches(StateSpace space, String text) {
    @Nullable GrammarState state = space.start();
    for (byte value : text.getBytes(StandardCharsets.UTF_8)) {
      state = state == null ? null : space.next(state, value & 0xff);
    }
    return state != null && state.mayEnd();
  }

  private static boolean matches(String schema, String text) {
    return matches(compile(schema.replace('\'', '"'), JsonStyle.USUAL), text.replace('\'', '"'));
  }

  @ParameterizedTest
  @CsvFileSource(resources = "/schemas/matching.txt", delimiter = '|', quoteCharacter = '`')
  void match_instance_asTheSpecificationHasIt(String schema, String text, boolean expected) {
    assertThat(matches(schema, text.strip())).isEqualTo(expected);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          {'properties': {'a': {'type': 'array', 'uniqueItems': true}}} | #/properties/a/uniqueItems
          {'type': 'array', 'contains': {'type': 'integer'}}            | #/contains
          {'$ref': 'http://example.com/x'}                              | #/$ref
          {'$ref': 'file:///etc/passwd'}                                | #/$ref
          {'items': {'$ref': '#/$defs/none'}}                           | #/items/$ref
          {'$ref': '#'}                                                 | leads back here
          {'anyOf': [{'$ref': '#/$defs/a'}], '$defs': {'a': {'$ref': '#'}}} | leads back here
          {'items': {'minimum': 3, 'exclusiveMinimum': true}}           | #/items/exclusiveMinimum
          {'properties': {'a/b': {'type': 'text'}}}                     | #/properties/a~1b/type
          {'type': 5}                                                   | #/type
          {'pattern': '(?=x)'}                                          | #/pattern
          {'patternProperties': {'(': {}}}                              | #/patternProperties
          {'minLength': -1}                                             | #/minLength
          {'minItems': 1.5}                                             | #/minItems
          {'maximum': 'x'}                                              | #/maximum
          {'multipleOf': 0}                                             | #/multipleOf
          {'multipleOf': 123456.7}                                      | multipleOf 123456.7
          {'enum': 5}                                                   | #/enum
          {'allOf': {}}                                                 | #/allOf
          {'properties': []}                                            | #/properties
          {'properties': {'a': 1}}                                      | #/properties/a
          {'required': 'a'}                                             | #/required
          {'$dynamicRef': '#x'}                                         | #/$dynamicRef
          {'not': {'items': {'type': 'integer'}}, 'type': 'array'}      | #/not/items
          {'oneOf': [{'type': 'array', 'items': {'minimum': 3}}, {'type': 'array', 'items': {'maximum': 5}}]} | use anyOf
          {'type': 'object', 'minProperties': 2}                        | minProperties
          {'minimum': 1e999}                                            | #/minimum
          {'propertyNames': {'minLength': 90000, 'pattern': '^(ab)*$'}} | of 90000 beside
          {'type': 'string', 'enum': [1]}                               | no text can match
          [1]                                                           | object, true or false
          {'type': 'object'                                             | no JSON
          {'type': 'object', 'type': 'array'}                           | no JSON
          """)
  void compile_whatCannotBeHeld_namesTheKeywordAndItsPlace(String schema, String text) {
    assertThatThrownBy(() -> compile(schema.strip().replace('\'', '"'), JsonStyle.USUAL))
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining(text)
        .hasMessageNotContaining("Jackson")
        .hasMessageNotContaining("Exception");
  }

  /** What no value asks for is not refused. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'type': 'string', 'contains': {}, 'uniqueItems': true}",
        "{'type': 'object', 'unknown': 5, 'title': 3, 'format': 'none', '$comment': []}",
        "{'properties': {'$ref': {'type': 'string'}, '$id': {'type': 'string'}}}",
        "{'enum': ['a'], 'default': {'$id': 'x', '$ref': 'y'}}"
      })
  void compile_whatHasNoEffect_isTaken(String schema) {
    compile(schema.replace('\'', '"'), JsonStyle.USUAL);
  }

  static List<int[]> ranges() {
    return List.of(
        new int[] {-1200, 1200, 1},
        new int[] {0, 0, 1},
        new int[] {-1, 9, 1},
        new int[] {10, 99, 1},
        new int[] {-99, -10, 1},
        new int[] {7, 1003, 1},
        new int[] {-1003, 7, 1},
        new int[] {199, 200, 1},
        new int[] {-500, 500, 7},
        new int[] {-1200, 1200, 60},
        new int[] {1, 1200, 128},
        new int[] {0, 1000, 1000});
  }

  @ParameterizedTest
  @MethodSource("ranges")
  void match_integersOfARange_areThose(int[] range) {
    StateSpace closed =
        compile(
            "{\"type\":\"integer\",\"minimum\":%d,\"maximum\":%d,\"multipleOf\":%d}"
                .formatted(range[0], range[1], range[2]),
            JsonStyle.USUAL);
    StateSpace open =
        compile(
            "{\"type\":\"integer\",\"exclusiveMinimum\":%d.5,\"exclusiveMaximum\":%d}"
                .formatted(range[0], range[1] + 5),
            JsonStyle.USUAL);
    for (int i = -1300; i <= 1300; i++) {
      boolean isIn = i >= range[0] && i <= range[1] && i % range[2] == 0;
      assertThat(matches(closed, Integer.toString(i))).as("%d", i).isEqualTo(isIn);
      double from = range[0] < 0 ? range[0] - 0.5 : range[0] + 0.5; // as the text is read
      assertThat(matches(open, Integer.toString(i)))
          .as("%d", i)
          .isEqualTo(i > from && i < range[1] + 5);
    }
    assertThat(matches(closed, "-0")).isEqualTo(range[0] <= 0 && range[1] >= 0);
    assertThat(matches(closed, "007")).isFalse();
    assertThat(matches(closed, "+7")).isFalse();
  }

  @ParameterizedTest
  @CsvSource({
    "-1.25, 3.5, 0.05",
    "0, 1, 0.01",
    "-0.003, 0.02, 0.001",
    "9.99, 10.01, 0.01",
    "-2, -1, 0.25",
    "99.5, 100.5, 0.1",
    "0, 0, 0.5",
    "0.1, 0.3, 0.001"
  })
  void match_numbersOfARange_areThose(BigDecimal from, BigDecimal to, BigDecimal step) {
    StateSpace closed =
        compile(
            "{\"type\":\"number\",\"minimum\":%s,\"maximum\":%s,\"multipleOf\":%s}"
                .formatted(from, to, step),
            JsonStyle.USUAL);
    StateSpace all =
        compile(
            "{\"type\":\"number\",\"exclusiveMinimum\":%s,\"exclusiveMaximum\":%s}"
                .formatted(from, to.add(new BigDecimal("0.0001"))),
            JsonStyle.USUAL);
    BigDecimal tick = new BigDecimal("0.001");
    for (BigDecimal value = from.subtract(BigDecimal.ONE);
        value.compareTo(to.add(BigDecimal.ONE)) < 0;
        value = value.add(tick)) {
      boolean isIn = value.compareTo(from) >= 0 && value.compareTo(to) <= 0;
      boolean isMultiple = value.remainder(step).signum() == 0;
      List<String> spelled = new ArrayList<>(List.of(value.toPlainString()));
      spelled.add(value.setScale(6).toPlainString());
      spelled.add(value.signum() == 0 ? "0.0" : value.stripTrailingZeros().toPlainString());
      for (String one : spelled) {
        assertThat(matches(closed, one)).as(one).isEqualTo(isIn && isMultiple);
        assertThat(matches(all, one)).as(one).isEqualTo(isIn && value.compareTo(from) > 0);
      }
    }
  }

  @Test
  void match_lengthOfStrings_isCountedInCodePoints() {
    StateSpace two = compile("{\"minLength\":2,\"maxLength\":2,\"type\":\"string\"}", COMPACT);
    StateSpace ab = compile("{\"maxLength\":2,\"type\":\"string\",\"pattern\":\"^.+$\"}", COMPACT);
    for (String both : List.of("ab", "é😀", "😀\\n", "\\ud83d\\ude00x", "\\u00e9\\t", "\\\"\\\\")) {
      assertThat(matches(two, '"' + both + '"')).as(both).isTrue();
      assertThat(matches(two, '"' + both + "c\"")).as(both).isFalse();
      assertThat(matches(two, "\"c\"")).isFalse();
      assertThat(matches(ab, '"' + both + '"')).as(both).isEqualTo(!both.contains("\\n"));
      assertThat(matches(ab, '"' + both + "c\"")).as(both).isFalse();
    }
    for (String none : List.of("\\ud83dx", "\\ude00\\ud83d", "\\x", "\\u12", "a\nb", "a\tb")) {
      assertThat(matches(two, '"' + none + '"')).as(none).isFalse();
    }
  }

  @Test
  void match_pattern_isOfWhatIsBehindTheEscapes() {
    StateSpace space =
        compile("{\"type\":\"string\",\"pattern\":\"^[^/]/\\\"é[\\\\n-\\\\r]$\"}", COMPACT);
    assertThat(matches(space, "\"a/\\\"é\\n\"")).isTrue();
    assertThat(matches(space, "\"a\\/\\\"\\u00E9\\f\"")).isTrue();
    assertThat(matches(space, "\"\\/\\/\\\"é\\n\"")).isFalse();
    assertThat(matches(space, "\"a/\\\"é\\t\"")).isFalse();
    assertThat(matches(space, "\"a/\\\"é\\u000b\"")).isTrue();
  }

  @Test
  void match_multiplesOfLargeNumbers_mayHaveFortyDigits() {
    StateSpace space =
        compile("{\"type\":\"integer\",\"multipleOf\":1000,\"minimum\":-5}", COMPACT);
    assertThat(matches(space, "0")).isTrue();
    assertThat(matches(space, "-1000")).isFalse();
    assertThat(matches(space, "12345678901234567000")).isTrue();
    assertThat(matches(space, "12345678901234567001")).isFalse();
    assertThat(matches(space, "1" + "0".repeat(39))).isTrue();
    assertThat(matches(space, "1" + "0".repeat(49))).isFalse();
    StateSpace fractions = compile("{\"type\":\"number\",\"multipleOf\":0.025}", COMPACT);
    assertThat(matches(fractions, "1234567890123.075")).isTrue();
    assertThat(matches(fractions, "1234567890123.07")).isFalse();
  }

  @Test
  void match_longStrings_areCounted() {
    StateSpace space =
        compile("{\"type\":\"string\",\"pattern\":\"^[a-z]*$\",\"maxLength\":9000}", COMPACT);
    assertThat(matches(space, '"' + "a".repeat(9000) + '"')).isTrue();
    assertThat(matches(space, '"' + "a".repeat(9001) + '"')).isFalse();
    StateSpace both =
        compile("{\"type\":\"string\",\"pattern\":\"^(ab|c)*$\",\"maxLength\":9000}", COMPACT);
    assertThat(matches(both, '"' + "ab".repeat(4500) + '"')).isTrue();
    assertThat(matches(both, '"' + "ab".repeat(4500) + "c\"")).isFalse();
    assertThat(matches(both, '"' + "ab".repeat(4499) + "cc\"")).isTrue();
    assertThat(matches(both, '"' + "ab".repeat(4499) + "ccc")).isFalse();
    assertThat(matches(both, '"' + "ab".repeat(4499) + "ca")).isFalse(); // it could not end
  }

  @Test
  void style_whitespace_isWhereJsonHasIt() {
    String schema = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\"}}}";
    StateSpace usual = compile(schema, JsonStyle.USUAL);
    assertThat(matches(usual, "{\"a\":[1,2]}")).isTrue();
    assertThat(matches(usual, "{ \"a\" :\r\n\t[ 1 ,\n\n    2\n]  }")).isTrue();
    assertThat(matches(usual, " {}")).isFalse();
    assertThat(matches(usual, "{} ")).isFalse();
    assertThat(matches(usual, "{" + " ".repeat(200) + "}")).isFalse();
    String deep = "";
    for (int i = 32; i > 0; i--) {
      String indent = "\n" + " ".repeat(4 * i);
      deep =
          i == 32
              ? "[" + indent + "1" + "\n" + " ".repeat(4 * i - 4) + "]"
              : "[" + indent + deep + "\n" + " ".repeat(4 * i - 4) + "]";
    }
    assertThat(matches(compile("{}", JsonStyle.USUAL), deep)).isTrue();
    StateSpace compact = compile(schema, COMPACT);
    assertThat(matches(compact, "{\"a\": [1, 2]}")).isTrue();
    assertThat(matches(compact, "{\"a\":[1,2]}")).isFalse();
    StateSpace own = compile(schema, new JsonStyle(false, "[ ]?", false));
    assertThat(matches(own, "{ \"a\":[1, 2 ] }")).isTrue();
    assertThat(matches(own, "{  }")).isFalse();
    assertThatThrownBy(() -> compile(schema, new JsonStyle(false, "[ x]", false)))
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining("whitespace_pattern");
  }

  @Test
  void style_closed_allowsNoPropertiesButThoseNamed() {
    String named = "{\"type\":\"object\",\"properties\":{\"a\":{}}%s}";
    assertThat(matches(compile(named.formatted(""), CLOSED), "{\"a\":1}")).isTrue();
    assertThat(matches(compile(named.formatted(""), CLOSED), "{\"b\":1}")).isFalse();
    String open = named.formatted(",\"additionalProperties\":true");
    assertThat(matches(compile(open, CLOSED), "{\"b\":1}")).isTrue();
    assertThat(matches(compile("{\"type\":\"object\"}", CLOSED), "{\"b\":1}")).isTrue();
    String parts =
        "{\"allOf\":[{\"properties\":{\"a\":{}}},{\"properties\":{\"b\":{}}}],\"type\":\"object\"}";
    assertThat(matches(compile(parts, CLOSED), "{\"a\":1,\"b\":1}")).isTrue();
    assertThat(matches(compile(parts, CLOSED), "{\"a\":1,\"c\":1}")).isFalse();
  }

  @Test
  void jsonObject_anyStyle_isAnyObject() {
    StateSpace space =
        new StateSpace(
            GrammarCompiler.compile(new Constraint.JsonObject(CLOSED), Budget.defaults()));
    assertThat(matches(space, "{\"a\": {\"b\": [1, \"\\u0061\", null]}}")).isTrue();
    assertThat(matches(space, "[]")).isFalse();
  }

  private static String repeated(int count, String item) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < count; i++) {
      text.append(i == 0 ? "" : ",").append(item.replace("@", Integer.toString(i)));
    }
    return text.toString();
  }

  private static String chain(int length) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < length; i++) {
      text.append("'a%d':{'$ref':'#/$defs/a%d'},".formatted(i, i + 1));
    }
    return text + "'a" + length + "':{}";
  }

  static List<String> bombs() {
    return List.of(
        "{'anyOf':[" + repeated(100_000, "{'const':@}") + "]}",
        "{'anyOf':[" + repeated(2000, "{'type':'string','minLength':@}") + "]}",
        "{'oneOf':[" + repeated(300, "{'required':['k@'],'type':'object'}") + "]}",
        "{'oneOf':[" + repeated(3000, "{'type':'array','minItems':@}") + "]}",
        "{'enum':[" + repeated(1_000_000, "@") + "]}",
        "{'enum':[" + repeated(90_000, "'value@'") + "]}",
        "{'type':'array','minItems':1000000000}",
        "{'type':'array','minItems':1000000000000}",
        "{'type':'string','minLength':1000000000}",
        "{'type':'string','minLength':1000000000,'pattern':'^(ab)*$'}",
        "{'type':'string','maxLength':1000000000,'pattern':'a.*b|\\\\p{L}'}",
        "{'items':".repeat(100_000) + "{}" + "}".repeat(100_000),
        "{'not':".repeat(249) + "{}" + "}".repeat(249),
        "{'allOf':[".repeat(240) + "{}" + "]}".repeat(240),
        "{'items':".repeat(450) + "{}" + "}".repeat(450),
        "[".repeat(100_000),
        "{'$ref':'#/$defs/a0','$defs':{"
            + repeated(10_000, "'a@':{'$ref':'#/$defs/a@x'},'a@x':{'$ref':'#/$defs/b@'},'b@':{}")
            + "}}",
        "{'$ref':'#/$defs/a0','$defs':{" + chain(10_000) + "}}",
        "{'allOf':["
            + repeated(25, "{'anyOf':[{'minLength':@},{'maxItems':@},{'maximum':@}]}")
            + "]}",
        "{'$ref':'#/$defs/a','$defs':{'a':{'allOf':[{'$ref':'#/$defs/b'},{'$ref':'#/$defs/b'}]},"
            + "'b':{'anyOf':[{'$ref':'#/$defs/c'},{'$ref':'#/$defs/c'}]},'c':{'items':{'$ref':'#'}}}}",
        "{'type':'object','properties':{" + repeated(5000, "'p@':{}") + "}}",
        "{'type':'object','properties':{"
            + repeated(300, "'p@':{'type':'integer'}")
            + "},'minProperties':150}",
        "{'maximum':1" + "0".repeat(100_000) + "}",
        "{'const':1e999999999}",
        "{'multipleOf':1e-999999999}",
        "{'type':'object','patternProperties':{" + repeated(40, "'a{@}':{}") + "}}",
        "{'type':'array','uniqueItems':true,'items':{'enum':[" + repeated(3000, "@") + "]}}");
  }

  @ParameterizedTest
  @MethodSource("bombs")
  void compile_bomb_endsSoonWithAGrammarOrASentence(String schema) {
    String text = schema.replace('\'', '"');
    long start = System.nanoTime();
    try {
      JsonSchema constraint = new JsonSchema(text, JsonStyle.USUAL);
      StateSpace space = new StateSpace(GrammarCompiler.compile(constraint, Budget.defaults()));
      @Nullable GrammarState state = space.start();
      for (int i = 0; i < 200 && state != null; i++) {
        state = space.next(state, i == 0 ? '[' : '1');
      }
    } catch (GrammarException expected) {
      assertThat(expected).hasMessageNotContaining("null");
    }
    assertThat(System.nanoTime() - start).isLessThan(4_000_000_000L); // 2 s on an idle machine
  }
}
