package io.verdier.engine.model;

import io.verdier.engine.backend.Backend;

/** Opens the backend of each stage that a process has. Called on the loading thread. */
@FunctionalInterface
public interface StageBackends {

  /**
   * @param index among the stages of this process, from 0 on
   */
  Backend open(int index);
}
