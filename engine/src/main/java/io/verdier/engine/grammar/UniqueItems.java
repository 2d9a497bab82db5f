package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Call;
import io.verdier.engine.grammar.Expression.Choice;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Arrays whose items differ, where these are of a few listed values: a rule for each set of those
 * that are used up. Of more values, they come in the order of the list, which needs no sets. Owned
 * by the compiling thread.
 */
final class UniqueItems {
  private static final int SETS_OF_MAX = 6;

  private final JsonLayout layout;
  private final List<Expression> rules;
  private final Map<Integer, Integer> known = new HashMap<>(); // rules by the set used up

  UniqueItems(JsonLayout layout, List<Expression> rules) {
    this.layout = layout;
    this.rules = rules;
  }

  /**
   * @param values each with its text; null: they are not listed
   */
  Expression array(ArrayFacts facts, @Nullable Map<Object, Expression> values) {
    if (values == null) {
      throw new GrammarException(
          "the JSON schema, "
              + facts.unique().getFirst()
              + ": it is supported where the items are listed by an enum; whether other values"
              + " differ is not remembered");
    }
    if (facts.min() > values.size()) {
      return Expression.NEVER;
    }
    boolean mayBeEmpty = facts.min() == 0;
    List<Expression> items = List.copyOf(values.values());
    int max = Math.min(facts.max(), items.size());
    if (items.size() <= SETS_OF_MAX) {
      Expression some = unused(items, 0, Math.max(1, facts.min()), max);
      return layout.bracketed("[", some, mayBeEmpty, "]");
    }
    List<JsonMembers.Member> members = new ArrayList<>();
    items.forEach(item -> members.add(new JsonMembers.Member(item, false)));
    ObjectFacts bounds = ObjectFacts.ofSize(facts.min(), max);
    JsonMembers.Listed all = new JsonMembers(members, null, bounds, layout.comma(), rules).list();
    return layout.bracketed("[", all.text(), all.mayBeEmpty(), "]");
  }

  /** What may follow, once some are used up. */
  private Expression unused(List<Expression> items, int used, int min, int max) {
    List<Expression> options = new ArrayList<>();
    int count = Integer.bitCount(used);
    if (count >= min) {
      options.add(Expression.EMPTY);
    }
    for (int i = 0; i < items.size() && count < max; i++) {
      if ((used & 1 << i) == 0) {
        Expression item =
            count == 0 ? items.get(i) : Expression.sequence(layout.comma(), items.get(i));
        options.add(Expression.sequence(item, rule(items, used | 1 << i, min, max)));
      }
    }
    return new Choice(options);
  }

  private Call rule(List<Expression> items, int used, int min, int max) {
    Integer done = known.get(used);
    if (done == null) {
      done = rules.size();
      rules.add(Expression.NEVER);
      known.put(used, done);
      rules.set(done, unused(items, used, min, max));
    }
    return new Call(done);
  }
}
