package io.verdier.cache.artifact;

import io.verdier.conf.ConfigLoader;
import io.verdier.conf.LoadResult;
import io.verdier.conf.ServerConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.LongSupplier;
import java.util.stream.Stream;

/** A store beside a {@link FakeCloud} that holds a sharded model. Owned by the test's thread. */
final class RemoteFixture implements AutoCloseable {
  static final ArtifactUri GCS = ArtifactUri.parse("gs://bucket/models/demo", Optional.empty());
  static final ArtifactUri HUB = ArtifactUri.parse("org/demo", Optional.empty());

  final FakeCloud cloud = new FakeCloud();
  final List<Duration> pauses = new CopyOnWriteArrayList<>();
  private final Path directory;

  RemoteFixture(Path directory) {
    this.directory = directory;
    addModel(cloud, 300_000);
  }

  /** Small files that count, files that nobody reads, two shards. */
  static void addModel(FakeCloud cloud, int shardBytes) {
    Map<String, String> small =
        Map.of(
            "config.json", "{\"model_type\": \"llama\"}",
            "1_Pooling/config.json", "{\"pooling_mode_lasttoken\": true}",
            "tokenizer.json", "{\"model\": {}}",
            "README.md", "# hi",
            "pytorch_model.bin", "pickle",
            "original/consolidated.00.pth", "pickle",
            "modeling.py", "import os",
            "model.safetensors.index.json",
                """
                {"weight_map": {"b": "model-00002-of-00002.safetensors",
                 "a": "model-00001-of-00002.safetensors"}}\
                """);
    small.forEach((name, text) -> cloud.files.put(name, text.getBytes(StandardCharsets.UTF_8)));
    cloud.files.put("model-00001-of-00002.safetensors", bytes(1, shardBytes));
    cloud.files.put("model-00002-of-00002.safetensors", bytes(2, shardBytes / 2));
    cloud.files.put("consolidated.safetensors", bytes(3, 100));
  }

  static byte[] bytes(long seed, int count) {
    byte[] bytes = new byte[count];
    new Random(seed).nextBytes(bytes);
    return bytes;
  }

  /** What a model's directory must hold. */
  static List<String> expectedNames() {
    return List.of(
        "1_Pooling/config.json",
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json");
  }

  ServerConfig config(String... flags) {
    List<String> argv = new ArrayList<>(cloud.flags());
    if (Arrays.stream(flags).anyMatch(flag -> flag.startsWith("--allowed-outbound"))) {
      argv.removeLast();
    }
    argv.add("--cache-dir=" + directory);
    argv.add("--download-dir=" + directory.resolve("downloads"));
    argv.addAll(Arrays.asList(flags));
    return switch (ConfigLoader.load(argv, Map.of("HOME", directory.toString()))) {
      case LoadResult.Loaded loaded -> loaded.config();
      case LoadResult.Invalid invalid -> throw new IllegalStateException(invalid.text());
      case LoadResult.HelpAsked help -> throw new IllegalStateException(help.text());
    };
  }

  /** Waits are noted, not waited. */
  ArtifactStore store(String... flags) {
    return store(System::nanoTime, flags);
  }

  /** The same by another clock. */
  ArtifactStore store(LongSupplier nanos, String... flags) {
    Retry retry = new Retry(4, Duration.ofMillis(100), pauses::add, () -> 1);
    ServerConfig config = config(flags);
    Downloader.Settings usual = Downloader.Settings.standard(config.artifacts().streams());
    Downloader.Settings settings =
        new Downloader.Settings(usual.streams(), usual.rangeBytes(), usual.entryBytes(), nanos);
    return new ArtifactStore(
        config,
        getClass().getClassLoader(),
        new Downloader(settings, retry, DownloadProgress.SILENT));
  }

  static long bytesBelow(Path directory) {
    try (Stream<Path> files = Files.walk(directory)) {
      return files.filter(Files::isRegularFile).mapToLong(it -> it.toFile().length()).sum();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Names and contents below a directory. */
  static Map<String, String> tree(Path directory) {
    Map<String, String> tree = new TreeMap<>();
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        tree.put(
            directory.relativize(file).toString(),
            FakeCloud.digest("SHA-256", Files.readAllBytes(file)));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return tree;
  }

  /** The model as it should be. */
  Map<String, String> expected() {
    Map<String, String> expected = new TreeMap<>();
    expectedNames()
        .forEach(name -> expected.put(name, FakeCloud.digest("SHA-256", cloud.file(name))));
    return expected;
  }

  @Override
  public void close() {
    cloud.close();
  }
}
