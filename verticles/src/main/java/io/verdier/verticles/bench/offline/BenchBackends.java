package io.verdier.verticles.bench.offline;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.weights.DType;

/** Makes the backend that a configuration asks for, as a server would. */
@FunctionalInterface
public interface BenchBackends {

  /**
   * Called on the thread of the rank.
   *
   * @param weights type of the checkpoint's matrices
   */
  Backend open(ServerConfig config, DType weights, Rank rank);
}
