package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.grammar.Constraint.JsonStyle;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Structural tags, against what Java's patterns and a reader by hand say of every short text. */
class StructuralTagTest {
  /**
   * Schemas stand for one text here; {@link JsonStyle} and all else of them is tested elsewhere.
   */
  private static StateSpace space(String tag) {
    List<Expression> rules =
        StructuralTagReader.read(
            new Constraint.StructuralTag(tag.replace('\'', '"'), JsonStyle.USUAL),
            constraint ->
                switch (constraint) {
                  case Constraint.JsonSchema json -> List.of(Expression.text(json.schema()));
                  case Constraint.Regex regex ->
                      List.of(RegexParser.parse(regex.pattern(), RegexParser.Extent.WHOLE));
                  case Constraint.Rules text -> RulesReader.read(text.text(), Budget.defaults());
                  default -> throw new IllegalArgumentException(constraint.toString());
                },
            Budget.defaults());
    return new StateSpace(Grammar.of(rules, Budget.defaults()));
  }

  private static boolean matches(StateSpace space, String text) {
    @Nullable GrammarState state = space.start();
    for (byte value : text.getBytes(StandardCharsets.UTF_8)) {
      state = state == null ? null : space.next(state, value & 0xff);
    }
    return state != null && state.mayEnd();
  }

  /** Every text of some letters, up to a length. */
  private static void compare(
      String tag, String letters, int lengthMax, Predicate<String> expected) {
    StateSpace space = space(tag);
    int matching = compare(space, space.start(), "", letters, lengthMax, expected);
    assertThat(matching).isPositive();
  }

  private static int compare(
      StateSpace space,
      @Nullable GrammarState state,
      String text,
      String letters,
      int rest,
      Predicate<String> expected) {
    boolean is = state != null && state.mayEnd();
    if (is != expected.test(text)) {
      throw new AssertionError("'" + text + "' matches: " + is);
    }
    int matching = is ? 1 : 0;
    for (int i = 0; rest > 0 && i < letters.length(); i++) {
      char letter = letters.charAt(i);
      GrammarState next = state == null ? null : space.next(state, letter);
      matching += compare(space, next, text + letter, letters, rest - 1, expected);
    }
    return matching;
  }

  /** As one reads: up to the first trigger, which a tag must follow. */
  private static boolean dispatches(String text, List<String> triggers, List<Pattern> tags) {
    int first = text.length() + 1;
    int start = 0;
    for (String trigger : triggers) {
      int at = text.indexOf(trigger);
      if (at >= 0 && at + trigger.length() < first) {
        first = at + trigger.length();
        start = at;
      }
    }
    if (first > text.length()) {
      return true;
    }
    for (Pattern tag : tags) {
      for (int end = first; end <= text.length(); end++) {
        if (tag.matcher(text.substring(start, end)).matches()
            && dispatches(text.substring(end), triggers, tags)) {
          return true;
        }
      }
    }
    return false;
  }

  private static final String TAGS =
      "'triggers': ['<a', 'b<'], 'tags': [ {'begin': '<a', 'content': {'type': 'regex', 'pattern':"
          + " 'b*'}, 'end': '>'}, {'begin': '<a>', 'content': {'type': 'const_string', 'value':"
          + " 'ab'}, 'end': ''}, {'begin': 'b<a', 'content': {'type': 'regex', 'pattern': '>?'},"
          + " 'end': 'a'}]";
  private static final List<Pattern> PATTERNS =
      List.of(Pattern.compile("<ab*>"), Pattern.compile("<a>ab"), Pattern.compile("b<a>?a"));

  @Test
  void triggeredTags_everyShortText_isReadFromLeftToRight() {
    List<String> triggers = List.of("<a", "b<");
    compare(
        "{'type': 'structural_tag', 'format': {'type': 'triggered_tags', " + TAGS + "}}",
        "<ab>",
        8,
        text -> dispatches(text, triggers, PATTERNS));
  }

  @Test
  void triggeredTags_atLeastOne_beginWithATag() {
    List<String> triggers = List.of("<a", "b<");
    compare(
        "{'format': {'type': 'triggered_tags', 'at_least_one': true, " + TAGS + "}}",
        "<ab>",
        7,
        text ->
            PATTERNS.stream()
                .anyMatch(
                    tag -> {
                      for (int end = 0; end <= text.length(); end++) {
                        if (tag.matcher(text.substring(0, end)).matches()
                            && dispatches(text.substring(end), triggers, PATTERNS)) {
                          return true;
                        }
                      }
                      return false;
                    }));
  }

  @Test
  void triggeredTags_stopAfterFirst_endWithTheTag() {
    compare(
        "{'format': {'type': 'triggered_tags', 'stop_after_first': true, 'triggers': ['<a'],"
            + " 'tags': [{'begin': '<a', 'content': {'type': 'regex', 'pattern': 'b*'}, 'end':"
            + " '>'}]}}",
        "<ab>",
        7,
        text -> !text.contains("<a") || endsWithOne(text));
  }

  private static boolean endsWithOne(String text) {
    return text.substring(text.indexOf("<a")).matches("<ab*>");
  }

  @Test
  void anyText_inATag_endsWhereTheEndFirstOccurs() {
    compare(
        "{'format': {'type': 'tag', 'begin': 'a', 'content': {'type': 'any_text'}, 'end': 'bab'}}",
        "ab",
        10,
        text ->
            text.startsWith("a")
                && text.indexOf("bab", 1) == text.length() - 3
                && text.length() > 3);
  }

  @Test
  void anyText_twoEndsAndExcluded_endsWithTheFirst() {
    compare(
        "{'format': {'type': 'sequence', 'elements': [{'type': 'tag', 'begin': '', 'content':"
            + " {'type': 'any_text', 'excludes': ['cc']}, 'end': ['ab', 'b']}, {'type':"
            + " 'const_string', 'value': 'c'}]}}",
        "abc",
        7,
        text -> text.matches("[ac]*bc") && !text.substring(0, text.length() - 1).contains("cc"));
  }

  @Test
  void anyText_excluded_doesNotOccur() {
    compare(
        "{'format': {'type': 'any_text', 'excludes': ['aba', 'bb']}}",
        "ab",
        9,
        text -> !text.contains("aba") && !text.contains("bb"));
  }

  @Test
  void triggeredTags_inATag_endWithTheTag() {
    compare(
        "{'format': {'type': 'tag', 'begin': '(', 'content': {'type': 'triggered_tags', 'triggers':"
            + " ['a'], 'tags': [{'begin': 'a', 'content': {'type': 'regex', 'pattern': '[)b]'},"
            + " 'end': 'a'}]}, 'end': ')'}}",
        "(ab)",
        7,
        text -> text.matches("\\((a[)b]a|[(b])*\\)"));
  }

  @Test
  void dispatchLoopAndExcludes_everyShortText_isRead() {
    compare(
        "{'format': {'type': 'dispatch', 'rules': [['<', {'type': 'or', 'elements': [{'type':"
            + " 'regex', 'pattern': 'a+'}, {'type': 'const_string', 'value': 'b'}]}]], 'excludes':"
            + " ['bb']}}",
        "<ab",
        7,
        text -> text.matches("(?:<(?:a+|b)|a|b(?!b))*"));
  }

  @Test
  void otherFormats_everyShortText_isRead() {
    compare(
        "{'format': {'type': 'sequence', 'elements': [{'type': 'optional', 'content': {'type':"
            + " 'const_string', 'value': 'b'}}, {'type': 'tags_with_separator', 'separator': 'b',"
            + " 'tags': [{'begin': '', 'content': {'type': 'grammar', 'grammar': 'root ::= root"
            + " \\\"a\\\" | \\\"a\\\"'}, 'end': 'c'}]}, {'type': 'repeat', 'min': 1, 'max': 2,"
            + " 'content': {'type': 'const_string', 'value': 'ca'}}, {'type': 'star', 'content':"
            + " {'type': 'const_string', 'value': 'b'}}, {'type': 'plus', 'content': {'type':"
            + " 'const_string', 'value': 'c'}}]}}",
        "abc",
        9,
        text -> text.matches("b?(a+c(ba+c)*)?(ca){1,2}b*c+"));
  }

  @Test
  void structures_schemas_areIncluded() {
    StateSpace space =
        space(
            "{'type': 'structural_tag', 'structures': [{'begin': '<f=a>', 'schema': {'x': 1},"
                + " 'end': '</f>'}, {'begin': '<f=b>', 'schema': true, 'end': '</f>'}], 'triggers':"
                + " ['<f=']}");
    assertThat(matches(space, "Hi <f=a>{\"x\":1}</f> <f <f=b>true</f><f=")).isFalse();
    assertThat(matches(space, "Hi <f=a>{\"x\":1}</f> <f <f=b>true</f><f")).isTrue();
    assertThat(matches(space, "<f=c>")).isFalse();
    assertThat(matches(space, "日本")).isTrue();
  }

  @Test
  void compile_realSchemas_holdsTheContent() {
    String schema =
        "{'type': 'object', 'properties': {'x': {'type': 'integer'}}, 'required': ['x'],"
            + " 'additionalProperties': false}";
    String format =
        "{'format': {'type': 'triggered_tags', 'triggers': ['<f='], 'tags': [{'begin': '<f=a>',"
            + " 'content': {'type': 'json_schema', 'json_schema': "
            + schema
            + "}, 'end': '</f>'}]}}";
    String structures =
        "{'structures': [{'begin': '<f=a>', 'schema': "
            + schema
            + ", 'end': '</f>'}], 'triggers': ['<f=']}";
    for (String tag : List.of(format, structures)) {
      Constraint constraint = new Constraint.StructuralTag(tag.replace('\'', '"'), JsonStyle.USUAL);
      StateSpace space = new StateSpace(GrammarCompiler.compile(constraint, Budget.defaults()));
      assertThat(matches(space, "So <f=a>{\"x\": 12}</f> and <f=a>{\"x\":1}</f>.")).isTrue();
      assertThat(matches(space, "So <f=a>{\"x\": 1.5}</f>")).isFalse();
      assertThat(matches(space, "So <f=a>{}</f>")).isFalse();
      assertThat(matches(space, "So <f=b>")).isFalse();
    }
  }

  @ParameterizedTest
  @MethodSource("refused")
  void read_malformedOrUnsupported_saysWhatAndWhere(Map.Entry<String, String> example) {
    assertThatThrownBy(() -> space(example.getKey()))
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining(example.getValue());
  }

  static List<Map.Entry<String, String>> refused() {
    return List.of(
        Map.entry("{", "not JSON"),
        Map.entry("", "format, or structures"),
        Map.entry("[]", "format, or structures"),
        Map.entry("{'format': {}}", "format: type is missing"),
        Map.entry("{'format': {'type': 'qwen_xml_parameter'}}", "the type qwen_xml_parameter"),
        Map.entry("{'format': {'type': 'token', 'token': 1}}", "the type token is not"),
        Map.entry(
            "{'format': {'type': 'json_schema', 'style': 'qwen_xml', 'json_schema': {}}}",
            "the style qwen_xml"),
        Map.entry("{'format': {'type': 'any_text', 'max_tokens': 3}}", "max_tokens"),
        Map.entry(
            "{'format': {'type': 'sequence', 'elements': [{'type': 'tag', 'begin': 'a'}]}}",
            "format.elements[0]: end is missing"),
        Map.entry("{'format': {'type': 'const_string', 'value': 3}}", "value must be a text"),
        Map.entry("{'structures': [], 'triggers': ['a']}", "no tag begins with the trigger a"),
        Map.entry("{'structures': [], 'triggers': []}", "triggers are missing"),
        Map.entry("{'structures': [], 'triggers': ['']}", "not empty"),
        Map.entry(
            "{'format': {'type': 'repeat', 'min': 3, 'max': 2, 'content': {'type': 'any_text'}}}",
            "at least 3 and at most 2"),
        Map.entry(
            "{'format': " + "{'type': 'star', 'content': ".repeat(200) + "1" + "}".repeat(201),
            "nested more than"),
        Map.entry("{'format': {'type': 'regex', 'pattern': '('}}", "the regular expression"));
  }
}
