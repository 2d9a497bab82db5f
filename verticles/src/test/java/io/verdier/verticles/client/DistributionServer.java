package io.verdier.verticles.client;

import io.verdier.verticles.launch.ServerProcess;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The distribution's launcher in a process of its own, as an operator starts it. Thread-safe.
 *
 * <p>Readiness and port are read from what the server prints: nothing is polled and no port is
 * guessed.
 */
final class DistributionServer implements ServerUnderTest {
  private static final Pattern READY = Pattern.compile("running on http://[^ ]*:(\\d+)");
  private static final int STOP_SECONDS = 30;

  private final Process process;
  private final String baseUrl;

  private DistributionServer(Process process, String baseUrl) {
    this.process = process;
    this.baseUrl = baseUrl;
  }

  static DistributionServer start() throws IOException {
    Path home = Path.of(System.getProperty("verdier.home", "target/verdier")).toAbsolutePath();
    ProcessBuilder builder =
        new ProcessBuilder(
            List.of(
                home.resolve("bin/verdier").toString(),
                "serve",
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--enable-responses-api-store"));
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    builder.environment().put("VERDIER_JAVA_OPTS", ServerProcess.SMALL);
    Process process = builder.redirectErrorStream(true).start();
    BufferedReader output = process.inputReader();
    StringBuilder said = new StringBuilder();
    for (String line = output.readLine(); line != null; line = output.readLine()) {
      said.append(line).append('\n');
      Matcher ready = READY.matcher(line);
      if (ready.find()) {
        keepReading(output, process.pid());
        return new DistributionServer(process, "http://127.0.0.1:" + ready.group(1));
      }
    }
    throw new IOException("the server ended before it was ready:\n" + said);
  }

  /** A full pipe would stop the server. The rest of the output goes to a file for who must look. */
  private static void keepReading(BufferedReader output, long pid) throws IOException {
    Path log =
        Files.createDirectories(Path.of("target")).resolve("server-under-test-" + pid + ".log");
    Thread.ofVirtual()
        .start(
            () -> {
              try (output;
                  var writer = Files.newBufferedWriter(log)) {
                output.transferTo(writer);
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });
  }

  @Override
  public String baseUrl() {
    return baseUrl;
  }

  /** Ends as an orchestrator would: a polite signal, and then an end. */
  @Override
  public void close() throws IOException {
    process.destroy();
    try {
      if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new IOException("the server did not end " + STOP_SECONDS + " s after SIGTERM");
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }
}
