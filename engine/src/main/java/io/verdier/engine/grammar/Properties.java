package io.verdier.engine.grammar;

import com.fasterxml.jackson.databind.node.BooleanNode;
import io.verdier.engine.grammar.Expression.Both;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Except;
import io.verdier.engine.grammar.SchemaLogic.Signed;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Which properties an object may have. Owned by the compiling thread. */
final class Properties {
  /** Patterns of names; there is a set of names for each set of those that match. */
  private static final int PATTERNS_MAX = 6;

  private final ObjectFacts facts;
  private final RegularTexts texts;
  private final boolean isClosed;
  private final @Nullable List<StringFacts> names; // one of which each is; null: any

  /** A property with a name that the schema tells. */
  record Named(String name, Set<Signed> schemas, boolean isRequired) {}

  /**
   * Properties with other names.
   *
   * @param names null: any
   */
  record Others(@Nullable Expression names, Set<Signed> schemas) {}

  /**
   * @param isClosed whether properties that are not described are none, unless there is a word on
   *     them
   */
  Properties(ObjectFacts facts, SchemaLogic logic, RegularTexts texts, boolean isClosed) {
    this.facts = facts;
    this.texts = texts;
    boolean areDescribed =
        facts.units().stream().anyMatch(u -> !u.properties.isEmpty() || !u.patterns.isEmpty());
    this.isClosed =
        isClosed
            && areDescribed
            && facts.units().stream().allMatch(unit -> unit.additional == null);
    if (facts.names().isEmpty()) {
      names = null;
      return;
    }
    names = new ArrayList<>();
    for (Kinds kinds : logic.all(facts.names())) {
      if (kinds.string() != null) {
        names.add(kinds.string());
      }
    }
  }

  /** In the order in which the schema tells of them. */
  List<Named> named() {
    Set<String> all = new LinkedHashSet<>(facts.declared());
    Set<String> listed = listedNames();
    if (listed != null && !isClosed) {
      all.addAll(listed);
    }
    List<Named> named = new ArrayList<>();
    for (String name : all) {
      boolean isAllowed = !facts.forbidden().contains(name) && isName(name);
      boolean isRequired = facts.required().contains(name);
      Set<Signed> schemas = facts.property(name, texts);
      if (isAllowed) {
        named.add(new Named(name, schemas, isRequired));
      } else if (isRequired) {
        Signed none = new Signed(new SchemaNode(BooleanNode.FALSE, "false"));
        named.add(new Named(name, Set.of(none), true));
      }
    }
    return named;
  }

  private boolean isName(String name) {
    return names == null || names.stream().anyMatch(facts -> facts.accepts(name, texts));
  }

  /** The names that there can be; null: they are not listed. */
  private @Nullable Set<String> listedNames() {
    if (names == null) {
      return null;
    }
    Set<String> all = new LinkedHashSet<>();
    for (StringFacts some : names) {
      Set<String> few = some.finite(texts);
      if (few == null) {
        return null;
      }
      all.addAll(few);
    }
    return all;
  }

  /** By what is said of them. */
  List<Others> others() {
    if (isClosed || listedNames() != null) {
      return List.of();
    }
    List<ObjectFacts.Pattern> patterns = new ArrayList<>();
    facts.units().forEach(unit -> patterns.addAll(unit.patterns));
    if (patterns.size() > PATTERNS_MAX) {
      throw new GrammarException(
          "the JSON schema: an object has more than " + PATTERNS_MAX + " patternProperties");
    }
    Expression undeclared = undeclared();
    List<Others> regions = new ArrayList<>();
    for (int set = 0; set < 1 << patterns.size(); set++) {
      Set<ObjectFacts.Pattern> matching = new LinkedHashSet<>();
      Expression all = undeclared;
      for (int i = 0; i < patterns.size(); i++) {
        Expression matched = patterns.get(i).names();
        boolean isMatching = (set & 1 << i) != 0;
        if (isMatching) {
          matching.add(patterns.get(i));
        }
        Expression side = isMatching ? matched : new Except(matched);
        all = all == null ? side : new Both(all, side);
      }
      Set<Signed> schemas = said(matching);
      boolean isPossible =
          schemas.stream().noneMatch(Signed::isFalse)
              && (patterns.isEmpty() || all == null || !texts.isEmpty(all));
      if (isPossible) {
        regions.add(new Others(all, schemas));
      }
    }
    return regions;
  }

  /** Names that are not told; null: any. */
  private @Nullable Expression undeclared() {
    Set<String> told = new LinkedHashSet<>(facts.declared());
    told.addAll(facts.forbidden());
    Expression all =
        names == null
            ? null
            : new Choice(names.stream().map(facts -> facts.matched(texts)).toList());
    if (told.isEmpty()) {
      return all;
    }
    Expression others = new Except(new Choice(told.stream().map(Expression::text).toList()));
    return all == null ? others : new Both(all, others);
  }

  private Set<Signed> said(Set<ObjectFacts.Pattern> matching) {
    Set<Signed> all = new LinkedHashSet<>();
    for (ObjectFacts.Unit unit : facts.units()) {
      boolean isMatched = false;
      for (ObjectFacts.Pattern pattern : unit.patterns) {
        if (matching.contains(pattern)) {
          all.add(pattern.schema());
          isMatched = true;
        }
      }
      if (!isMatched && unit.additional != null) {
        all.add(unit.additional);
      }
    }
    return all;
  }
}
