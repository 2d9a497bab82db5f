package io.verdier.engine.text.template;

import java.math.BigDecimal;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** {@code ==}, {@code <} and {@code in}, as Python defines them. */
final class Comparison {
  private Comparison() {}

  static boolean test(Expr.Relation relation, Object left, Object right, Meter meter) {
    return switch (relation) {
      case EQ -> equal(left, right, meter, 0);
      case NE -> !equal(left, right, meter, 0);
      case IN -> contains(right, left, meter);
      case NOT_IN -> !contains(right, left, meter);
      case LT, LE, GT, GE -> ordered(relation, left, right, meter);
    };
  }

  static boolean equal(Object left, Object right, Meter meter, int depth) {
    if (isOne(left, right)) {
      return !(left instanceof Double number && Double.isNaN(number));
    }
    meter.visit(depth);
    if (Operators.isNumber(left) && Operators.isNumber(right)) {
      return compareNumbers(left, right) == 0 && !isNan(left) && !isNan(right);
    }
    String text = Types.textOrNull(left);
    if (text != null) {
      String other = Types.textOrNull(right);
      meter.chars(other == null || other.length() != text.length() ? 0 : text.length());
      return text.equals(other);
    }
    return switch (left) {
      case Undefined ignored -> right instanceof Undefined;
      case Tuple tuple ->
          right instanceof Tuple other && equalItems(tuple.items(), other.items(), meter, depth);
      case List<?> list ->
          right instanceof List<?> other
              && left instanceof Range == right instanceof Range
              && equalItems(list, other, meter, depth);
      case Dict dict -> right instanceof Dict other && equalDicts(dict, other, meter, depth);
      default -> false;
    };
  }

  private static boolean equalItems(List<?> left, List<?> right, Meter meter, int depth) {
    if (left.size() != right.size()) {
      return false;
    }
    for (int i = 0; i < left.size(); i++) {
      if (!same(left.get(i), right.get(i), meter, depth + 1)) {
        return false;
      }
    }
    return true;
  }

  private static boolean equalDicts(Dict left, Dict right, Meter meter, int depth) {
    if (left.size() != right.size()) {
      return false;
    }
    for (Object key : left.keys()) {
      Object mine = left.get(key);
      Object theirs = right.get(key);
      if (mine == null || theirs == null || !same(mine, theirs, meter, depth + 1)) {
        return false;
      }
    }
    return true;
  }

  /** Python's {@code is}. */
  @SuppressWarnings("ReferenceEquality") // identity is what is asked
  static boolean isOne(Object left, Object right) {
    return left == right;
  }

  /** Items of containers count as equal when they are one object, even if that is NaN. */
  static boolean same(Object left, Object right, Meter meter, int depth) {
    return isOne(left, right) || equal(left, right, meter, depth);
  }

  private static boolean ordered(Expr.Relation relation, Object left, Object right, Meter meter) {
    if (isNan(left) || isNan(right)) {
      if (Operators.isNumber(left) && Operators.isNumber(right)) {
        return false;
      }
    }
    int order = compare(left, right, relation.symbol, meter, 0);
    return switch (relation) {
      case LT -> order < 0;
      case LE -> order <= 0;
      case GT -> order > 0;
      default -> order >= 0;
    };
  }

  /** Order of two values; fails on values that have none, naming the operator. */
  static int compare(Object left, Object right, String symbol, Meter meter, int depth) {
    meter.visit(depth);
    if (left instanceof Undefined undefined) {
      throw undefined.failure();
    }
    if (right instanceof Undefined undefined) {
      throw undefined.failure();
    }
    if (Operators.isNumber(left) && Operators.isNumber(right)) {
      return compareNumbers(left, right);
    }
    String a = Types.textOrNull(left);
    String b = Types.textOrNull(right);
    if (a != null && b != null) {
      meter.chars(Math.min(a.length(), b.length()));
      return Chars.compare(a, b);
    }
    List<?> first = ordered(left);
    List<?> second = ordered(right);
    if (first != null && second != null && left instanceof Tuple == right instanceof Tuple) {
      for (int i = 0; i < Math.min(first.size(), second.size()); i++) {
        if (!same(first.get(i), second.get(i), meter, depth + 1)) {
          return compare(first.get(i), second.get(i), symbol, meter, depth + 1);
        }
      }
      return Integer.compare(first.size(), second.size());
    }
    throw TemplateException.runtime(
        "'"
            + symbol
            + "' not supported between instances of '"
            + Types.name(left)
            + "' and '"
            + Types.name(right)
            + "'");
  }

  private static @Nullable List<?> ordered(Object value) {
    return switch (value) {
      case Range ignored -> null;
      case List<?> list -> list;
      case Tuple tuple -> tuple.items();
      default -> null;
    };
  }

  private static boolean isNan(Object value) {
    return value instanceof Double number && Double.isNaN(number);
  }

  /** Exact: a large integer is not rounded to a double before it is compared. */
  private static int compareNumbers(Object left, Object right) {
    if (left instanceof Long a && right instanceof Long b) {
      return Long.compare(a, b);
    }
    if (left instanceof Double a && right instanceof Double b) {
      return a.doubleValue() == b.doubleValue() ? 0 : Double.compare(a, b);
    }
    if (left instanceof Double || right instanceof Double) {
      double real = left instanceof Double a ? a : Operators.real(right);
      if (Double.isInfinite(real) || Double.isNaN(real)) {
        return (real > 0 ? 1 : -1) * (left instanceof Double ? 1 : -1);
      }
      return decimal(left).compareTo(decimal(right));
    }
    return Operators.big(left).compareTo(Operators.big(right));
  }

  private static BigDecimal decimal(Object number) {
    return number instanceof Double real
        ? new BigDecimal(real)
        : new BigDecimal(Operators.big(number));
  }

  static boolean contains(Object container, Object item, Meter meter) {
    String text = Types.textOrNull(container);
    if (text != null) {
      String part = Types.textOrNull(item);
      if (part == null) {
        throw TemplateException.runtime(
            "'in <string>' requires string as left operand, not " + Types.name(item));
      }
      meter.chars(text.length());
      return new Search(part).next(text, 0) >= 0;
    }
    return switch (container) {
      case Dict dict -> dict.get(item) != null;
      case DictView view when view.part() == DictView.Part.KEYS -> view.dict().get(item) != null;
      case Range range -> inRange(range, item);
      case Undefined ignored -> false;
      case Lazy lazy -> {
        while (lazy.items().hasNext()) {
          if (same(item, lazy.items().next(), meter, 0)) {
            yield true;
          }
        }
        yield false;
      }
      default -> {
        if (!Types.isIterable(container)) {
          throw TemplateException.runtime(
              "argument of type '" + Types.name(container) + "' is not iterable");
        }
        for (Object candidate : Types.list(container, meter)) {
          if (same(item, candidate, meter, 0)) {
            yield true;
          }
        }
        yield false;
      }
    };
  }

  private static boolean inRange(Range range, Object item) {
    return Operators.isNumber(item) && range.contains(Dict.lookupForm(item));
  }
}
