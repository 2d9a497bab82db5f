package io.verdier.verticles.launch;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The built distribution as a process of its own, on a free port of the loopback interface. Owned
 * by the test's thread.
 */
public final class ServerProcess implements AutoCloseable {
  private static final Pattern LISTENING = Pattern.compile("Listening on http://[^:]+:(\\d+)");
  private static final int TIMEOUT_SECONDS = 60;
  private static final String KERNELS_IN_C = "/io/verdier/engine/backend/cpu/native/";

  /**
   * Options of the JVM for a server that lives for seconds, perhaps beside others: a small heap, in
   * large pages, and no optimizing compiler, which takes half of the processor time of such a life
   * (a start and an answer: 5.8 s with it and all of the heap, 2.3 s so). Without kernels in C it
   * is needed.
   */
  public static final String SMALL =
      "-Xmx400m -Xmn24m -XX:+IgnoreUnrecognizedVMOptions -XX:+UseTransparentHugePages"
          + (ServerProcess.class.getResource(KERNELS_IN_C) == null
              ? ""
              : " -XX:TieredStopAtLevel=1");

  private final Process process;
  private final List<String> lines = new ArrayList<>();
  private final CompletableFuture<Integer> port = new CompletableFuture<>();
  private final CompletableFuture<Boolean> ready = new CompletableFuture<>();

  private ServerProcess(Process process) {
    this.process = process;
    Thread reader = new Thread(this::read, "server-output");
    reader.setDaemon(true);
    reader.start();
  }

  /** Directory of the distribution, as the build tells its tests. */
  public static Path home() {
    String home = System.getProperty("verdier.home");
    if (home == null) {
      throw new IllegalStateException("run through `./verdier test`: -Dverdier.home is not set");
    }
    return Path.of(home);
  }

  /** Starts {@code bin/verdier} with these arguments. */
  public static Process launch(String... arguments) {
    return launch(List.of(), Map.of(), arguments);
  }

  private static Process launch(
      List<String> prefix, Map<String, String> environment, String... arguments) {
    List<String> command = new ArrayList<>(prefix);
    command.add(home().resolve("bin/verdier").toString());
    command.addAll(Arrays.asList(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    builder.environment().putAll(environment);
    try {
      return builder.start();
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  /** Starts {@code serve} on a free port, {@link #SMALL}. */
  public static ServerProcess serve(String... flags) {
    return started(serving(flags));
  }

  /** The same as users have it, to be measured. */
  public static ServerProcess serveAsShipped(String... flags) {
    return startedWith("", serving(flags));
  }

  private static String[] serving(String... flags) {
    Stream<String> first = Stream.of("serve", "--host=127.0.0.1", "--port=0");
    return Stream.concat(first, Stream.of(flags)).toArray(String[]::new);
  }

  /** Starts {@link #SMALL} with exactly these arguments, which must serve. */
  public static ServerProcess started(String... arguments) {
    return startedWith(SMALL, arguments);
  }

  /**
   * The same with other options.
   *
   * @param options of the JVM, beside those that all servers have
   */
  public static ServerProcess startedWith(String options, String... arguments) {
    return startedUnder(List.of(), options, arguments);
  }

  /**
   * The same through another program.
   *
   * @param prefix its command, which must become the server's process
   */
  public static ServerProcess startedUnder(
      List<String> prefix, String options, String... arguments) {
    return new ServerProcess(launch(prefix, Map.of("VERDIER_JAVA_OPTS", options), arguments));
  }

  private void read() {
    try (BufferedReader reader = process.inputReader()) {
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        onLine(line);
      }
    } catch (IOException closed) {
      // The process is gone; what it wrote is in `lines`.
    }
    IllegalStateException ended = new IllegalStateException("the server ended:\n" + output());
    port.completeExceptionally(ended);
    ready.completeExceptionally(ended);
  }

  private void onLine(String line) {
    synchronized (lines) {
      lines.add(line);
    }
    Matcher listening = LISTENING.matcher(line);
    if (listening.find()) {
      port.complete(Integer.parseInt(listening.group(1)));
    }
    if (line.contains("Application startup complete.")) {
      ready.complete(true);
    }
  }

  /** What the process has printed so far. */
  public String output() {
    synchronized (lines) {
      return String.join("\n", lines);
    }
  }

  /** Waits until the port is bound. */
  public int port() {
    return port.orTimeout(TIMEOUT_SECONDS, TimeUnit.SECONDS).join();
  }

  /** Waits until requests are served. */
  public ServerProcess awaitReady() {
    ready.orTimeout(TIMEOUT_SECONDS, TimeUnit.SECONDS).join();
    return this;
  }

  public String baseUrl() {
    return "http://127.0.0.1:" + port();
  }

  /** SIGTERM. */
  public void terminate() {
    process.toHandle().destroy();
  }

  /** SIGKILL. */
  public void kill() {
    process.toHandle().destroyForcibly();
  }

  /** A signal that Java has no word for, by its name. */
  public void signal(String name) {
    try {
      new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).start().waitFor();
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(interrupted);
    }
  }

  /** Waits for the end of the process. */
  public int exitStatus() {
    try {
      if (!process.waitFor(TIMEOUT_SECONDS, TimeUnit.SECONDS)) {
        throw new IllegalStateException("the server does not end:\n" + output());
      }
      return process.exitValue();
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(interrupted);
    }
  }

  @Override
  public void close() {
    process.toHandle().destroyForcibly();
  }
}
