package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Call;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Literal;
import io.verdier.engine.grammar.Expression.Repeat;
import io.verdier.engine.grammar.Expression.Sequence;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Members in a given order with commas between them, of which some may be missing; behind them any
 * number of others. Owned by the compiling thread, used once.
 *
 * <p>Which of the members is the first, and so has no comma before it, is told by writing each
 * twice: once as the first, once behind others. Behind each optional member any of those that
 * follow it may come, so that many of them would take states, or calls, by the square of their
 * number. They become groups of eight, which stand for one optional member each, and groups of
 * groups. The quote with which all begin is written before the groups: so only where a name has
 * begun a text is in as many places as there are names, and not in blanks, of which tokens have
 * many.
 *
 * <p>Where members are counted there is a rule for each place and count. So there is where others
 * may follow: what their names are like need not be told from the members' names in one automaton.
 */
final class JsonMembers {
  /** Optional members from which on each is a rule of its own, to be called, not written out. */
  private static final int WRITTEN_MAX = 48;

  /** Optional members of a group that is a rule of its own. */
  private static final int GROUP = 8;

  /** Optional members in all: each is a place where a text may be, once one begins. */
  private static final int OPTIONAL_MAX = 2000;

  /** Where they do not all begin with a quote: then they may begin behind any blank. */
  private static final int UNQUOTED_MAX = 400;

  private static final String QUOTE = "\"";

  /** Rules of a place and a count. */
  private static final int COUNTED_MAX = 4096;

  private final List<Member> members;
  private final @Nullable Expression others;
  private final Expression comma;
  private final List<Expression> rules;
  private final int min;
  private final int max;
  private final boolean areMany; // optional ones
  private final Expression opening; // with which all begin, in groups

  record Member(Expression text, boolean isRequired) {}

  /**
   * The members, never none.
   *
   * @param text that matches only if there is one at least
   * @param mayBeEmpty whether there may also be none
   */
  record Listed(Expression text, boolean mayBeEmpty) {}

  /**
   * @param others what else may follow, any number of times; null: nothing
   * @param rules gets those that are needed
   */
  JsonMembers(
      List<Member> members,
      @Nullable Expression others,
      ObjectFacts bounds,
      Expression comma,
      List<Expression> rules) {
    this.others = others;
    this.comma = comma;
    this.rules = rules;
    min = bounds.min();
    max = bounds.max();
    long optional = members.stream().filter(member -> !member.isRequired).count();
    areMany = optional > WRITTEN_MAX;
    boolean areQuoted = members.stream().allMatch(member -> isQuoted(member.text));
    if (optional > (areQuoted ? OPTIONAL_MAX : UNQUOTED_MAX)) {
      throw new GrammarException(
          "the JSON schema: an object has more than "
              + OPTIONAL_MAX
              + " optional properties, or an array more than "
              + UNQUOTED_MAX
              + " unique items");
    }
    this.members = members;
    opening = areMany && areQuoted ? Expression.text(QUOTE) : Expression.EMPTY;
  }

  private static boolean isQuoted(Expression text) {
    return switch (text) {
      case Literal literal -> literal.text().startsWith(QUOTE);
      case Sequence sequence ->
          !sequence.parts().isEmpty() && isQuoted(sequence.parts().getFirst());
      default -> false;
    };
  }

  private static Expression unquoted(Expression text) {
    if (text instanceof Sequence(List<Expression> parts)) {
      List<Expression> rest = new ArrayList<>(parts);
      rest.set(0, unquoted(parts.getFirst()));
      return new Sequence(rest);
    }
    return Expression.text(((Literal) text).text().substring(QUOTE.length()));
  }

  private Call call(Expression body) {
    rules.add(body);
    return new Call(rules.size() - 1);
  }

  /**
   * @throws GrammarException if so many are asked for that others would have to have different
   *     names, which is not remembered
   */
  Listed list() {
    int required = (int) members.stream().filter(Member::isRequired).count();
    long all = others == null ? members.size() : Long.MAX_VALUE;
    if (min > all || required > max) {
      return new Listed(Expression.NEVER, false);
    }
    boolean mayBeEmpty = min == 0 && required == 0;
    if (max == 0) {
      return new Listed(Expression.NEVER, mayBeEmpty);
    }
    if (min > members.size() + 1) {
      throw new GrammarException(
          "the JSON schema: minProperties asks for "
              + min
              + " properties, of which more than one has no name in the schema. Whether names differ"
              + " is not remembered; name the properties, or ask for 1.");
    }
    boolean isBounded = min > Math.max(1, required) || (max != Repeat.UNBOUNDED && max < all);
    if ((isBounded || (others != null && !areMany)) && !members.isEmpty()) {
      return new Listed(counted(), mayBeEmpty);
    }
    if (members.isEmpty() && others != null) {
      int more = max == Repeat.UNBOUNDED ? max : max - 1;
      return new Listed(
          Expression.sequence(others, new Repeat(Expression.sequence(comma, others), 0, more)),
          mayBeEmpty);
    }
    return new Listed(areMany ? listed(grouped()) : listed(members), mayBeEmpty);
  }

  private Expression listed(List<Member> all) {
    int first = 0;
    while (first < all.size() && !all.get(first).isRequired) {
      first++;
    }
    List<Expression> parts = new ArrayList<>(List.of(opening));
    if (first < all.size()) {
      if (first > 0) {
        parts.add(
            Expression.optional(Expression.sequence(some(all.subList(0, first)), comma, opening)));
      }
      parts.add(all.get(first).text);
      for (Member member : all.subList(first + 1, all.size())) {
        Expression behind = behind(member);
        parts.add(member.isRequired ? behind : Expression.optional(behind));
      }
    } else if (first > 0) {
      parts.add(some(all));
    }
    if (others == null) {
      return all.isEmpty() ? Expression.NEVER : new Sequence(parts);
    }
    Expression other = call(others);
    Expression more = Expression.any(Expression.sequence(comma, other));
    Expression onlyOthers = Expression.sequence(other, more);
    parts.add(more);
    Expression whole = new Sequence(parts);
    return first < all.size() ? whole : Expression.choice(whole, onlyOthers);
  }

  /** One or more of some members, all optional. */
  private Expression some(List<Member> optional) {
    Expression some = optional.getFirst().text;
    for (Member member : optional.subList(1, optional.size())) {
      Expression behind = Expression.optional(behind(member));
      some = Expression.choice(Expression.sequence(some, behind), member.text);
    }
    return some;
  }

  private Expression behind(Member member) {
    return Expression.sequence(comma, opening, member.text);
  }

  /** The members, optional ones that follow each other in groups. */
  private List<Member> grouped() {
    List<Member> all = new ArrayList<>();
    List<Member> optional = new ArrayList<>();
    for (Member member : members) {
      Expression text = opening.equals(Expression.EMPTY) ? member.text : unquoted(member.text);
      Member called = new Member(call(text), member.isRequired);
      if (member.isRequired) {
        all.addAll(grouped(optional));
        all.add(called);
        optional.clear();
      } else {
        optional.add(called);
      }
    }
    all.addAll(grouped(optional));
    return all;
  }

  private List<Member> grouped(List<Member> optional) {
    List<Member> all = List.copyOf(optional);
    while (all.size() > GROUP) {
      List<Member> groups = new ArrayList<>();
      for (int start = 0; start < all.size(); start += GROUP) {
        int end = Math.min(all.size(), start + GROUP);
        groups.add(new Member(call(some(all.subList(start, end))), false));
      }
      all = groups;
    }
    return all;
  }

  /** A rule for each member and each count of those that were there before it. */
  private Expression counted() {
    int kept = max == Repeat.UNBOUNDED ? Math.max(1, min) : Math.min(max, members.size());
    if ((members.size() + 1L) * (kept + 1L) > COUNTED_MAX) {
      throw new GrammarException(
          "the JSON schema: minProperties or maxProperties, or uniqueItems, beside so many names"
              + " or values takes too many rules");
    }
    List<Member> each =
        areMany
            ? members.stream().map(m -> new Member(call(m.text), m.isRequired)).toList()
            : members;
    int[] behind = new int[kept + 1]; // rules of the next member, by count
    for (int place = members.size(); place >= 0; place--) { // no recursion: there may be many
      int[] here = new int[kept + 1];
      for (int count = 0; count <= Math.min(place, kept); count++) {
        here[count] = rules.size();
        rules.add(place < each.size() ? one(each.get(place), count, behind) : tail(count));
      }
      behind = here;
    }
    return new Call(behind[0]);
  }

  private Expression one(Member member, int count, int[] behind) {
    List<Expression> options = new ArrayList<>();
    if (count < max) {
      Expression text = count == 0 ? member.text : Expression.sequence(comma, member.text);
      int more = Math.min(count + 1, behind.length - 1); // no more matters
      options.add(Expression.sequence(text, new Call(behind[more])));
    }
    if (!member.isRequired) {
      options.add(new Call(behind[count]));
    }
    return new Choice(options);
  }

  private Expression tail(int count) {
    int missing = Math.max(0, min - count);
    if (others == null || missing > 1 || count >= max) {
      return missing == 0 && count > 0 ? Expression.EMPTY : Expression.NEVER;
    }
    int room = max == Repeat.UNBOUNDED ? max : max - count;
    Expression behind = Expression.sequence(comma, others);
    if (count > 0) {
      return new Repeat(behind, missing, room);
    }
    int more = room == Repeat.UNBOUNDED ? room : room - 1;
    return Expression.sequence(others, new Repeat(behind, 0, more));
  }
}
