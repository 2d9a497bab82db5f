package io.verdier.cache.artifact;

import java.nio.file.Path;
import java.util.List;

/** Hears how the weights of an artifact come. Thread-safe: the threads that fetch call it. */
public interface ArrivalWatch {
  /** Of who waits until all is there. */
  ArrivalWatch NOBODY =
      new ArrivalWatch() {
        @Override
        public void onComing(Path directory, List<Path> weights, long bytes) {}

        @Override
        public void onArrived(Path file) {}
      };

  /**
   * All small files are there, and weights are being fetched now. It is called again if somebody
   * removed the files meanwhile.
   *
   * @param weights those that are not there yet, by their final names
   * @param bytes of all weights
   */
  void onComing(Path directory, List<Path> weights, long bytes);

  /** One of them has its name: it is whole and verified. */
  void onArrived(Path file);
}
