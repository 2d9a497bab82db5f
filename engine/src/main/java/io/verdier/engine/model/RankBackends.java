package io.verdier.engine.model;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Rank;

/** Opens the backend of each rank. Called on the rank's thread, so by several threads at a time. */
@FunctionalInterface
public interface RankBackends {
  Backend open(Rank rank);
}
