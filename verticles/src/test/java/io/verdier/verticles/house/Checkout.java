package io.verdier.verticles.house;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Where the project's files lie. Immutable; for tests that read the sources or write pictures. */
public final class Checkout {
  /** In the order in which they depend on each other. */
  public static final List<String> MODULES = List.of("conf", "cache", "engine", "verticles");

  private Checkout() {}

  /** The folder of the parent pom: tests run in a module's folder or above it. */
  public static Path root() {
    Path start = Path.of("").toAbsolutePath();
    for (Path folder = start; folder != null; folder = folder.getParent()) {
      if (Files.exists(folder.resolve("mvnw"))) {
        return folder;
      }
    }
    throw new IllegalStateException("no project root at or above " + start);
  }

  /** Every Java file of {@code src/<kind>/java} in all modules, sorted. */
  static List<Path> javaFiles(String kind) {
    return MODULES.stream()
        .map(module -> root().resolve(module).resolve("src").resolve(kind).resolve("java"))
        .filter(Files::isDirectory)
        .flatMap(folder -> walk(folder).stream())
        .sorted()
        .toList();
  }

  private static List<Path> walk(Path folder) {
    try (Stream<Path> files = Files.walk(folder)) {
      return files.filter(file -> file.toString().endsWith(".java")).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
