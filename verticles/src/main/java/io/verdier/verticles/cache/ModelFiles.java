package io.verdier.verticles.cache;

import io.verdier.cache.artifact.ArrivalWatch;
import io.verdier.cache.artifact.Artifact;
import io.verdier.cache.artifact.ArtifactException;
import io.verdier.cache.artifact.ArtifactStore;
import io.verdier.cache.artifact.ArtifactUri;
import io.verdier.cache.artifact.FileChoice;
import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.BackendKind;
import io.verdier.conf.ServerConfig.LoadFormat;
import io.verdier.engine.weights.CheckpointFiles;
import io.verdier.verticles.bus.ResolveModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The files of the model that the operator named. Owned by the thread that loads: the cache
 * worker's, where there is one.
 */
public final class ModelFiles {
  private final ArtifactStore artifacts;
  private final ServerConfig config;
  private final List<Artifact> open = new ArrayList<>();

  public ModelFiles(ArtifactStore artifacts, ServerConfig config) {
    this.artifacts = artifacts;
    this.config = config;
  }

  /**
   * Blocks until they are there.
   *
   * @param early gets the answer at once if weights are to be fetched, for whoever can begin with
   *     some of them; what goes wrong later it hears from the {@link ComingWeights}
   * @return the answer, too late for those who got it early
   * @throws ArtifactException if they cannot be had
   */
  public ResolveModel.Reply resolve(Consumer<ResolveModel.Reply> early) {
    ServerConfig.Model model = config.model();
    Optional<Path> tokenizer =
        model.tokenizer().isEmpty()
            ? Optional.empty()
            : Optional.of(
                files(
                        "--tokenizer",
                        model.tokenizer(),
                        model.tokenizerRevision(),
                        FileChoice.TOKENIZER,
                        ArrivalWatch.NOBODY)
                    .directory());
    Early watch = new Early(tokenizer, early);
    try {
      Path directory =
          files("--model", model.source(), model.revision(), choice(), watch).directory();
      watch.tell(ComingWeights::allArrived);
      CheckpointFiles files = CheckpointFiles.in(directory);
      return new ResolveModel.Reply(files.withTokenizer(tokenizer.orElse(directory)));
    } catch (RuntimeException | Error failed) {
      watch.tell(coming -> coming.fail(failed));
      throw failed;
    }
  }

  /** Answers early. Owned by the cache worker thread, but for arrivals. */
  private static final class Early implements ArrivalWatch {
    private final Optional<Path> tokenizer;
    private final Consumer<ResolveModel.Reply> answer;
    private volatile @Nullable ComingWeights coming; // null: nobody got an answer

    Early(Optional<Path> tokenizer, Consumer<ResolveModel.Reply> answer) {
      this.tokenizer = tokenizer;
      this.answer = answer;
    }

    @Override
    public void onComing(Path directory, List<Path> weights, long bytes) {
      if (coming == null) {
        ComingWeights first = new ComingWeights(weights);
        coming = first;
        answer.accept(
            new ResolveModel.Reply(
                new CheckpointFiles(directory, tokenizer.orElse(directory), first, bytes)));
      }
    }

    @Override
    public void onArrived(Path file) {
      tell(files -> files.arrived(file));
    }

    void tell(Consumer<ComingWeights> news) {
      ComingWeights known = coming;
      if (known != null) {
        news.accept(known);
      }
    }
  }

  private Artifact files(
      String flag,
      Optional<String> source,
      Optional<String> revision,
      FileChoice choice,
      ArrivalWatch watch) {
    try {
      Artifact artifact =
          source
              .map(it -> artifacts.open(ArtifactUri.parse(it, revision), choice, watch))
              .orElseGet(artifacts::demo);
      open.add(artifact);
      return artifact;
    } catch (ArtifactException unavailable) {
      throw new ArtifactException(flag + " " + unavailable.text(), unavailable);
    }
  }

  /** Weights that nobody reads are not fetched. */
  private FileChoice choice() {
    boolean reads =
        config.model().loadFormat() != LoadFormat.DUMMY
            && config.backend().kind() != BackendKind.NULL;
    return reads ? FileChoice.MODEL : FileChoice.DESCRIPTION;
  }

  /** Others may delete the files from now on, where there is too little room. */
  public void close() {
    open.forEach(Artifact::close);
    open.clear();
  }
}
