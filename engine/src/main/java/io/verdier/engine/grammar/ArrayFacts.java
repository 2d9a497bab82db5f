package io.verdier.engine.grammar;

import io.verdier.engine.grammar.SchemaLogic.Signed;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What a schema says of arrays. Immutable.
 *
 * @param units what it says of the items, once for each schema that has a say
 * @param max {@link Expression.Repeat#UNBOUNDED}: none
 * @param unique keywords by which items must differ, with their places
 * @param refusals what is asked for and cannot be held
 */
record ArrayFacts(Set<Unit> units, int min, int max, List<String> unique, List<String> refusals) {
  static final int UNBOUNDED = Expression.Repeat.UNBOUNDED;
  static final ArrayFacts ANY = new ArrayFacts(Set.of(), 0, UNBOUNDED, List.of(), List.of());

  /**
   * Items by their places. Equal to itself only.
   *
   * <p>Not a record: two that look alike have grown from schemas at different places.
   */
  static final class Unit {
    final List<Signed> prefix;
    final @Nullable Signed rest; // null: it may be anything, and is not looked at

    private final boolean isOfConstant; // one value is described, by no keyword of items

    Unit(List<Signed> prefix, @Nullable Signed rest) {
      this(prefix, rest, false);
    }

    private Unit(List<Signed> prefix, @Nullable Signed rest, boolean isOfConstant) {
      this.prefix = List.copyOf(prefix);
      this.rest = rest;
      this.isOfConstant = isOfConstant;
    }

    static Unit ofConstant(List<Signed> items) {
      return new Unit(items, null, true);
    }

    /** How many first items have been spoken of, as {@code unevaluatedItems} understands it. */
    int seen() {
      return isOfConstant ? 0 : prefix.size();
    }
  }

  static ArrayFacts of(Unit unit) {
    return new ArrayFacts(Set.of(unit), 0, UNBOUNDED, List.of(), List.of());
  }

  static ArrayFacts ofLength(int min, int max) {
    return new ArrayFacts(Set.of(), min, max, List.of(), List.of());
  }

  static ArrayFacts unique(String place) {
    return new ArrayFacts(Set.of(), 0, UNBOUNDED, List.of(place), List.of());
  }

  static ArrayFacts refused(String refusal) {
    return new ArrayFacts(Set.of(), 0, UNBOUNDED, List.of(), List.of(refusal));
  }

  ArrayFacts and(ArrayFacts other) {
    int least = Math.max(min, other.min);
    int most = Math.min(max, other.max);
    return new ArrayFacts(
        Sets.union(units, other.units),
        least,
        most,
        Sets.concat(unique, other.unique),
        Sets.concat(refusals, other.refusals));
  }

  /** Items that have a say of their own. */
  int prefixLength() {
    return units.stream().mapToInt(unit -> unit.prefix.size()).max().orElse(0);
  }

  /** All that is said of an item. */
  Set<Signed> item(int place) {
    Set<Signed> all = new LinkedHashSet<>();
    for (Unit unit : units) {
      if (place < unit.prefix.size()) {
        all.add(unit.prefix.get(place));
      } else if (unit.rest != null) {
        all.add(unit.rest);
      }
    }
    return all;
  }
}
