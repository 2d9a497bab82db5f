package io.verdier.verticles.endtoend;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A Grafana dashboard and what its queries ask for. Immutable. */
record Dashboard(JsonNode json) {
  private static final Pattern WORD = Pattern.compile("[a-zA-Z_:][a-zA-Z0-9_:]*");

  /** Behind these words stand labels, in parentheses. */
  private static final Pattern LABEL_LIST =
      Pattern.compile("\\b(?:by|without|on|ignoring|group_left|group_right)\\s*\\(([^)]*)\\)");

  private static final Set<String> OPERATORS = Set.of("or", "and", "unless", "bool", "offset");

  static Dashboard read(Path file) throws IOException {
    return new Dashboard(Client.JSON.readTree(file.toFile()));
  }

  /** All panels, rows included, in their order. */
  List<JsonNode> panels() {
    List<JsonNode> panels = new ArrayList<>();
    json.get("panels").forEach(panels::add);
    return panels;
  }

  /** The PromQL of all panels. */
  List<String> expressions() {
    List<String> expressions = new ArrayList<>();
    for (JsonNode panel : panels()) {
      panel.path("targets").forEach(target -> expressions.add(target.get("expr").asText()));
    }
    return expressions;
  }

  /** Names of the series that an expression asks for. */
  static Set<String> series(String expression) {
    String names =
        LABEL_LIST
            .matcher(expression.replaceAll("\"[^\"]*\"", "").replaceAll("\\{[^}]*}", ""))
            .replaceAll(" ")
            .replaceAll("\\[[^\\]]*]", "");
    Set<String> series = new TreeSet<>();
    Matcher word = WORD.matcher(names);
    while (word.find()) {
      boolean function = names.substring(word.end()).stripLeading().startsWith("(");
      boolean aggregation = word.group().equals("sum") || word.group().equals("max");
      if (!function && !aggregation && !OPERATORS.contains(word.group())) {
        series.add(word.group());
      }
    }
    return series;
  }

  /** Labels that an expression selects or groups by. */
  static Set<String> labels(String expression) {
    Set<String> labels = new TreeSet<>();
    Matcher matchers = Pattern.compile("([a-zA-Z_]+)\\s*(?:=~|!~|!=|=)\\s*\"").matcher(expression);
    while (matchers.find()) {
      labels.add(matchers.group(1));
    }
    Matcher lists = LABEL_LIST.matcher(expression);
    while (lists.find()) {
      for (String label : lists.group(1).split(",")) {
        labels.add(label.strip());
      }
    }
    return labels;
  }
}
