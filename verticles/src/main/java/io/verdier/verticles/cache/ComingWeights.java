package io.verdier.verticles.cache;

import io.verdier.cache.artifact.ArtifactException;
import io.verdier.engine.weights.Arrivals;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Weights that are being fetched. Thread-safe: a future for each file, which the threads that fetch
 * complete and those that load wait for.
 */
final class ComingWeights implements Arrivals {
  private final Map<Path, CompletableFuture<Void>> files;

  ComingWeights(List<Path> coming) {
    files =
        coming.stream()
            .distinct()
            .collect(
                Collectors.toUnmodifiableMap(
                    Function.identity(), file -> new CompletableFuture<Void>()));
  }

  void arrived(Path file) {
    CompletableFuture<Void> waiting = files.get(file);
    if (waiting != null) {
      waiting.complete(null);
    }
  }

  /** All have come. */
  void allArrived() {
    files.values().forEach(waiting -> waiting.complete(null));
  }

  /** What has not come by now will not come. */
  void fail(Throwable why) {
    files.values().forEach(waiting -> waiting.completeExceptionally(why));
  }

  @Override
  public void await(Path file) {
    CompletableFuture<Void> waiting = files.get(file);
    if (waiting == null) {
      return;
    }
    try {
      waiting.join();
    } catch (CompletionException failed) {
      throw failed.getCause() instanceof ArtifactException why ? why : failed;
    }
  }
}
