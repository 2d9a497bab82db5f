package io.verdier.engine.model;

/** Hears how far loading is. Called by the loading thread. */
@FunctionalInterface
public interface LoadProgress {
  void layersLoaded(int done, int total);
}
