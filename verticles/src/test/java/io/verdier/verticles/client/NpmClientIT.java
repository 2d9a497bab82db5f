package io.verdier.verticles.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;

/** OpenAI's and Anthropic's npm clients, in {@code src/test/node}. */
@ExtendWith(DemoServer.class)
class NpmClientIT {
  private static final Path SOURCES = Path.of("src", "test", "node");
  private static final Path DIRECTORY = Path.of("target", "npm-client");
  private static final List<String> FILES =
      List.of(
          "package.json",
          "package-lock.json",
          "client.test.mjs",
          "embeddings.test.mjs",
          "messages.test.mjs",
          "responses.test.mjs",
          "structured.test.mjs");

  @Test
  @Timeout(240)
  void npmClient_allItsTests_pass(ServerUnderTest server) throws Exception {
    run("client.test.mjs", server.baseUrl());
    run("messages.test.mjs", server.baseUrl());
    run("responses.test.mjs", server.baseUrl());
  }

  /** Runs a file of tests, where Node.js is installed or must be. */
  static void run(String tests, String baseUrl) throws Exception {
    boolean there = exists("node") && exists("npm");
    if (!there && "1".equals(System.getenv("VERDIER_REQUIRE_NODE"))) {
      fail("VERDIER_REQUIRE_NODE is 1, and there is no node or no npm on the PATH.");
    }
    assumeTrue(there, "Node.js is not installed: the npm client is not tested here.");
    install();
    succeed(List.of("node", "--test", tests), baseUrl);
  }

  /** Once for all classes that need it, whichever process comes first. */
  private static void install() throws Exception {
    Files.createDirectories(DIRECTORY);
    try (FileChannel lock =
        FileChannel.open(
            DIRECTORY.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      lock.lock();
      for (String file : FILES) {
        copy(SOURCES.resolve(file), DIRECTORY.resolve(file));
      }
      Path wanted = DIRECTORY.resolve("package-lock.json");
      Path installed = DIRECTORY.resolve("installed.json");
      if (isSame(wanted, installed)) {
        return;
      }
      succeed(
          List.of("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"),
          "");
      copy(wanted, installed);
    }
  }

  /** Leaves alone what somebody may be reading. */
  private static void copy(Path from, Path to) throws IOException {
    if (!isSame(from, to)) {
      Files.copy(from, to, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  private static boolean isSame(Path one, Path other) throws IOException {
    return Files.exists(other) && Files.mismatch(one, other) == -1;
  }

  private static boolean exists(String command) throws InterruptedException {
    try {
      Process process =
          new ProcessBuilder(command, "--version")
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start();
      return process.waitFor() == 0;
    } catch (IOException notFound) {
      return false;
    }
  }

  private static void succeed(List<String> command, String baseUrl) throws Exception {
    Path log = Files.createTempFile(DIRECTORY, "output", ".log");
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .directory(DIRECTORY.toFile())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile());
    builder.environment().put("VERDIER_BASE_URL", baseUrl);
    Process process = builder.start();
    if (!process.waitFor(120, TimeUnit.SECONDS)) {
      process.destroyForcibly();
    }
    String said = Files.readString(log);
    Files.delete(log);
    assertThat(process.waitFor()).as("%s said:%n%s", command, said).isZero();
  }
}
