package io.verdier.verticles.launch;

import io.verdier.engine.lora.AdapterSlots;
import io.verdier.engine.run.StepRunner;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A server whose steps hang for as long as a file is there, and all else of which lives on: as
 * where a device does not answer.
 */
public final class HangingServer {
  private static final long LOOK_NANOS = 10_000_000;

  private HangingServer() {}

  /** What {@link ServerProcess#startedUnder} puts before a server's command. */
  public static List<String> prefix(Path file) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("--add-modules=jdk.incubator.vector");
    command.add("--enable-native-access=ALL-UNNAMED");
    command.add("-XX:+UseSerialGC");
    Collections.addAll(command, ServerProcess.SMALL.split(" "));
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add(HangingServer.class.getName());
    command.add(file.toString());
    return command;
  }

  /** Arguments: the file, then a server's command: the program, {@code serve} and flags. */
  public static void main(String[] arguments) throws InterruptedException {
    Path file = Path.of(arguments[0]);
    String[] flags = Arrays.copyOfRange(arguments, 3, arguments.length);
    InProcessServer server = InProcessServer.start(runner -> new Hanging(runner, file), flags);
    System.out.println("Listening on " + server.baseUrl());
    System.out.println("Application startup complete.");
    new CountDownLatch(1).await(); // until it is killed
  }

  /** Owned by the executor thread. */
  private record Hanging(StepRunner runner, Path file) implements StepRunner {
    @Override
    public void begin(StepPlan plan) {
      runner.begin(plan);
    }

    @Override
    public StepOutcome finish() {
      while (Files.exists(file)) {
        LockSupport.parkNanos(LOOK_NANOS);
      }
      return runner.finish();
    }

    @Override
    public @Nullable AdapterSlots adapters() {
      return runner.adapters();
    }

    @Override
    public void close() {
      runner.close();
    }
  }
}
