package io.verdier.cache.artifact;

import io.verdier.conf.ConfigLoader;
import io.verdier.conf.LoadResult;
import io.verdier.conf.ServerConfig;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A process of its own that fetches a model, so that it can be killed. */
final class DownloadProcess {
  static final int RANGE_BYTES = 256 << 10;
  private static final int ENTRY_BYTES = 64 << 10;

  static final int STREAMS = 4;

  private DownloadProcess() {}

  /** Arguments: the source, then flags. Exit status 0: the model is there. */
  public static void main(String[] arguments) {
    List<String> flags = Arrays.asList(arguments).subList(1, arguments.length);
    ServerConfig config = ((LoadResult.Loaded) ConfigLoader.load(flags, Map.of())).config();
    Downloader.Settings settings =
        new Downloader.Settings(STREAMS, RANGE_BYTES, ENTRY_BYTES, System::nanoTime);
    Downloader downloader = new Downloader(settings, Retry.standard(), DownloadProgress.SILENT);
    ArtifactStore store =
        new ArtifactStore(config, DownloadProcess.class.getClassLoader(), downloader);
    ArtifactUri uri = ArtifactUri.parse(arguments[0], Optional.empty());
    try (Artifact model = store.open(uri, FileChoice.MODEL)) {
      System.out.println(model.directory());
    }
  }

  static Process start(String source, FakeCloud cloud, Path directory) throws IOException {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-Xshare:auto",
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                DownloadProcess.class.getName(),
                source));
    command.addAll(cloud.flags());
    command.add("--cache-dir=" + directory);
    command.add("--download-dir=" + directory.resolve("downloads"));
    return new ProcessBuilder(command)
        .redirectError(ProcessBuilder.Redirect.INHERIT)
        .redirectOutput(directory.resolve("out.txt").toFile())
        .start();
  }
}
