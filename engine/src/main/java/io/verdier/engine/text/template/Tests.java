package io.verdier.engine.text.template;

import java.util.HashMap;
import java.util.Map;

/** Tests by name: {@code value is name(args)}. Immutable. */
final class Tests {
  /** One test. */
  interface Test {
    boolean apply(Rendering rendering, Object value, Args args);
  }

  static final Map<String, Test> TABLE = table();

  private Tests() {}

  private static Map<String, Test> table() {
    Map<String, Test> table = new HashMap<>();
    addTypes(table);
    addRelations(table);
    table.put("defined", plain(value -> !(value instanceof Undefined)));
    table.put("undefined", plain(value -> value instanceof Undefined));
    table.put("odd", (rendering, value, args) -> isOdd(remainder(rendering, value, 2L)));
    table.put("even", (rendering, value, args) -> isZero(remainder(rendering, value, 2L)));
    table.put(
        "divisibleby",
        (rendering, value, args) ->
            isZero(remainder(rendering, value, args.bind("divisibleby", "num").required(0))));
    table.put("lower", (rendering, value, args) -> Casing.isLower(text(rendering, value)));
    table.put("upper", (rendering, value, args) -> Casing.isUpper(text(rendering, value)));
    table.put("filter", plain(value -> Filters.TABLE.containsKey(value)));
    table.put("test", plain(Tests::isTest));
    table.put("sameas", Tests::sameAs);
    return Map.copyOf(table);
  }

  /** A test that needs nothing but the value. */
  private interface Plain {
    boolean apply(Object value);
  }

  private static Test plain(Plain plain) {
    return (rendering, value, args) -> {
      args.bind("test");
      return plain.apply(value);
    };
  }

  private static void addTypes(Map<String, Test> table) {
    table.put("none", plain(value -> value == None.NONE));
    table.put("boolean", plain(value -> value instanceof Boolean));
    table.put("true", plain(value -> value.equals(true)));
    table.put("false", plain(value -> value.equals(false)));
    table.put("integer", plain(value -> Operators.isInteger(value) && !(value instanceof Boolean)));
    table.put("float", plain(value -> value instanceof Double));
    table.put("number", plain(Operators::isNumber));
    table.put("string", plain(Types::isText));
    table.put("mapping", plain(value -> value instanceof Dict));
    table.put("iterable", plain(value -> Types.isIterable(value) || value instanceof Loop));
    table.put("sequence", plain(Tests::isSequence));
    table.put("callable", plain(value -> value instanceof Callable || value instanceof Undefined));
    table.put("escaped", plain(value -> value instanceof Markup));
  }

  private static boolean isSequence(Object value) {
    return Types.isIterable(value) && !(value instanceof Lazy) && !(value instanceof DictView);
  }

  private static void addRelations(Map<String, Test> table) {
    relation(table, Expr.Relation.EQ, "==", "eq", "equalto");
    relation(table, Expr.Relation.NE, "!=", "ne");
    relation(table, Expr.Relation.LT, "<", "lt", "lessthan");
    relation(table, Expr.Relation.LE, "<=", "le");
    relation(table, Expr.Relation.GT, ">", "gt", "greaterthan");
    relation(table, Expr.Relation.GE, ">=", "ge");
    relation(table, Expr.Relation.IN, "in");
  }

  private static void relation(Map<String, Test> table, Expr.Relation relation, String... names) {
    Test test =
        (rendering, value, args) ->
            Comparison.test(
                relation, value, args.bind(names[0], "other").required(0), rendering.meter());
    for (String name : names) {
      table.put(name, test);
    }
  }

  static boolean apply(String name, Rendering rendering, Object value, Args args) {
    Test test = TABLE.get(name);
    if (test == null) {
      throw TemplateException.runtime("no test named '" + name + "'");
    }
    return test.apply(rendering, value, args);
  }

  private static boolean isTest(Object value) {
    return TABLE.containsKey(value);
  }

  private static Object remainder(Rendering rendering, Object value, Object divisor) {
    return Operators.binary(Expr.Operator.MOD, value, divisor, rendering.meter());
  }

  private static boolean isOdd(Object remainder) {
    return remainder.equals(1L) || remainder.equals(1.0);
  }

  private static boolean isZero(Object number) {
    return Operators.isNumber(number) && !Types.truth(number);
  }

  private static String text(Rendering rendering, Object value) {
    String text = Show.str(value, rendering.meter());
    rendering.meter().chars(text.length());
    return text;
  }

  /** One object; immutable values count as one when they are equal, as small ones are in Python. */
  private static boolean sameAs(Rendering rendering, Object value, Args args) {
    Object other = args.bind("sameas", "other").required(0);
    boolean scalar = Types.isText(value) || Operators.isNumber(value);
    return Comparison.isOne(value, other) || (scalar && value.equals(other));
  }
}
