package io.verdier.verticles.cache;

import io.verdier.cache.artifact.Artifact;
import io.verdier.cache.artifact.ArtifactException;
import io.verdier.cache.artifact.ArtifactStore;
import io.verdier.cache.artifact.ArtifactUri;
import io.verdier.cache.artifact.FileChoice;
import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.BackendKind;
import io.verdier.conf.ServerConfig.LoadFormat;
import io.verdier.verticles.bus.ResolveModel;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The files of the model that the operator named. Owned by the cache worker thread. */
final class ModelFiles {
  private final ArtifactStore artifacts;
  private final ServerConfig config;
  private final List<Artifact> open = new ArrayList<>();

  ModelFiles(ArtifactStore artifacts, ServerConfig config) {
    this.artifacts = artifacts;
    this.config = config;
  }

  /**
   * Blocks until they are there.
   *
   * @throws ArtifactException if they cannot be had
   */
  ResolveModel.Reply resolve() {
    ServerConfig.Model model = config.model();
    Artifact files = files("--model", model.source(), model.revision(), choice());
    Artifact tokenizer =
        model.tokenizer().isEmpty()
            ? files
            : files(
                "--tokenizer", model.tokenizer(), model.tokenizerRevision(), FileChoice.TOKENIZER);
    return new ResolveModel.Reply(files.directory(), tokenizer.directory());
  }

  private Artifact files(
      String flag, Optional<String> source, Optional<String> revision, FileChoice choice) {
    try {
      Artifact artifact =
          source
              .map(it -> artifacts.open(ArtifactUri.parse(it, revision), choice))
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

  void close() {
    open.forEach(Artifact::close);
    open.clear();
  }
}
