package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Grammars as people write them, in GBNF and in Lark's notation. */
class RulesReaderTest {
  record Example(String name, String rules, List<String> right, List<String> wrong) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static boolean matches(String rules, String text) {
    return matches(space(rules), text);
  }

  private static StateSpace space(String rules) {
    return new StateSpace(GrammarCompiler.compile(new Constraint.Rules(rules), untimed()));
  }

  /** The default limits but that of time: the machine may be busy with other things. */
  private static Budget untimed() {
    return new Budget(Budget.Limits.defaults(), () -> 0);
  }

  private static boolean matches(StateSpace space, String text) {
    @Nullable GrammarState state = space.start();
    for (byte value : text.getBytes(StandardCharsets.UTF_8)) {
      state = state == null ? null : space.next(state, value & 0xff);
    }
    return state != null && state.mayEnd();
  }

  static List<Example> examples() {
    return List.of(
        json(),
        arithmetic(),
        list(),
        chess(),
        sql(),
        cLike(),
        larkJson(),
        larkCalculator(),
        larkFilter());
  }

  private static Example json() {
    return new Example(
        "JSON",
        """
        # any JSON value
        root    ::= blank value
        value   ::= (map | array | text | number | "true" | "false" | "null") blank
        map     ::= "{" blank (pair ("," blank pair)*)? "}"
        pair    ::= text blank ":" blank value
        array   ::= "[" blank
                    (value ("," blank value)*)?
                    "]"
        text    ::= "\\"" ([^"\\\\\\x00-\\x1f] | "\\\\" (["\\\\/bfnrt] | "u" hex{4}))* "\\""
        hex     ::= [0-9a-fA-F]
        number  ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
        blank   ::= [ \\t\\r\\n]*
        """,
        List.of("{}", " [1, -2.5e+3 ,\"é\\u00e9\\n\"] ", "{\"a\":{\"b\":[[],null]}}", "0"),
        List.of("", "{,}", "[1,]", "01", "\"\t\"", "{\"a\" 1}", "[", "\"\\u12g4\""));
  }

  private static Example arithmetic() {
    return new Example(
        "arithmetic",
        """
        root ::= (sum "=" ws term "\\n")+
        sum  ::= term ([-+*/] ws term)*
        term ::= ident | num | "(" ws sum ")" ws
        ident ::= [a-z] [a-z0-9_]* ws
        num ::= [0-9]+ ws
        ws  ::= [ \\t]*
        """,
        List.of("1 + 2=3\n", "(a1*(b_ - 3)) = x\n1=1\n"),
        List.of("1+=2\n", "1=1", "(1=1\n", "A=1\n"));
  }

  private static Example list() {
    return new Example(
        "list",
        """
        root ::= item{2,4}
        item ::= "- " [^\\r\\n\\x0b\\u0085]+ "\\n"
        """,
        List.of("- eggs\n- milk\n", "- a\n- b\n- c\n- 日本\n"),
        List.of("- a\n", "- a\n- b", "-a\n-b\n", "- a\n- b\n- c\n- d\n- e\n"));
  }

  private static Example chess() {
    return new Example(
        "chess",
        """
        root    ::= turn+ result?
        turn    ::= [1-9] [0-9]? ". " half (" " half)? "\\n"
        half    ::= (piece | pawn | "O-O" "-O"?) [+#]?
        piece   ::= [NBKQR] [a-h]? [1-8]? "x"? square
        pawn    ::= ([a-h] "x")? square ("=" [NBQR])?
        square  ::= [a-h] [1-8]
        result  ::= "1-0" | "0-1" | "1/2-1/2"
        """,
        List.of("1. e4 e5\n2. Nf3 Nc6\n3. O-O Qxd2+\n1-0", "40. exd8=Q# O-O-O\n"),
        List.of("1. e9 e5\n", "0. e4\n", "1. e4 e5", "1. O-O-O-O\n"));
  }

  private static Example sql() {
    return new Example(
        "SQL",
        """
        root ::= query ";"
        query ::= "SELECT " columns " FROM " name join? where? order?
        columns ::= "*" | column (", " column)*
        column ::= (name ".")? name (" AS " name)?
        join ::= " JOIN " name " ON " column " = " column
        where ::= " WHERE " condition
        condition ::= condition " AND " test | condition " OR " test | test
        test ::= column " " ("=" | "<>" | "<" "="? | ">" "="?) " " value
          | column " IN (" (query | value (", " value)*) ")"
          | "(" condition ")"
        value ::= [0-9]+ | "'" ([^'] | "''")* "'" | column
        order ::= " ORDER BY " column (" ASC" | " DESC")?
        name ::= [a-z_] [a-z0-9_]{0,30}
        """,
        List.of(
            "SELECT * FROM t;",
            "SELECT a.x AS y, b FROM t JOIN u ON t.id = u.id WHERE (a = 1 OR b <> 'it''s') AND c >="
                + " 2 AND d IN (SELECT x FROM y WHERE z < 3) ORDER BY b DESC;"),
        List.of(
            "SELECT FROM t;",
            "SELECT * FROM t WHERE;",
            "SELECT a FROM t WHERE a = 'x;",
            "SELECT *"));
  }

  private static Example cLike() {
    return new Example(
        "C",
        """
        root ::= (function s)+
        function ::= type " " name "(" (type " " name (", " type " " name)*)? ") " block
        type ::= "int" | "char" " "? "*"? | "void"
        name ::= [a-zA-Z_] [a-zA-Z_0-9]*
        block ::= "{" s (statement s)* "}"
        statement ::= type " " name " = " expression ";"
            | name " = " expression ";"
            | "return" (" " expression)? ";"
            | "if (" expression ") " block (" else " (block | statement))?
            | "while (" expression ") " block
            | call ";" | ";"
        expression ::= expression " " [-+*/%<>] " " expression | unary
        unary ::= [-!]? (name | [0-9]+ | call | "(" expression ")" | "'" [^'\\\\] "'")
        call ::= name "(" (expression (", " expression)*)? ")"
        s ::= [ \\n]*
        """,
        List.of(
            "int main() { return 0; }",
            """
            int f(int a, char * b) {
              if (a < 2 * (3 + g(a))) { return -1; } else ;
              while (!a) {}
            }
            void g() {}
            """),
        List.of(
            "int main() { return 0 }",
            "main() {}",
            "int f() { if a {} }",
            "int f() { x = 1 + ; }"));
  }

  private static Example larkJson() {
    return new Example(
        "JSON in Lark's notation",
        """
        ?start: value
        ?value: object | array
              | ESCAPED_STRING
              | SIGNED_NUMBER  -> number
              | "true" | "false" | "null" -> null
        array  : "[" [value ("," value)*] "]"
        object : "{" [pair ("," pair)*] "}"
        pair   : ESCAPED_STRING ":" value   // a name and its value

        %import common (ESCAPED_STRING, SIGNED_NUMBER)
        %import common.WS
        %ignore WS
        """,
        List.of(" { \"a\" : [ 1 ,\n-2.5e3 , null ] } ", "[]", "\"a\\\"b\"", "+1"),
        List.of("{\"a\" 1}", "nul l", "1 2", "", "\"a"));
  }

  private static Example larkCalculator() {
    return new Example(
        "calculator",
        """
        start: (assignment _NL)* expr _NL?
        assignment: NAME "=" expr
        !expr: expr ("+"|"-") term
             | term
        term: term "*" factor | term "/" factor | factor
        ?factor.2: ("+"|"-") factor | power
        power: atom ["**" factor]
        atom: NUMBER | NAME | "(" expr ")" | "max"i "(" expr ~ 1..2 ")"
        NAME: ("_" | "a".."z") ("_" | "a".."z" | "0".."9")*
        _NL.-1: /(\\r?\\n)+/
        %import common.FLOAT -> NUMBER
        %import common.WS_INLINE
        %ignore WS_INLINE
        %ignore /#[^\\n]*/
        """,
        List.of("x = 1.5 * (y - 2.)\n x ** -3.0 # cubed", "MaX(1.0 x)", "a-b-c"),
        List.of("x = \n1.0", "1", "(1.5", "max(a b c)", "1.5 +"));
  }

  private static Example larkFilter() {
    return new Example(
        "filter",
        """
        # without a rule start: begins with the first
        filter: clause (_and clause)*
        _and: " " /and|&&/i " "
        clause: FIELD OP VALUE | "not " clause
        FIELD: LETTER (LETTER | DIGIT)~0..7
        OP: ":" | "<" "="?
        VALUE: '"' /[^"]*/ '"' | /\\d{1,3}/
        %import common.LETTER
        %import common.DIGIT
        """,
        List.of("a:1", "name12:\"x y\" AND not b<=20 && c<3"),
        List.of("a:1234", "a:1 or b:2", "abcdefghi:1", "a : 1"));
  }

  @ParameterizedTest
  @MethodSource("examples")
  void compile_grammarAsPeopleWriteThem_matchesWhatItSays(Example example) {
    StateSpace space = space(example.rules);
    for (String text : example.right) {
      assertThat(matches(space, text)).as(text).isTrue();
    }
    for (String text : example.wrong) {
      assertThat(matches(space, text)).as(text).isFalse();
    }
  }

  record Case(String rules, String text, boolean matches) {}

  static List<Case> cases() {
    return List.of(
        new Case("root ::= 'a' \"b\"", "ab", true),
        new Case("root ::= \"\\x41\\u00e9\\U0001F600\\\"\\\\\"", "Aé😀\"\\", true),
        new Case("root ::= [\\]\\-\\^a-c-]+", "]-^b", true),
        new Case("root ::= [^\\n]*", "日a", true),
        new Case("root ::= . .", "😀\n", true),
        new Case("root ::= (\"a\" | ) \"b\"", "b", true),
        new Case("root ::= \"\"", "", true),
        new Case("root ::= a-b_c.d\na-b_c.d ::= \"x\"{2} # two", "xx", true),
        new Case("root ::= \"a\"{ 1 , }", "aaa", true),
        new Case("root ::= \"a\"{,2}", "aaa", false),
        new Case("root ::= \"a\" |\n  \"b\"\n  | \"c\"", "c", true),
        new Case("root ::= x x ::= \"y\"", "y", true),
        new Case("start: \"a\"~2..3", "aaa", true),
        new Case("start: \"a\"{2} \"b\"", "aab", true),
        new Case("start: a ?a: \"x\"", "x", true),
        new Case("start: A\nA: \"b\" | \"c\" \"d\"", "cd", true),
        new Case("start: \"a\" [\"b\"]", "a", true),
        new Case("start: /a b/i \"É\"i", "A Bé", true),
        new Case("start: /a.b/s", "a\nb", true),
        new Case("start: /[\\/]\\//", "//", true),
        new Case("start: \"::=\"", "::=", true),
        new Case("start: \"a\" // b\n  | \"c\" # d", "c", true),
        new Case("start: CNAME \" \" HEXDIGIT\n%import common (CNAME, HEXDIGIT)", "_x1 F", true),
        new Case("%ignore \" \"\nstart: WORD+\nWORD: /[a-z]+/", "a  bc d", true));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void compile_syntax_isRead(Case example) {
    assertThat(matches(example.rules, example.text)).isEqualTo(example.matches);
  }

  @ParameterizedTest
  @MethodSource("malformed")
  void compile_malformedOrUnsupported_saysWhatAndWhere(Map.Entry<String, String> example) {
    assertThatThrownBy(() -> space(example.getKey()))
        .isInstanceOf(GrammarException.class)
        .hasMessageContaining(example.getValue());
  }

  static List<Map.Entry<String, String>> malformed() {
    return List.of(
        Map.entry("", "the grammar has no rules"),
        Map.entry("# nothing\n", "the grammar has no rules"),
        Map.entry("a ::= \"x\"", "no rule root"),
        Map.entry("root ::= x\n", "line 1, column 10: the rule x is not defined, at x"),
        Map.entry(
            "root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: the rule root is defined twice"),
        Map.entry("root ::= \"a\n", "line 1, column 10: the literal is not closed"),
        Map.entry("root ::= [a\n", "[ is not closed"),
        Map.entry("root ::= [b-a]", "a range in []"),
        Map.entry("root ::= []", "expected a character in []"),
        Map.entry("root ::= (\"a\"", "column 10: ( is not closed"),
        Map.entry("root ::= \"a\")", "column 13: unmatched )"),
        Map.entry("root ::= \"a\"**", "needs a group"),
        Map.entry("root ::= * \"a\"", "expected a literal"),
        Map.entry("root ::= \"a\"{3,2}", "at least 3 and at most 2"),
        Map.entry("root ::= \"a\"{x}", "expected a number of repetitions"),
        Map.entry("root ::= \"\\q\"", "\\q is not an escape"),
        Map.entry("root ::= \"\\ud800\"", "half of a pair"),
        Map.entry("root ::= \"a\" (=\"b\")", "looking ahead"),
        Map.entry("root ::= <think> \"a\"", "tokens in <>"),
        Map.entry("root ::= TagDispatch((\"a\", b))", "TagDispatch is not supported"),
        Map.entry("root = \"a\"\nx ::= \"b\"", "expected ::= behind the rule's name root"),
        Map.entry("start \"a\"", "expected : behind the name start"),
        Map.entry("start: a\n", "the rule a is not defined"),
        Map.entry("start: A\nA: b\nb: \"x\"", "a terminal cannot contain the rule b"),
        Map.entry("start: list{\"a\"}\n", "the template list is not supported"),
        Map.entry("list{x}: x\n", "the template list is not supported"),
        Map.entry("%declare A\nstart: A", "%declare is not supported"),
        Map.entry("%import python.NAME\nstart: NAME", "only terminals of the module common"),
        Map.entry("%import common.FOO\nstart: FOO", "no terminal FOO"),
        Map.entry("start: /a(?=b)/", "looking ahead"),
        Map.entry("start: /a/x", "the flag x is not supported"),
        Map.entry("start: /a/g", "unknown flag g"),
        Map.entry("start: /a\n", "the pattern is not closed"),
        Map.entry("start: \"b\"..\"a\"", "a range goes"),
        Map.entry("start: [\"a\"", "[ is not closed"),
        Map.entry("start: \"a\"~3..2", "at least 3"),
        Map.entry("start: <|tool|> \"a\"", "tokens in <>"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"(", "[", "\"a\" (", "(((\"a\")*)*"})
  void read_deeplyNestedGroups_isRefused(String open) {
    for (String start : List.of("root ::= ", "start: ")) {
      assertThatThrownBy(() -> space(start + open.repeat(100_000)))
          .isInstanceOf(GrammarException.class);
    }
  }

  @Test
  void compile_longText_isReadOrRefusedSoon() {
    String chain = chain(8_000, 1);
    String reversed = chain(8_000, -1);
    for (String rules :
        List.of(
            "root ::= " + "\"a\" ".repeat(200_000),
            "root ::= " + "\"a\" | ".repeat(140_000) + "\"a\"",
            "root ::= [" + "ab".repeat(200_000) + "]",
            "root ::= \"" + "x".repeat(1_000_000) + "\"",
            "x ".repeat(200_000),
            " ".repeat(1_000_000),
            "root ::= \"" + "x".repeat(3_000_000) + "\"",
            chain,
            reversed,
            chain.replace("::=", "::= \"\" |"))) {
      long start = cpuNanos();
      try {
        space(rules);
      } catch (GrammarException expected) {
        assertThat(expected.getMessage()).hasSizeLessThan(300);
      }
      assertThat(cpuNanos() - start).as(rules.substring(0, 30)).isLessThan(2_500_000_000L);
    }
  }

  /** Of this thread, whatever else the machine does. */
  private static long cpuNanos() {
    return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
  }

  /** Each rule calls the next, which is written behind it or before it. */
  private static String chain(int length, int direction) {
    StringBuilder rules = new StringBuilder();
    for (int i = 0; i < length; i++) {
      int rule = direction > 0 ? i : length - 1 - i;
      String body = rule + 1 < length ? "\"(\" r" + (rule + 1) + " \")\"" : "\"x\"";
      rules.append(rule == 0 ? "root" : "r" + rule).append(" ::= ").append(body).append('\n');
    }
    return rules.toString();
  }

  @Test
  void read_smallRules_areWrittenOut() {
    List<Expression> rules =
        RulesReader.read(
            """
            root ::= word (space word)*
            word ::= letter+
            letter ::= [a-z] | [A-Z]
            space ::= " "
            """,
            Budget.defaults());
    assertThat(rules).hasSize(1);
  }
}
