package io.verdier.cache.artifact;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;

/**
 * The demo model inside the jar, unpacked once so that it can be memory-mapped. Owned by the cache
 * worker thread; several processes may unpack at the same time, the first rename wins.
 *
 * <p>{@code demo-model/files.txt} lists {@code sha256 size path}, one file a line. The directory's
 * name carries the list's hash, so another model never meets old files.
 */
final class EmbeddedModel {
  private static final String ROOT = "demo-model/";

  private final Path models;
  private final ClassLoader resources;

  EmbeddedModel(Path models, ClassLoader resources) {
    this.models = models;
    this.resources = resources;
  }

  /** One line of the list. */
  private record Entry(long size, String name) {}

  Path unpack() {
    try {
      byte[] list = read("files.txt");
      List<Entry> entries = parse(list);
      Path target = models.resolve("demo-" + hash(list));
      if (!isComplete(target, entries)) {
        unpackTo(target, entries);
      }
      return target;
    } catch (IOException failed) {
      throw new ArtifactException(
          "The embedded demo model cannot be unpacked under %s (%s). Set VERDIER_CACHE_DIR to a writable directory."
              .formatted(models, failed.getMessage()),
          failed);
    }
  }

  private static List<Entry> parse(byte[] list) {
    return new String(list, StandardCharsets.UTF_8)
        .lines()
        .map(line -> line.split(" ", 3))
        .map(parts -> new Entry(Long.parseLong(parts[1]), parts[2]))
        .toList();
  }

  private static boolean isComplete(Path directory, List<Entry> entries) throws IOException {
    for (Entry entry : entries) {
      Path file = directory.resolve(entry.name);
      if (!Files.isRegularFile(file) || Files.size(file) != entry.size) {
        return false;
      }
    }
    return true;
  }

  private void unpackTo(Path target, List<Entry> entries) throws IOException {
    Files.createDirectories(models);
    Path temporary = Files.createTempDirectory(models, "unpack-");
    try {
      for (Entry entry : entries) {
        Path file = temporary.resolve(entry.name);
        Files.createDirectories(parentOf(file));
        try (InputStream in = open(entry.name)) {
          Files.copy(in, file);
        }
      }
      if (!isComplete(temporary, entries)) {
        throw new IOException("sizes differ from the list");
      }
      publish(temporary, target, entries);
    } finally {
      OwnPlace.deleteQuietly(temporary);
    }
  }

  private static void publish(Path temporary, Path target, List<Entry> entries) throws IOException {
    if (Files.exists(target) && !isComplete(target, entries)) {
      // Moved aside whole before it is deleted: nobody ever opens a directory that is half gone.
      Path damaged = temporary.resolveSibling(temporary.getFileName() + "-damaged");
      try {
        Files.move(target, damaged, StandardCopyOption.ATOMIC_MOVE);
      } catch (NoSuchFileException taken) {
        // Another process was faster.
      }
      OwnPlace.deleteQuietly(damaged);
    }
    try {
      Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
    } catch (FileSystemException taken) {
      if (!isComplete(target, entries)) {
        throw taken;
      }
      // Another process was faster: its files are as good as ours.
    }
  }

  private static Path parentOf(Path file) {
    Path parent = file.getParent();
    if (parent == null) {
      throw new IllegalStateException("no parent: " + file);
    }
    return parent;
  }

  private byte[] read(String name) throws IOException {
    try (InputStream in = open(name)) {
      return in.readAllBytes();
    }
  }

  private InputStream open(String name) throws IOException {
    InputStream in = resources.getResourceAsStream(ROOT + name);
    if (in == null) {
      throw new IOException("not embedded: " + name);
    }
    return in;
  }

  private static String hash(byte[] list) {
    try {
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(list);
      return HexFormat.of().formatHex(digest, 0, 6);
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
