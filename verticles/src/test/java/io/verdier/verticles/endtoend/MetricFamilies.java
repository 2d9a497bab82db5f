package io.verdier.verticles.endtoend;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The table of what {@code /metrics} must say, {@code metrics/families.txt}. Stateless. */
final class MetricFamilies {
  private static final Path TABLE = Path.of("src/test/resources/metrics/families.txt");

  private MetricFamilies() {}

  /**
   * Line of the table. Immutable.
   *
   * @param labels with their values where those are a closed set
   * @param bounds of a histogram's buckets, without the last
   * @param whose who else has it
   */
  record Row(
      String name,
      String type,
      Map<String, Set<String>> labels,
      List<Double> bounds,
      String whose) {

    private static Row of(String line) {
      String[] columns = line.split("\\|", -1);
      Map<String, Set<String>> labels = new LinkedHashMap<>();
      for (String label : words(columns[2])) {
        String[] parts = label.split("=", 2);
        labels.put(parts[0], parts.length == 1 ? Set.of() : Set.of(parts[1].split(",")));
      }
      List<Double> bounds = words(columns[3]).stream().map(Double::valueOf).toList();
      String whose = columns[columns.length - 1].strip();
      return new Row(columns[0].strip(), columns[1].strip(), labels, bounds, whose);
    }

    private static List<String> words(String text) {
      return Arrays.stream(text.strip().split(" +")).filter(word -> !word.isEmpty()).toList();
    }

    private boolean isOf(String feature) {
      return whose.equals(feature);
    }
  }

  static List<Row> all() {
    try {
      return Files.readAllLines(TABLE).stream()
          .filter(line -> !line.isBlank() && !line.startsWith("#"))
          .map(Row::of)
          .toList();
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  /** What a node has that is alone. */
  static List<Row> ofOneNode() {
    return all().stream()
        .filter(row -> !row.isOf("cluster") && !row.isOf("cache") && !row.isOf("traces"))
        .toList();
  }

  /** What a node has besides where there are others. */
  static List<Row> ofClusters() {
    return all().stream().filter(row -> row.isOf("cluster")).toList();
  }

  /** What a node has besides that keeps blocks for engines. */
  static List<Row> ofCacheNodes() {
    return all().stream().filter(row -> row.isOf("cache")).toList();
  }

  /** What a node has besides that sends traces. */
  static List<Row> ofTraces() {
    return all().stream().filter(row -> row.isOf("traces")).toList();
  }
}
