package io.verdier.verticles.http.api;

import io.verdier.engine.sample.SamplingField;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * One row of the table of request fields. Immutable.
 *
 * @param group heading under which the table has it
 * @param name dots lead into objects, and into those of a list; {@link #ANY} is every other one
 * @param knownTo who else has the field: both, v0.9, v1 (vLLM's), openai, anthropic, vertex, ours
 * @param presence what holds where the field is not there
 * @param help a phrase without a full stop
 */
public record ApiField(
    String group,
    String name,
    Set<Body> bodies,
    String knownTo,
    ApiType type,
    Presence presence,
    Status status,
    String help) {
  /** Last part of the name of a row that stands for all fields of its object without a row. */
  public static final String ANY = "*";

  private static final Pattern BLANKS = Pattern.compile("\\s+");
  private static final int CELLS = 7;

  public ApiField {
    bodies = Set.copyOf(bodies);
  }

  /** Reads one row: name | bodies | vllm | type | default | status | help. */
  static ApiField of(String group, String row) {
    String[] cells = row.split("\\|", -1);
    if (cells.length != CELLS) {
      throw new IllegalArgumentException(
          "a row has " + CELLS + " cells, not " + cells.length + ": " + row);
    }
    String name = cells[0].strip();
    boolean sampling = cells[3].strip().equals("sampling");
    ApiType type = ApiType.of(cells[3].strip(), name);
    return new ApiField(
        group,
        name,
        bodies(cells[1].strip()),
        cells[2].strip(),
        type,
        sampling && cells[4].isBlank()
            ? Presence.of(SamplingField.named(name).orElseThrow())
            : Presence.of(cells[4].strip(), type, name),
        Status.of(cells[5].strip()),
        sampling ? samplingHelp(name, cells[6].strip()) : cells[6].strip());
  }

  private static Set<Body> bodies(String cell) {
    EnumSet<Body> bodies = EnumSet.noneOf(Body.class);
    List<String> words = List.of(BLANKS.split(cell));
    Arrays.stream(Body.values()).filter(it -> words.contains(it.word())).forEach(bodies::add);
    if (bodies.size() != words.size()) {
      throw new IllegalArgumentException("unknown bodies: " + cell);
    }
    return bodies;
  }

  private static String samplingHelp(String name, String more) {
    String help = SamplingField.named(name).orElseThrow().help();
    return more.isEmpty() ? help : help + "; " + more;
  }

  /** Whether the table itself has the value that counts where the field is not there. */
  public boolean hasFallback() {
    return presence.fallback() != null;
  }

  /**
   * That value, a Boolean, Long, Double or String.
   *
   * @throws IllegalStateException if the table leaves it to others
   */
  public Object fallback() {
    if (presence.fallback() == null) {
      throw new IllegalStateException("the table has no default of " + name);
    }
    return presence.fallback();
  }

  /**
   * For who knows a default of the field from elsewhere.
   *
   * @throws IllegalStateException if the table has one too
   */
  public void checkOpen() {
    if (hasFallback()) {
      throw new IllegalStateException("the table has a default of " + name);
    }
  }

  /** Whether the field stands in the body itself, not in an object of it. */
  public boolean isTopLevel() {
    return name.indexOf('.') < 0;
  }
}
