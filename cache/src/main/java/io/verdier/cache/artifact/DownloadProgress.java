package io.verdier.cache.artifact;

/** Who wants to know how far a download is. Called from several threads at a time. */
public interface DownloadProgress {
  /** Nobody does. */
  DownloadProgress SILENT = (artifact, done, total) -> {};

  /**
   * @param artifact as people may read it
   * @param done bytes that are on this host, those of earlier runs included
   * @param total bytes of all files that are fetched
   */
  void onBytes(String artifact, long done, long total);
}
