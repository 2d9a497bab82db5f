package io.verdier.engine.grammar;

import java.util.Collection;
import org.jspecify.annotations.Nullable;

/**
 * What a schema allows, by the kinds of values: one of several such alternatives. Immutable.
 *
 * @param number null: no number, and so on
 */
record Kinds(
    boolean hasNull,
    boolean hasTrue,
    boolean hasFalse,
    @Nullable NumberFacts number,
    @Nullable StringFacts string,
    @Nullable ArrayFacts array,
    @Nullable ObjectFacts object) {
  static final Kinds NONE = new Kinds(false, false, false, null, null, null, null);
  static final Kinds ANY =
      new Kinds(
          true, true, true, NumberFacts.ANY, StringFacts.ANY, ArrayFacts.ANY, ObjectFacts.ANY);

  /** Anything, but numbers only of this kind; so are those for other kinds. */
  Kinds with(NumberFacts facts) {
    return new Kinds(hasNull, hasTrue, hasFalse, facts, string, array, object);
  }

  Kinds with(StringFacts facts) {
    return new Kinds(hasNull, hasTrue, hasFalse, number, facts, array, object);
  }

  Kinds with(ArrayFacts facts) {
    return new Kinds(hasNull, hasTrue, hasFalse, number, string, facts, object);
  }

  Kinds with(ObjectFacts facts) {
    return new Kinds(hasNull, hasTrue, hasFalse, number, string, array, facts);
  }

  Kinds withLiterals(boolean aNull, boolean aTrue, boolean aFalse) {
    return new Kinds(aNull, aTrue, aFalse, number, string, array, object);
  }

  Kinds and(Kinds other) {
    return new Kinds(
        hasNull && other.hasNull,
        hasTrue && other.hasTrue,
        hasFalse && other.hasFalse,
        number == null || other.number == null ? null : number.and(other.number),
        string == null || other.string == null ? null : string.and(other.string),
        array == null || other.array == null ? null : array.and(other.array),
        object == null || other.object == null ? null : object.and(other.object));
  }

  /** How many members its sets have, without those that are one of these two's: so many are new. */
  int membersBeside(Kinds a, Kinds b) {
    int members = 0;
    if (object != null && a.object != null && b.object != null) {
      ObjectFacts first = a.object;
      ObjectFacts second = b.object;
      members += beside(object.units(), first.units(), second.units());
      members += beside(object.required(), first.required(), second.required());
      members += beside(object.forbidden(), first.forbidden(), second.forbidden());
      members += beside(object.outside(), first.outside(), second.outside());
    }
    if (array != null && a.array != null && b.array != null) {
      members += beside(array.units(), a.array.units(), b.array.units());
    }
    if (string != null && a.string != null && b.string != null) {
      members += beside(string.patterns(), a.string.patterns(), b.string.patterns());
      members += beside(string.never(), a.string.never(), b.string.never());
    }
    if (number != null && a.number != null && b.number != null) {
      members += beside(number.never(), a.number.never(), b.number.never());
    }
    return members;
  }

  private static int beside(Collection<?> all, Collection<?> first, Collection<?> second) {
    return all.size() == first.size() || all.size() == second.size() ? 0 : all.size();
  }

  /** Whether no kind is left. */
  boolean isNone() {
    return equals(NONE);
  }

  /** Whether this says nothing but which values there are, none of them an array or an object. */
  boolean areValues() {
    return array == null
        && object == null
        && (number == null || (number.values() != null && number.equals(onlyValues(number))))
        && (string == null || (string.values() != null && string.equals(onlyValues(string))));
  }

  boolean isObject() {
    return object != null && equals(NONE.with(object));
  }

  boolean isString() {
    return string != null && equals(NONE.with(string));
  }

  private static NumberFacts onlyValues(NumberFacts facts) {
    return NumberFacts.of(Sets.orNone(facts.values()));
  }

  private static StringFacts onlyValues(StringFacts facts) {
    return StringFacts.of(Sets.orNone(facts.values()));
  }
}
