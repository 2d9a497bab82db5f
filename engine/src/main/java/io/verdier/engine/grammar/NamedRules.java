package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Call;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The rules of a grammar's text by their names, in any order. Owned by its reader. */
final class NamedRules {
  private final RuleSet rules = new RuleSet();
  private final Map<String, Named> named = new LinkedHashMap<>();
  private final RuleText text;
  private final Call start;

  /** Owned by its rules. */
  private static final class Named {
    final Call call;
    final int position; // of its first use
    boolean isDefined;

    Named(Call call, int position) {
      this.call = call;
      this.position = position;
    }
  }

  NamedRules(RuleText text) {
    this.text = text;
    start = rules.reserve();
  }

  Call use(String name, int position) {
    return named(name, position).call;
  }

  private Named named(String name, int position) {
    return named.computeIfAbsent(name, n -> new Named(rules.reserve(), position));
  }

  boolean isDefined(String name) {
    Named known = named.get(name);
    return known != null && known.isDefined;
  }

  void define(String name, int position, Expression body) {
    Named rule = named(name, position);
    if (rule.isDefined) {
      throw text.errorAt(position, "the rule " + name + " is defined twice");
    }
    rule.isDefined = true;
    rules.define(rule.call, body);
  }

  /** What the whole text matches, which is the first rule. */
  void defineStart(Expression body) {
    rules.define(start, body);
  }

  /**
   * @throws GrammarException if a rule that is used is not defined
   */
  List<Expression> rules() {
    named.forEach(
        (name, rule) -> {
          if (!rule.isDefined) {
            throw text.errorAt(rule.position, "the rule " + name + " is not defined");
          }
        });
    return rules.rules();
  }

  /** For what is said of a rule. */
  String name(int rule) {
    return named.entrySet().stream()
        .filter(entry -> entry.getValue().call.rule() == rule)
        .map(Map.Entry::getKey)
        .findFirst()
        .orElse("start");
  }
}
