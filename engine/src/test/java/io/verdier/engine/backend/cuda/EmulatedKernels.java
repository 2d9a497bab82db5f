package io.verdier.engine.backend.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The CUDA kernels on the CPU: {@code src/main/cuda/kernels.cu} compiled by g++ against its
 * emulation header, one library per content of the sources. Device memory is any native memory.
 * Owned by the thread that launches; a launch returns when the kernel has run.
 */
public final class EmulatedKernels {
  private static final Path SOURCES = Path.of("src/main/cuda");
  private static final Path LIBRARIES = Path.of("target/cuda-emulated");

  private static final String INSTRUCTIONS =
      System.getProperty("os.arch").equals("amd64") ? "-march=native" : "-mtune=native";

  /**
   * Without -ffp-contract=off, g++ may fuse what CUDA's intrinsics keep apart. With this machine's
   * own instructions, fmaf is one of them and not a call: a fifth less time for whole models.
   */
  private static final List<String> COMPILER =
      List.of(
          "g++",
          "-std=c++17",
          "-O2",
          INSTRUCTIONS,
          "-fPIC",
          "-shared",
          "-ffp-contract=off",
          "-DVERDIER_EMULATED",
          "-x",
          "c++",
          "kernels.cu",
          "-o");

  /** What {@code verdier_launch_*} takes: grid, block, bytes of shared memory, parameters. */
  private static final FunctionDescriptor LAUNCH =
      FunctionDescriptor.of(
          JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS);

  private final SymbolLookup library;
  private final Map<String, MethodHandle> kernels = new HashMap<>();

  /** Blocks of a grid, or threads of a block. */
  public record Dim(int x, int y, int z) {
    public static Dim of(int x) {
      return new Dim(x, 1, 1);
    }

    public static Dim of(int x, int y) {
      return new Dim(x, y, 1);
    }
  }

  private EmulatedKernels(Path file) {
    library = SymbolLookup.libraryLookup(file, Arena.global());
  }

  /**
   * Compiles the kernels unless the same sources were compiled before; empty where there is no g++.
   *
   * @throws IllegalStateException if they do not compile; the text is the compiler's
   */
  public static Optional<EmulatedKernels> load() {
    return file().map(EmulatedKernels::new);
  }

  /** The library, compiled as {@link #load} says. */
  static Optional<Path> file() {
    try {
      Path file = LIBRARIES.resolve("libverdier-" + checksum() + ".so").toAbsolutePath();
      if (!Files.exists(file)) {
        if (!isCompilerThere()) {
          return Optional.empty();
        }
        compile(file);
      }
      return Optional.of(file);
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }

  /**
   * Runs one kernel.
   *
   * @param parameters in the kernel's order: native segments for pointers, Integer, Long, Float
   * @throws IllegalStateException if the emulation finds a fault; the text says which
   */
  public void launch(String kernel, Dim grid, Dim block, int sharedBytes, Object... parameters) {
    MethodHandle launch =
        kernels.computeIfAbsent(
            kernel, name -> Linker.nativeLinker().downcallHandle(find("launch_" + name), LAUNCH));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment addresses = arena.allocate(ADDRESS, parameters.length);
      for (int i = 0; i < parameters.length; i++) {
        addresses.setAtIndex(ADDRESS, i, argument(arena, parameters[i]));
      }
      int fault =
          (int)
              launch.invokeExact(
                  grid.x, grid.y, grid.z, block.x, block.y, block.z, sharedBytes, addresses);
      if (fault != 0) {
        throw new IllegalStateException(kernel + ": " + lastFault());
      }
    } catch (RuntimeException fault) {
      throw fault;
    } catch (Throwable impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  private static MemorySegment argument(Arena arena, Object parameter) {
    return switch (parameter) {
      case MemorySegment pointer -> arena.allocateFrom(ADDRESS, pointer);
      case Integer number -> arena.allocateFrom(JAVA_INT, number);
      case Long number -> arena.allocateFrom(JAVA_LONG, number);
      case Float number -> arena.allocateFrom(JAVA_FLOAT, number);
      default -> throw new IllegalArgumentException("a kernel takes no " + parameter.getClass());
    };
  }

  private String lastFault() throws Throwable {
    MethodHandle error =
        Linker.nativeLinker()
            .downcallHandle(find("emulated_error"), FunctionDescriptor.of(ADDRESS));
    return ((MemorySegment) error.invokeExact()).reinterpret(Long.MAX_VALUE).getString(0);
  }

  private MemorySegment find(String name) {
    return library
        .find("verdier_" + name)
        .orElseThrow(() -> new IllegalStateException("the kernels export no verdier_" + name));
  }

  private static boolean isCompilerThere() {
    try {
      return run(Path.of("."), List.of("g++", "--version")).isEmpty();
    } catch (IOException absent) {
      return false;
    }
  }

  /** Under another name at first, so that a build beside this one never loads half a library. */
  private static void compile(Path file) throws IOException {
    Files.createDirectories(file.getParent());
    Path unfinished = Files.createTempFile(file.getParent(), "compiling", ".so");
    List<String> command = new ArrayList<>(COMPILER);
    command.add(unfinished.toString());
    Optional<String> fault = run(SOURCES, command);
    if (fault.isPresent()) {
      throw new IllegalStateException("g++ failed: " + fault.get());
    }
    Files.move(unfinished, file, StandardCopyOption.ATOMIC_MOVE);
  }

  /** Runs a command in a directory; gives what it printed if it failed. */
  private static Optional<String> run(Path directory, List<String> command) throws IOException {
    Process process =
        new ProcessBuilder(command).directory(directory.toFile()).redirectErrorStream(true).start();
    String printed = new String(process.getInputStream().readAllBytes(), UTF_8);
    try {
      return process.waitFor() == 0 ? Optional.empty() : Optional.of(printed);
    } catch (InterruptedException stopped) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", stopped);
    }
  }

  /** Of all sources and how they are compiled. */
  private static String checksum() throws IOException {
    try (Stream<Path> files = Files.list(SOURCES)) {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(COMPILER.toString().getBytes(UTF_8));
      for (Path file : files.sorted().toList()) {
        digest.update(file.getFileName().toString().getBytes(UTF_8));
        digest.update(Files.readAllBytes(file));
      }
      return HexFormat.of().formatHex(digest.digest(), 0, 8);
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
