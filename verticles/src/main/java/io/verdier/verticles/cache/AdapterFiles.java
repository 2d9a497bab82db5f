package io.verdier.verticles.cache;

import io.verdier.cache.artifact.Artifact;
import io.verdier.cache.artifact.ArtifactException;
import io.verdier.cache.artifact.ArtifactStore;
import io.verdier.cache.artifact.ArtifactUri;
import io.verdier.cache.artifact.FileChoice;
import io.verdier.cache.lora.AdapterPolicy;
import io.verdier.cache.lora.AdapterSource;
import io.verdier.cache.lora.AdapterStore.Fetched;
import io.verdier.cache.outbound.OutboundException;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.lora.Adapter;
import io.verdier.engine.lora.AdapterException;
import io.verdier.engine.weights.WeightsException;
import io.verdier.verticles.bus.Refused;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Brings the files of adapters to the local disk and reads them. Thread-safe: everything blocks, on
 * whatever thread asks.
 */
final class AdapterFiles {
  private static final Logger LOG = LoggerFactory.getLogger(AdapterFiles.class);

  private static final long MEASURED_NANOS = 1_000_000_000;

  private final ArtifactStore artifacts;
  private final AdapterPolicy policy;
  private final LoraShape shape;
  private final Duration timeMax;
  private volatile long measuredNanos; // when the disk's bytes were
  private volatile long diskBytes;

  /** An adapter with the files that it is read from, which stay until it is closed. */
  record Open(Adapter adapter, Artifact files) implements AutoCloseable {
    @Override
    public void close() {
      adapter.close();
      files.close();
    }
  }

  /**
   * @param shape of the model, and how high a rank there is room for
   * @param timeMax in which an adapter's files must be there
   */
  AdapterFiles(ArtifactStore artifacts, AdapterPolicy policy, LoraShape shape, Duration timeMax) {
    this.artifacts = artifacts;
    this.policy = policy;
    this.shape = shape;
    this.timeMax = timeMax;
    this.measuredNanos = System.nanoTime() - MEASURED_NANOS;
  }

  /** What downloads took on the disk when it was last looked at. */
  long diskBytes() {
    return diskBytes;
  }

  /**
   * The files of what an operator names.
   *
   * @throws ArtifactException if they cannot be had
   */
  Artifact open(String place) {
    return open(ArtifactUri.parse(place, Optional.empty()));
  }

  /** A source that never ends would have the thread for good. */
  private Artifact open(ArtifactUri uri) {
    try (Deadline deadline = new Deadline(timeMax)) {
      try {
        return artifacts.open(uri, FileChoice.ADAPTER);
      } catch (RuntimeException failed) {
        if (deadline.isOver()) {
          throw new ArtifactException(
              "%s: it was not there within --lora-fetch-timeout %d s."
                  .formatted(uri.shown(), timeMax.toSeconds()),
              new InterruptedIOException());
        }
        throw failed;
      }
    }
  }

  /**
   * Reads an adapter, unless it has the version that is known.
   *
   * @throws ArtifactException if its files cannot be had
   * @throws AdapterException if it does not fit the model, or is not what it must be
   */
  Fetched<Open> fetch(AdapterSource source, String known) throws IOException {
    Artifact files = open(policy.resolve(source));
    boolean isHandedOn = false;
    try {
      String version = version(files.directory());
      if (version.equals(known)) {
        return new Fetched<>("", version, null);
      }
      Adapter adapter = Adapter.read(files.directory(), shape);
      if (!source.identity().isEmpty() && !source.identity().equals(adapter.identity())) {
        adapter.close();
        throw new AdapterException("Its files have changed since it was loaded: load it again.");
      }
      isHandedOn = true;
      return new Fetched<>(adapter.identity(), version, new Open(adapter, files));
    } finally {
      if (!isHandedOn) {
        files.close();
      }
      measureDisk();
    }
  }

  /** Walks through all of them, so not each time. */
  private void measureDisk() throws IOException {
    long now = System.nanoTime();
    if (now - measuredNanos >= MEASURED_NANOS) {
      measuredNanos = now;
      diskBytes = artifacts.keptBytes();
    }
  }

  /** Directories of fetched files are named by version, others are told apart by their times. */
  private static String version(Path directory) throws IOException {
    StringBuilder version = new StringBuilder(directory.toString());
    for (String name : new String[] {"adapter_config.json", Adapter.WEIGHTS_FILE}) {
      Path file = directory.resolve(name);
      if (Files.isRegularFile(file)) {
        version.append(' ').append(Files.size(file));
        version.append(' ').append(Files.getLastModifiedTime(file));
      }
    }
    return version.toString();
  }

  /** Why an adapter cannot be had, for whoever asked for it. */
  static Refused refused(AdapterSource source, Throwable failed) {
    boolean isOurs = source.namer() == AdapterSource.Namer.OPERATOR;
    return switch (failed) {
      case ArtifactException unavailable ->
          new Refused(code(unavailable), unavailable.text(), null);
      case AdapterException unusable -> unusable(source, isOurs, unusable);
      case WeightsException unusable -> unusable(source, isOurs, unusable);
      default -> {
        LOG.warn("Adapter {} could not be loaded", source.shown(), failed);
        yield Refused.of(failed);
      }
    };
  }

  /** Who names a place that is being served is not at fault when its files are. */
  private static Refused unusable(AdapterSource source, boolean isOurs, RuntimeException reason) {
    boolean wasGood = isOurs && !source.identity().isEmpty();
    String text = String.valueOf(reason.getMessage());
    return new Refused(
        wasGood ? ErrorCode.UNAVAILABLE : ErrorCode.INVALID_ARGUMENT,
        isOurs ? text : source.shown() + ": " + text,
        null);
  }

  /** What the network or the disk refuses now may work later; everything else is the client's. */
  private static ErrorCode code(ArtifactException unavailable) {
    boolean passes =
        unavailable.getCause() instanceof IOException reason
            && !(reason instanceof OutboundException);
    return passes ? ErrorCode.UNAVAILABLE : ErrorCode.INVALID_ARGUMENT;
  }
}
