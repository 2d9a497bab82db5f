package io.verdier.verticles.grammar;

import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.Grammar;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Compiled constraints, those that were asked for last. Owned by the grammar actor. Bounded by what
 * they hold, so that a client who never asks for the same thing twice fills no memory.
 */
final class Grammars {
  private final long bytesMax;
  private final Map<Constraint, Known> known = new LinkedHashMap<>(64, 0.75f, true);
  private long bytes;

  private record Known(Grammar grammar, long bytes) {}

  Grammars(long bytesMax) {
    this.bytesMax = bytesMax;
  }

  @Nullable Grammar get(Constraint constraint) {
    Known found = known.get(constraint);
    return found == null ? null : found.grammar;
  }

  void put(Constraint constraint, Grammar grammar) {
    long size = grammar.bytes() + 2L * characters(constraint);
    Known before = known.put(constraint, new Known(grammar, size));
    bytes += size - (before == null ? 0 : before.bytes);
    Iterator<Known> oldest = known.values().iterator();
    while (bytes > bytesMax && oldest.hasNext()) {
      bytes -= oldest.next().bytes;
      oldest.remove();
    }
  }

  private static long characters(Constraint constraint) {
    return switch (constraint) {
      case Constraint.JsonObject object -> 0;
      case Constraint.JsonSchema json -> json.schema().length();
      case Constraint.Regex regex -> regex.pattern().length();
      case Constraint.Choice choice ->
          choice.options().stream().mapToLong(option -> option.length() + 32L).sum();
      case Constraint.Rules rules -> rules.text().length();
      case Constraint.StructuralTag tag -> tag.tag().length();
    };
  }

  int size() {
    return known.size();
  }

  long bytes() {
    return bytes;
  }
}
