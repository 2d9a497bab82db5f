package io.verdier.engine.grammar;

import io.verdier.engine.grammar.SchemaLogic.Signed;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What a schema says of objects. Immutable.
 *
 * @param units what it says of the properties, once for each schema that has a say
 * @param forbidden names that no property has
 * @param max {@link Expression.Repeat#UNBOUNDED}: none
 * @param names of which each name is
 * @param outside sets of names, beside each of which there is another property
 * @param refusals what is asked for and cannot be held
 */
record ObjectFacts(
    Set<Unit> units,
    Set<String> required,
    Set<String> forbidden,
    int min,
    int max,
    Set<Signed> names,
    List<Set<String>> outside,
    List<String> refusals) {
  static final int UNBOUNDED = Expression.Repeat.UNBOUNDED;
  static final ObjectFacts ANY =
      new ObjectFacts(Set.of(), Set.of(), Set.of(), 0, UNBOUNDED, Set.of(), List.of(), List.of());

  /**
   * Properties by their names. Equal to itself only, as {@link ArrayFacts.Unit} is.
   *
   * <p>A name is described by {@code properties}, and by each pattern that it matches; by {@code
   * additional} only if by none of them.
   */
  static final class Unit {
    final Map<String, Signed> properties;
    final List<Pattern> patterns;
    final @Nullable Signed additional; // null: it may be anything, and is not looked at

    final boolean isOfConstant; // one value is described, by no keyword of properties

    Unit(Map<String, Signed> properties, List<Pattern> patterns, @Nullable Signed additional) {
      this(properties, patterns, additional, false);
    }

    private Unit(
        Map<String, Signed> properties,
        List<Pattern> patterns,
        @Nullable Signed additional,
        boolean isOfConstant) {
      this.properties = new LinkedHashMap<>(properties);
      this.patterns = List.copyOf(patterns);
      this.additional = additional;
      this.isOfConstant = isOfConstant;
    }

    static Unit ofConstant(Map<String, Signed> properties, Signed none) {
      return new Unit(properties, List.of(), none, true);
    }

    /** Whether no name is allowed but these. */
    boolean isClosed() {
      return additional != null && additional.isFalse() && patterns.isEmpty();
    }
  }

  /** What is said of properties whose names match. */
  record Pattern(Expression names, Signed schema) {}

  static ObjectFacts of(Unit unit) {
    return new ObjectFacts(
        Set.of(unit), Set.of(), Set.of(), 0, UNBOUNDED, Set.of(), List.of(), List.of());
  }

  static ObjectFacts requiring(Set<String> required) {
    return new ObjectFacts(
        Set.of(), required, Set.of(), 0, UNBOUNDED, Set.of(), List.of(), List.of());
  }

  static ObjectFacts without(String name) {
    return new ObjectFacts(
        Set.of(), Set.of(), Set.of(name), 0, UNBOUNDED, Set.of(), List.of(), List.of());
  }

  static ObjectFacts ofSize(int min, int max) {
    return new ObjectFacts(Set.of(), Set.of(), Set.of(), min, max, Set.of(), List.of(), List.of());
  }

  static ObjectFacts named(Signed names) {
    return new ObjectFacts(
        Set.of(), Set.of(), Set.of(), 0, UNBOUNDED, Set.of(names), List.of(), List.of());
  }

  static ObjectFacts beside(Set<String> names) {
    return new ObjectFacts(
        Set.of(), Set.of(), Set.of(), 0, UNBOUNDED, Set.of(), List.of(names), List.of());
  }

  static ObjectFacts refused(String refusal) {
    return new ObjectFacts(
        Set.of(), Set.of(), Set.of(), 0, UNBOUNDED, Set.of(), List.of(), List.of(refusal));
  }

  ObjectFacts and(ObjectFacts other) {
    int least = Math.max(min, other.min);
    int most = Math.min(max, other.max);
    return new ObjectFacts(
        Sets.union(units, other.units),
        Sets.union(required, other.required),
        Sets.union(forbidden, other.forbidden),
        least,
        most,
        Sets.union(names, other.names),
        Sets.concat(outside, other.outside),
        Sets.concat(refusals, other.refusals));
  }

  /** Names of which something is said, in the order in which it is. */
  Set<String> declared() {
    Set<String> all = new LinkedHashSet<>();
    for (Unit unit : units) {
      all.addAll(unit.properties.keySet());
    }
    all.addAll(required);
    return all;
  }

  /** All that is said of the value of a property. */
  Set<Signed> property(String name, RegularTexts texts) {
    Set<Signed> all = new LinkedHashSet<>();
    for (Unit unit : units) {
      List<Signed> of = new ArrayList<>();
      Signed own = unit.properties.get(name);
      if (own != null) {
        of.add(own);
      }
      for (Pattern pattern : unit.patterns) {
        if (texts.matches(pattern.names, name)) {
          of.add(pattern.schema);
        }
      }
      if (of.isEmpty() && unit.additional != null) {
        of.add(unit.additional);
      }
      all.addAll(of);
    }
    return all;
  }

  /**
   * The same said without {@link #outside}, each as one of several; empty: there is none. Refused
   * if the other properties may have any name.
   */
  List<ObjectFacts> insideOnly() {
    ObjectFacts base =
        new ObjectFacts(units, required, forbidden, min, max, names, List.of(), refusals);
    List<ObjectFacts> all = List.of(base);
    for (Set<String> inside : outside) {
      Set<String> others = null;
      for (Unit unit : units) {
        if (unit.isClosed()) {
          others = Sets.intersection(others, unit.properties.keySet());
        }
      }
      if (others == null) {
        return List.of(
            base.and(
                refused(
                    "the JSON schema: that an object is not as additionalProperties has it, which"
                        + " not, oneOf or if asks for, cannot be held where any name is"
                        + " allowed. Where options cannot both match, use anyOf.")));
      }
      List<ObjectFacts> more = new ArrayList<>();
      for (ObjectFacts facts : all) {
        for (String name : others) {
          if (!inside.contains(name) && !facts.forbidden.contains(name)) {
            more.add(facts.and(requiring(Set.of(name))));
          }
        }
      }
      all = more;
    }
    return all;
  }
}
