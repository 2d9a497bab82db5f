package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Constraint.Choice;
import io.verdier.engine.grammar.Constraint.JsonSchema;
import io.verdier.engine.grammar.Constraint.JsonStyle;
import io.verdier.engine.grammar.Constraint.Regex;
import io.verdier.engine.grammar.Constraint.Rules;
import io.verdier.engine.grammar.Constraint.StructuralTag;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** What is made to cost much: time, states, depth or memory. Stateless. */
final class TestBombs {
  private static final int DEEP = 30_000;

  private final Map<String, Constraint> all = new LinkedHashMap<>();

  private TestBombs() {}

  static Map<String, Constraint> all() {
    TestBombs bombs = new TestBombs();
    bombs.addPatterns();
    bombs.addGrammars();
    bombs.addSchemas();
    bombs.addLargeSchemas();
    bombs.addLogic();
    bombs.addTexts();
    return bombs.all;
  }

  private void regex(String name, String pattern) {
    all.put("regex: " + name, new Regex(pattern));
  }

  private void rules(String name, String text) {
    all.put("rules: " + name, new Rules(text));
  }

  private void json(String name, String schema) {
    all.put("json: " + name, new JsonSchema(schema.replace('\'', '"'), JsonStyle.USUAL));
  }

  private static String nested(String open, String inner, String close, int depth) {
    return open.repeat(depth) + inner + close.repeat(depth);
  }

  private static String joined(int count, String separator, String piece) {
    return IntStream.range(0, count)
        .mapToObj(i -> piece.replace("#", Integer.toString(i)))
        .collect(Collectors.joining(separator));
  }

  private void addPatterns() {
    regex("nested repetitions", "((a{1,60}b?){1,60}|[^x]*a.{18}){1,9}");
    regex("exponential DFA", "[ab]*a[ab]{30}");
    regex("exponential DFA of Unicode", "(.*a){25}");
    regex("alternatives of exponential DFAs", joined(40, "|", "[ab#]*a.{12}"));
    regex("(a+)+b", "(a+)+b");
    regex("(a|aa)*b", "(a|aa)*b");
    regex("counts of counts", "x{1,1000}{1,1000}");
    regex("counts of groups of counts", "(x{1,1000}){1,1000}");
    regex("counts of counts of counts", "(((ab?){1,99}c){1,99}d){1,99}");
    regex("any characters", "[\\u0000-\\u{10ffff}]{1,65535}");
    regex("looking ahead", "(?=a)b");
    regex("back-reference", "(a)\\1");
    regex("deep", nested("(", "a", ")", DEEP));
    regex("many letters", "\\p{L}".repeat(20_000));
    regex("many other letters", "\\P{Lu}".repeat(20_000));
    regex("many sets", joined(20_000, "", "[^\\p{L}#]"));
    regex("letters of either case", "(?i)" + "\\p{L}".repeat(3000));
    regex("long in either case", "(?i)" + "abcdefgh".repeat(60_000));
    regex("letters counted", "(\\p{L}\\p{N}){1,400}");
    regex("letters behind letters", "(\\p{L}*\\p{N}*){1,40}\\p{Lu}{1,300}");
    regex("words of letters", joined(3000, "|", "\\p{Lu}+#"));
    regex("long", "ab".repeat(500_000));
    regex("too long", "a".repeat(1_100_000));
    regex("optional parts", "(a?){30000}");
    regex("optional letters", joined(5000, "", "(a#)?"));
    regex("huge counts", "(a{1000000000}b){1000000000}");
  }

  private void addGrammars() {
    rules("itself", "root ::= root");
    rules("left recursion", "root ::= root \"a\" | \"b\"");
    rules("circle", "root ::= a\na ::= b\nb ::= a");
    rules("two ways round", "root ::= a \"x\" | \"c\"\na ::= root \"y\" | a a");
    rules("deep groups", "root ::= " + nested("(", "\"a\"", ")", DEEP));
    rules("deep groups of Lark", "start: " + nested("(", "\"a\"", ")", DEEP));
    rules("deep pattern", "start: /" + nested("(", "a", ")", DEEP) + "/");
    rules("counts", "root ::= (\"a\"{1,999}){1,999}");
    rules(
        "a chain of rules",
        "root ::= r0\n"
            + joined(20_000, "\n", "r# ::= x#")
            + "\n"
            + joined(20_000, "\n", "x# ::= \"a\""));
    rules(
        "a chain that may be empty",
        "root ::= r0\n"
            + IntStream.range(0, 20_000)
                .mapToObj(i -> "r" + i + " ::= r" + (i + 1))
                .collect(Collectors.joining("\n"))
            + "\nr20000 ::= \"a\"?");
    rules(
        "doubling rules",
        "root ::= r0\n"
            + IntStream.range(0, 60)
                .mapToObj(i -> "r" + i + " ::= r" + (i + 1) + " r" + (i + 1))
                .collect(Collectors.joining("\n"))
            + "\nr60 ::= \"a\"");
    rules(
        "groups that begin with each other",
        IntStream.range(0, 300)
                .mapToObj(
                    g ->
                        IntStream.range(0, 12)
                            .mapToObj(
                                i ->
                                    "g%dr%d ::= ".formatted(g, i)
                                        + IntStream.range(0, 12)
                                            .mapToObj(j -> "g%dr%d \"%d\"".formatted(g, j, i))
                                            .collect(Collectors.joining(" | "))
                                        + " | \"a\"")
                            .collect(Collectors.joining("\n")))
                .collect(Collectors.joining("\n"))
            + "\nroot ::= "
            + joined(300, " | ", "g#r0"));
    rules(
        "a word used often",
        "root ::= " + "w ".repeat(200_000) + "\nw ::= \"" + "a".repeat(40) + "\"");
    rules("large classes", "root ::= " + "[^a-z0-9] ".repeat(60_000));
    rules("texts in either case", "start: \"" + "abcdefgh".repeat(100_000) + "\"i");
    rules("many readings", "root ::= root root | \"a\" | \"a\" root \"b\" | root \"a\" root");
  }

  private void addSchemas() {
    json("refers to itself", "{'properties':{'a':{'$ref':'#/properties/a'}},'required':['a']}");
    json("refers elsewhere", "{'$ref':'http://localhost/schema'}");
    json(
        "refers to each other",
        "{'$ref':'#/$defs/a','$defs':{'a':{'$ref':'#/$defs/b'}," + "'b':{'$ref':'#/$defs/a'}}}");
    json("10^5 options", "{'anyOf':[" + joined(90_000, ",", "{}") + "]}");
    json("options that differ", "{'anyOf':[" + joined(15_000, ",", "{'const':'#'}") + "]}");
    json("an enum of 10^6", "{'enum':[" + joined(140_000, ",", "#") + "]}");
    json("an enum of letters", "{'enum':[" + joined(15_000, ",", "'é日本#é'") + "]}");
    json("minItems", "{'type':'array','minItems':1000000000}");
    json("minLength", "{'type':'string','minLength':1000000000}");
    json("pattern and length", "{'type':'string','pattern':'^(a|b)*a(a|b){14}$','maxLength':9999}");
    json("letters and length", "{'type':'string','pattern':'^[\\\\p{L} ]+$','maxLength':20000}");
    json("formats and length", "{'type':'string','format':'uri','minLength':5000}");
    json(
        "many patterns",
        "{'type':'object','properties':{"
            + joined(400, ",", "'p#':{'type':'string','pattern':'^\\\\p{L}+#$'}")
            + "}}");
    json(
        "patterns together",
        "{'allOf':[" + joined(60, ",", "{'pattern':'[ab]*a[ab]{9}c#'}") + "]}");
    json(
        "patterns of names",
        "{'patternProperties':{"
            + joined(6, ",", "'^.*a.{#}b':true")
            + "},'additionalProperties':false}");
    json(
        "names beside patterns",
        "{'properties':{"
            + joined(2000, ",", "'ü#':{}")
            + "},'patternProperties':{"
            + joined(6, ",", "'^.*#':{'type':'null'}")
            + "}}");
  }

  private void addLargeSchemas() {
    json("4,000 optional properties", TestSchemas.object(4000, 0, true));
    json(
        "counted properties",
        "{'properties':{"
            + joined(
                60,
                ",",
                "'o#':{'type':'object',"
                    + "'properties':{"
                    + joined(60, ",", "'p@'".replace("@", "#") + ":{}")
                    + "},'maxProperties':50}")
            + "}}");
    json("deep", nested("{'items':", "{}", "}", DEEP));
    json("deep within bounds", nested("{'items':", "{}", "}", 249));
    json("deep names", nested("{'properties':{'" + "n".repeat(3000) + "':", "{}", "}}", 120));
    json("a long name", "{'properties':{'" + "ü".repeat(300_000) + "':{}}}");
    json("a long constant", "{'const':'" + "\\\\u00e9".repeat(60_000) + "'}");
    json("a large constant", "{'const':[" + joined(40_000, ",", "'x#'") + "]}");
    json("multiples", "{'type':'integer','multipleOf':7919,'minimum':0}");
    json("fractions", "{'type':'number','multipleOf':0.0001,'minimum':-1e39,'maximum':1e39}");
    json(
        "unlike many numbers",
        "{'type':'number','not':{'enum':[" + joined(3000, ",", "#.5") + "]}}");
    json(
        "unlike many texts",
        "{'type':'string','not':{'enum':[" + joined(8000, ",", "'x#y'") + "]}}");
  }

  private void addLogic() {
    String options = "{'anyOf':[{'required':['a#']},{'required':['b#']}]}";
    json("product of options", "{'allOf':[" + joined(40, ",", options) + "]}");
    json("product within bounds", "{'allOf':[" + joined(11, ",", options) + "]}");
    json("all of many", "{'allOf':[" + joined(3000, ",", "{'required':['a#']}") + "]}");
    json("one of many", "{'oneOf':[" + joined(300, ",", "{'required':['a#']}") + "]}");
    json("one of many patterns", "{'oneOf':[" + joined(40, ",", "{'pattern':'a#'}") + "]}");
    json("not not", nested("{'not':", "{}", "}", 240));
    json(
        "conditions",
        "{'allOf':["
            + joined(
                40,
                ",",
                "{'if':{'required':['a#']},'then':{'required':['b#']},'else':{'required':['c#']}}")
            + "]}");
    json(
        "dependencies",
        "{'dependentSchemas':{" + joined(60, ",", "'a#':{'required':['b#']}") + "}}");
    json(
        "unique",
        "{'type':'array','uniqueItems':true,'items':{'enum':[" + joined(4000, ",", "#") + "]}}");
    json(
        "options at each level",
        "{'$ref':'#/$defs/n','$defs':{'n':{'anyOf':["
            + joined(40, ",", "{'type':'object','properties':{'in':{'$ref':'@'},'p#':{}}}")
                .replace("@", "#/$defs/n")
            + "]}}}");
  }

  private void addTexts() {
    all.put(
        "choice: many",
        new Choice(IntStream.range(0, 300_000).mapToObj(i -> "option " + i * 7919L).toList()));
    all.put("choice: long", new Choice(List.of("a".repeat(2_000_000), "b".repeat(40_000))));
    all.put(
        "tag: deep", new StructuralTag(nested("{\"format\":", "{}", "}", DEEP), JsonStyle.USUAL));
    all.put("tag: large", new StructuralTag("[" + "0,".repeat(400_000) + "0]", JsonStyle.USUAL));
    all.put(
        "tag: many patterns",
        new StructuralTag(
            ("{'format':{'type':'sequence','elements':["
                    + joined(50, ",", "{'type':'regex','pattern':'(.*a){9}'}")
                    + "]}}")
                .replace('\'', '"'),
            JsonStyle.USUAL));
    all.put(
        "tag: many triggers",
        new StructuralTag(
            ("{'structures':["
                    + joined(500, ",", "{'begin':'<t#>','end':'</t#>','schema':{}}")
                    + "],'triggers':["
                    + joined(500, ",", "'<t#'")
                    + "]}")
                .replace('\'', '"'),
            JsonStyle.USUAL));
  }
}
