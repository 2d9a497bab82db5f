package io.verdier.cache.artifact;

import io.verdier.cache.outbound.OutboundClient.Answer;
import java.io.Closeable;
import java.io.IOException;

/** A place that artifacts are fetched from. Thread-safe; blocking. */
interface Source extends Closeable {
  /** As people may read it. */
  String shown();

  /**
   * What is there now.
   *
   * @throws ArtifactException if it cannot be had: not there, not allowed
   * @throws IOException if it may be worth another try
   */
  Listing list() throws IOException;

  /**
   * Asks for the bytes from {@code from} up to {@code to}, exclusive; once more where an address or
   * a token was refused that may have expired, and there may be another. The answer's status is up
   * to the caller.
   */
  Answer open(RemoteFile file, long from, long to) throws IOException;

  /** Whether an answer with bytes of a file is of the version that was listed. */
  default boolean isListed(RemoteFile file, Answer answer) {
    return true; // the address says which
  }

  /** What the operator is told after a status that no other try will change. */
  ArtifactException refusal(RemoteFile file, Answer answer) throws IOException;
}
