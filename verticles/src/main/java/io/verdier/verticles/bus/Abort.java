package io.verdier.verticles.bus;

import java.util.Set;

/**
 * An operator ends requests; every HTTP instance hears it. Immutable.
 *
 * @param ids of requests or their answers
 * @param all whether it means all requests, whatever their ids
 */
public record Abort(Set<String> ids, boolean all) {
  public Abort {
    ids = Set.copyOf(ids);
  }
}
