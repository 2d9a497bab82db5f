package io.verdier.engine.grammar;

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
