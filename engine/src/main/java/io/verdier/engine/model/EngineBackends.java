package io.verdier.engine.model;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Rank;

/**
 * Opens the backends of the engines of a process. Called on the rank's thread, so by several
 * threads at a time.
 */
@FunctionalInterface
public interface EngineBackends {

  /**
   * @param own what the engine gets of what was asked for: its threads, its devices
   */
  Backend open(ServerConfig.Backend own, Rank rank);
}
