package io.verdier.engine.text.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Python's arithmetic: integers that grow, floored division, sequences that add and repeat. */
final class Operators {
  /** Larger integers are refused: nothing sensible needs them, and their powers cost a lot. */
  private static final int INTEGER_BITS_MAX = 1 << 16;

  private static final BigInteger LONG_MIN = BigInteger.valueOf(Long.MIN_VALUE);
  private static final BigInteger LONG_MAX = BigInteger.valueOf(Long.MAX_VALUE);
  private static final double WHOLE_MAX = 9.0e18;

  /** Doubles hold every integer up to here. */
  private static final long EXACT_MAX = 1L << 53;

  private Operators() {}

  static Object binary(Expr.Operator operator, Object left, Object right, Meter meter) {
    if (left instanceof Undefined undefined) {
      throw undefined.failure();
    }
    if (operator == Expr.Operator.MOD && Types.isText(left)) {
      return PercentFormat.format(Show.str(left, meter), right, meter);
    }
    if (right instanceof Undefined undefined) {
      throw undefined.failure();
    }
    if (isNumber(left) && isNumber(right)) {
      return left instanceof Double || right instanceof Double
          ? floats(operator, real(left), real(right))
          : integers(operator, left, right);
    }
    Object result =
        switch (operator) {
          case ADD -> joined(left, right, meter);
          case MUL -> repeated(left, right, meter);
          default -> null;
        };
    if (result == null) {
      throw unsupported(operator.symbol, left, right);
    }
    return result;
  }

  static TemplateException unsupported(String symbol, Object left, Object right) {
    return TemplateException.runtime(
        "unsupported operand type(s) for "
            + symbol
            + ": '"
            + Types.name(left)
            + "' and '"
            + Types.name(right)
            + "'");
  }

  static Object negated(Object value) {
    return switch (value) {
      case Double number -> -number;
      case Undefined undefined -> throw undefined.failure();
      default -> shrunk(integer(value, "bad operand type for unary -").negate());
    };
  }

  static Object positive(Object value) {
    return switch (value) {
      case Double number -> number;
      case Undefined undefined -> throw undefined.failure();
      default -> shrunk(integer(value, "bad operand type for unary +"));
    };
  }

  static boolean isNumber(Object value) {
    return value instanceof Long
        || value instanceof Double
        || value instanceof Boolean
        || value instanceof BigInteger;
  }

  static boolean isInteger(Object value) {
    return value instanceof Long || value instanceof Boolean || value instanceof BigInteger;
  }

  /** A number as a double, rounded like Python's {@code float()}. */
  static double real(Object number) {
    return switch (number) {
      case Double value -> value;
      case Long value -> (double) value;
      case Boolean value -> value ? 1 : 0;
      case BigInteger value -> {
        double real = value.doubleValue();
        if (Double.isInfinite(real)) {
          throw TemplateException.runtime("int too large to convert to float");
        }
        yield real;
      }
      default -> throw new IllegalStateException("not a number: " + Types.name(number));
    };
  }

  static BigInteger big(Object integer) {
    return switch (integer) {
      case Long value -> BigInteger.valueOf(value);
      case Boolean value -> value ? BigInteger.ONE : BigInteger.ZERO;
      case BigInteger value -> value;
      default -> throw new IllegalStateException("not an integer: " + Types.name(integer));
    };
  }

  private static BigInteger integer(Object value, String fault) {
    if (!isInteger(value)) {
      throw TemplateException.runtime(fault + ": '" + Types.name(value) + "'");
    }
    return big(value);
  }

  /** The form in which an integer is kept: Long where it fits. */
  static Object shrunk(BigInteger value) {
    if (value.bitLength() > INTEGER_BITS_MAX) {
      throw TemplateException.runtime("an integer grew beyond " + INTEGER_BITS_MAX + " bits");
    }
    return value.compareTo(LONG_MIN) >= 0 && value.compareTo(LONG_MAX) <= 0
        ? (Object) value.longValue()
        : value;
  }

  static boolean isWhole(double value) {
    return value == Math.rint(value) && !Double.isInfinite(value);
  }

  /** The integer that a whole double stands for. */
  static Object whole(double value) {
    return Math.abs(value) < WHOLE_MAX
        ? (Object) (long) value
        : shrunk(new BigDecimal(value).toBigInteger());
  }

  /** An index or count, saturated to the int range: lengths never come near it. */
  static int index(Object value, String what) {
    return switch (value) {
      case Long number -> Math.clamp(number, Integer.MIN_VALUE, Integer.MAX_VALUE);
      case Boolean flag -> flag ? 1 : 0;
      case BigInteger number -> number.signum() < 0 ? Integer.MIN_VALUE : Integer.MAX_VALUE;
      case Undefined undefined -> throw undefined.failure();
      default ->
          throw TemplateException.runtime(what + " must be an integer, not " + Types.name(value));
    };
  }

  private static Object integers(Expr.Operator operator, Object left, Object right) {
    if (left instanceof Long a && right instanceof Long b) {
      Object result = longs(operator, a, b);
      if (result != null) {
        return result;
      }
    }
    BigInteger a = big(left);
    BigInteger b = big(right);
    return switch (operator) {
      case ADD -> shrunk(a.add(b));
      case SUB -> shrunk(a.subtract(b));
      case MUL -> shrunk(a.multiply(b));
      case DIV -> quotient(a, b);
      case FLOOR_DIV -> shrunk(flooredDivision(a, b)[0]);
      case MOD -> shrunk(flooredDivision(a, b)[1]);
      case POW -> power(a, b);
    };
  }

  /** The same on longs, null where the result may not fit one. */
  private static @Nullable Object longs(Expr.Operator operator, long a, long b) {
    return switch (operator) {
      case ADD -> {
        long sum = a + b;
        yield ((a ^ sum) & (b ^ sum)) < 0 ? null : (Object) sum;
      }
      case SUB -> {
        long difference = a - b;
        yield ((a ^ b) & (a ^ difference)) < 0 ? null : (Object) difference;
      }
      case MUL -> {
        long product = a * b;
        yield Math.multiplyHigh(a, b) == product >> 63 ? (Object) product : null;
      }
      case FLOOR_DIV -> b == 0 || b == -1 ? null : (Object) Math.floorDiv(a, b);
      case MOD -> b == 0 ? null : (Object) Math.floorMod(a, b);
      case DIV, POW -> null;
    };
  }

  /** True division, rounded once even where the operands do not fit a double. */
  private static Object quotient(BigInteger a, BigInteger b) {
    if (b.signum() == 0) {
      throw TemplateException.runtime("division by zero");
    }
    if (a.bitLength() <= 53 && b.bitLength() <= 53) {
      return (double) a.longValue() / (double) b.longValue();
    }
    // 800 digits decide every rounding of a quotient that a double can hold, ties apart, and a
    // quotient of integers that is exactly a tie ends within them.
    MathContext precise = new MathContext(800, RoundingMode.DOWN);
    double result = new BigDecimal(a).divide(new BigDecimal(b), precise).doubleValue();
    if (Double.isInfinite(result)) {
      throw TemplateException.runtime("integer division result too large for a float");
    }
    return result;
  }

  private static BigInteger[] flooredDivision(BigInteger a, BigInteger b) {
    if (b.signum() == 0) {
      throw TemplateException.runtime("integer division or modulo by zero");
    }
    BigInteger[] result = a.divideAndRemainder(b);
    if (result[1].signum() != 0 && result[1].signum() != b.signum()) {
      result[0] = result[0].subtract(BigInteger.ONE);
      result[1] = result[1].add(b);
    }
    return result;
  }

  private static Object power(BigInteger base, BigInteger exponent) {
    if (exponent.signum() < 0) {
      return floats(Expr.Operator.POW, real(shrunk(base)), real(shrunk(exponent)));
    }
    if (base.abs().compareTo(BigInteger.ONE) <= 0) {
      return exponent.signum() == 0
          ? (Object) 1L
          : (Object) (base.signum() < 0 && !exponent.testBit(0) ? 1L : base.longValue());
    }
    long bits = (long) base.bitLength() * exponent.min(LONG_MAX.shiftRight(20)).longValue();
    if (exponent.bitLength() > 31 || bits > 2L * INTEGER_BITS_MAX) {
      throw TemplateException.runtime("an integer grew beyond " + INTEGER_BITS_MAX + " bits");
    }
    return shrunk(base.pow(exponent.intValue()));
  }

  private static Object floats(Expr.Operator operator, double a, double b) {
    if (b == 0 && operator.isDivision()) {
      throw TemplateException.runtime("float division by zero");
    }
    return switch (operator) {
      case ADD -> a + b;
      case SUB -> a - b;
      case MUL -> a * b;
      case DIV -> a / b;
      case MOD -> flooredRemainder(a, b);
      case FLOOR_DIV -> flooredQuotient(a, b);
      case POW -> power(a, b);
    };
  }

  private static double flooredRemainder(double a, double b) {
    double rest = a % b;
    if (rest == 0) {
      return Math.copySign(0.0, b);
    }
    return (rest < 0) == (b < 0) ? rest : rest + b;
  }

  private static double flooredQuotient(double a, double b) {
    double rest = a % b;
    double quotient = (a - rest) / b;
    if (rest != 0 && (rest < 0) != (b < 0)) {
      quotient -= 1;
    }
    if (quotient == 0) {
      return Math.copySign(0.0, a / b);
    }
    double floor = Math.floor(quotient);
    return quotient - floor > 0.5 ? floor + 1 : floor;
  }

  private static double power(double a, double b) {
    if (a == 0 && b < 0) {
      throw TemplateException.runtime("0.0 cannot be raised to a negative power");
    }
    if (a < 0 && !isWhole(b) && !Double.isInfinite(a) && !Double.isInfinite(b)) {
      throw TemplateException.runtime("a negative number has no fractional power");
    }
    if (a == 1 || (a == -1 && Double.isInfinite(b))) {
      return 1.0; // Java says NaN for an infinite or undefined exponent
    }
    double result = Math.pow(a, b);
    if (Double.isInfinite(result) && !Double.isInfinite(a) && !Double.isInfinite(b)) {
      throw TemplateException.runtime("result of ** is too large for a float");
    }
    return result;
  }

  private static @Nullable Object joined(Object left, Object right, Meter meter) {
    String a = Types.textOrNull(left);
    String b = Types.textOrNull(right);
    if (a != null && b != null) {
      if (left instanceof Markup || right instanceof Markup) {
        String first = left instanceof Markup ? a : Markup.escaped(a, meter);
        String second = right instanceof Markup ? b : Markup.escaped(b, meter);
        meter.chars((long) first.length() + second.length());
        return new Markup(first + second);
      }
      meter.chars((long) a.length() + b.length());
      return a.concat(b);
    }
    if (a != null) {
      throw TemplateException.runtime(
          "can only concatenate str (not \"" + Types.name(right) + "\") to str");
    }
    if (left instanceof Tuple first && right instanceof Tuple second) {
      return new Tuple(concatenated(first.items(), second.items(), meter));
    }
    if (left instanceof List<?> first
        && right instanceof List<?> second
        && !(left instanceof Range || right instanceof Range)) {
      return concatenated(first, second, meter);
    }
    return null;
  }

  private static List<Object> concatenated(List<?> first, List<?> second, Meter meter) {
    meter.steps((long) first.size() + second.size());
    List<Object> items = new ArrayList<>(first.size() + second.size());
    items.addAll(first);
    items.addAll(second);
    return items;
  }

  private static @Nullable Object repeated(Object left, Object right, Meter meter) {
    if (isInteger(left)) {
      return isInteger(right) ? null : repeated(right, left, meter);
    }
    if (!isInteger(right)) {
      return null;
    }
    int count = Math.max(0, index(right, "count"));
    return switch (left) {
      case String text -> repeated(text, count, meter);
      case Markup markup -> new Markup(repeated(markup.text(), count, meter));
      case Tuple tuple -> new Tuple(repeated(tuple.items(), count, meter));
      case Range ignored -> null;
      case List<?> list -> repeated(list, count, meter);
      default -> null;
    };
  }

  static String repeated(String text, int count, Meter meter) {
    meter.chars((long) text.length() * count);
    return text.repeat(count);
  }

  private static List<Object> repeated(List<?> items, int count, Meter meter) {
    meter.steps((long) items.size() * count);
    List<Object> all = new ArrayList<>(items.size() * count);
    for (int i = 0; i < count && !items.isEmpty(); i++) {
      all.addAll(items);
    }
    return all;
  }

  /** Whether a long survives the way into a double. */
  static boolean isExact(long value) {
    return -EXACT_MAX <= value && value <= EXACT_MAX;
  }
}
