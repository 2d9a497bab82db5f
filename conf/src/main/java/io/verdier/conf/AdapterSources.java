package io.verdier.conf;

import java.time.Duration;
import java.util.List;

/**
 * Where adapters may come from, and what one may cost that is fetched. Immutable.
 *
 * @param allowed beginnings of places that requests may name adapters of
 * @param bytesMax that one may take on the disk
 * @param fetchTime in which one must be there
 */
public record AdapterSources(List<String> allowed, long bytesMax, Duration fetchTime) {
  public AdapterSources {
    allowed = List.copyOf(allowed);
  }
}
