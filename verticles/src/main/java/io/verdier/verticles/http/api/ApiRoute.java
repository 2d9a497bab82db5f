package io.verdier.verticles.http.api;

/**
 * One row of the table of known routes, ours and vLLM's. Immutable.
 *
 * @param path as the router has it; ending in {@code /*} it is a prefix
 * @param knownTo who else has the route: both, v0.9, v1 (vLLM's), vertex, ours
 * @param help a phrase without a full stop
 */
public record ApiRoute(String method, String path, String knownTo, Status status, String help) {
  private static final int CELLS = 4;

  /** Reads one row: method path | vllm | status | help. */
  static ApiRoute of(String row) {
    String[] cells = row.split("\\|", -1);
    if (cells.length != CELLS) {
      throw new IllegalArgumentException(
          "a row has " + CELLS + " cells, not " + cells.length + ": " + row);
    }
    String[] where = cells[0].strip().split(" ", 2);
    Status status = Status.of(cells[2].strip());
    return new ApiRoute(where[0], where[1], cells[1].strip(), status, cells[3].strip());
  }

  /** Whether the server has it. */
  public boolean exists() {
    return status.kind() != Status.Kind.REFUSED;
  }
}
