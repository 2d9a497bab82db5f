package io.verdier.cache.artifact;

import java.io.IOException;
import java.nio.file.Path;

/** Where the files of one version of an artifact are kept. Used under the artifact's lock. */
interface Place {
  /** What the server reads. */
  Path directory();

  /** Whether a file is there, whole. */
  boolean has(RemoteFile file);

  /** Where its bytes gather; on the same file system as {@link #directory}. */
  Path partial(RemoteFile file);

  /** Gives a complete, verified file its name. */
  void publish(RemoteFile file, PartialFile partial) throws IOException;

  /** Called when every file that was wanted is there. */
  void complete() throws IOException;
}
