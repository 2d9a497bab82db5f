package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Call;
import io.verdier.engine.grammar.Expression.Choice;
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
 * twice: once as the first, once behind others. Only where members are counted is there a rule for
 * each place and count.
 */
final class JsonMembers {
  /** Members that are nested into each other; blocks of them are again. */
  private static final int BLOCK = 64;

  /** Optional members from which on each is a rule of its own, to be called, not written out. */
  private static final int WRITTEN_MAX = 48;

  /** Rules of a place and a count. */
  private static final int COUNTED_MAX = 4096;

  private final List<Member> members;
  private final @Nullable Expression others;
  private final Expression comma;
  private final List<Expression> rules;
  private final int min;
  private final int max;

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
    this.members = optional > WRITTEN_MAX ? called(members) : members;
  }

  private List<Member> called(List<Member> listed) {
    List<Member> calls = new ArrayList<>();
    for (Member member : listed) {
      rules.add(member.text);
      calls.add(new Member(new Call(rules.size() - 1), member.isRequired));
    }
    return calls;
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
    boolean isCounted = min > Math.max(1, required) || max < all;
    if (isCounted && !members.isEmpty()) {
      return new Listed(counted(), mayBeEmpty);
    }
    if (members.isEmpty() && others != null) {
      int more = max == Repeat.UNBOUNDED ? max : max - 1;
      return new Listed(
          Expression.sequence(others, new Repeat(Expression.sequence(comma, others), 0, more)),
          mayBeEmpty);
    }
    return new Listed(listed(), mayBeEmpty);
  }

  private Expression listed() {
    int first = 0;
    while (first < members.size() && !members.get(first).isRequired) {
      first++;
    }
    List<Expression> parts = new ArrayList<>();
    if (first < members.size()) {
      if (first > 0) {
        parts.add(Expression.optional(Expression.sequence(some(first), comma)));
      }
      parts.add(members.get(first).text);
      addRest(first + 1, members.size(), parts);
    } else if (first > 0) {
      parts.add(some(first));
    }
    if (others == null) {
      return parts.isEmpty() ? Expression.NEVER : new Sequence(parts);
    }
    Expression more = Expression.any(Expression.sequence(comma, others));
    Expression onlyOthers = Expression.sequence(others, more);
    parts.add(more);
    Expression all = new Sequence(parts);
    return first < members.size() ? all : Expression.choice(all, onlyOthers);
  }

  /** One or more of the first members, all optional. */
  private Expression some(int count) {
    Expression before = Expression.NEVER;
    for (int start = 0; start < count; start += BLOCK) {
      int end = Math.min(count, start + BLOCK);
      Expression block = Expression.NEVER;
      for (int i = start; i < end; i++) {
        Expression text = members.get(i).text;
        Expression behind = Expression.optional(Expression.sequence(comma, text));
        block = i == start ? text : Expression.choice(Expression.sequence(block, behind), text);
      }
      List<Expression> rest = new ArrayList<>();
      rest.add(before);
      addRest(start, end, rest);
      before = start == 0 ? block : Expression.choice(new Sequence(rest), block);
    }
    return before;
  }

  private void addRest(int start, int end, List<Expression> parts) {
    for (Member member : members.subList(start, end)) {
      Expression behind = Expression.sequence(comma, member.text);
      parts.add(member.isRequired ? behind : Expression.optional(behind));
    }
  }

  /** A rule for each member and each count of those that were there before it. */
  private Expression counted() {
    int kept = max == Repeat.UNBOUNDED ? Math.max(1, min) : Math.min(max, members.size());
    if ((members.size() + 1L) * (kept + 1L) > COUNTED_MAX) {
      throw new GrammarException(
          "the JSON schema: minProperties or maxProperties, or uniqueItems, beside so many names"
              + " or values takes too many rules");
    }
    int[] behind = new int[kept + 1]; // rules of the next member, by count
    for (int place = members.size(); place >= 0; place--) { // no recursion: there may be many
      int[] here = new int[kept + 1];
      for (int count = 0; count <= Math.min(place, kept); count++) {
        here[count] = rules.size();
        rules.add(place < members.size() ? one(place, count, behind) : tail(count));
      }
      behind = here;
    }
    return new Call(behind[0]);
  }

  private Expression one(int place, int count, int[] behind) {
    Member member = members.get(place);
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
