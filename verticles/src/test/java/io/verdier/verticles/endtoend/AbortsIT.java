package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.run.StepRunner;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Clients that go away at every possible moment, over raw sockets. */
@Tag("alone")
class AbortsIT {
  private static final int CONCURRENT = 48;
  private static final long SEED = Long.getLong("seed", 20261123L);

  @Test
  void clients_nineThousandAbortsOfFastSteps_noBlockAndNoSequenceIsLost() throws Exception {
    abort(9_000, "--backend=null", "--null-step-ms=1");
  }

  @Test
  void clients_thousandAbortsOfTheDemoModel_noBlockAndNoSequenceIsLost() throws Exception {
    abort(1_000);
  }

  @Test
  void clients_abortWhileStepsArePlannedAhead_noBlockAndNoSequenceIsLost() throws Exception {
    abort(3_000, "--backend=null", "--null-step-ms=1", "--async-scheduling");
    abort(300, "--async-scheduling");
  }

  /** From the moment that HTTP hears of the disconnect to the last step with its sequence. */
  @Test
  void client_leavesMidStream_blocksFreeWithinTwoSteps() throws Exception {
    AtomicInteger steps = new AtomicInteger();
    try (InProcessServer server =
        InProcessServer.start(
            runner -> new Counting(runner, steps), "--backend=null", "--null-step-ms=50")) {
      try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), server.server().port())) {
        socket
            .getOutputStream()
            .write(
                post("{\"prompt\":\"x\",\"max_tokens\":900,\"stream\":true,\"ignore_eos\":true}"));
        assertThat(socket.getInputStream().read()).isEqualTo('H');
        assertThat(server.metric("vllm:kv_cache_usage_perc")).isPositive();
      }
      while (!server.server().metricsText().contains("finished_reason=\"abort\"} 1.0")) {
        Thread.sleep(1);
      }
      int heard = steps.get();
      server.awaitIdle();
      assertThat(server.metric("vllm:kv_cache_usage_perc")).isZero();
      assertThat(steps.get() - heard).isLessThanOrEqualTo(2);
    }
  }

  /** Counts the steps that begin. */
  private record Counting(StepRunner runner, AtomicInteger steps) implements StepRunner {
    @Override
    public void begin(StepPlan plan) {
      steps.incrementAndGet();
      runner.begin(plan);
    }

    @Override
    public StepOutcome finish() {
      return runner.finish();
    }

    @Override
    public void close() {
      runner.close();
    }
  }

  private static void abort(int aborts, String... flags) throws Exception {
    String[] all = Arrays.copyOf(flags, flags.length + 1);
    all[flags.length] = "--max-num-seqs=32";
    try (InProcessServer server = InProcessServer.start(all)) {
      Semaphore slots = new Semaphore(CONCURRENT);
      try (ExecutorService clients = Executors.newVirtualThreadPerTaskExecutor()) {
        for (int i = 0; i < aborts; i++) {
          long seed = SEED + i;
          slots.acquire();
          clients.execute(
              () -> {
                try {
                  abortOne(server.server().port(), new Random(seed));
                } catch (IOException refusedOrReset) {
                  // What the client sees is not the point here; the server's books are.
                } finally {
                  slots.release();
                }
              });
        }
      }
      server.awaitIdle();
      assertThat(server.metric("vllm:num_requests_running")).as("seed %d", SEED).isZero();
      assertThat(server.metric("vllm:num_requests_waiting")).isZero();
      assertThat(server.metric("vllm:kv_cache_usage_perc")).isZero();
      assertThat(server.metric("verdier:detokenizer_streams")).isZero();
      Client client = new Client(server.baseUrl());
      assertThat(client.get("/health").status()).isEqualTo(200);
    }
  }

  private static void abortOne(int port, Random random) throws IOException {
    try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
      socket.setSoTimeout(40); // an answer may be shorter than what is read of it
      byte[] request = request(random);
      int sent = random.nextInt(4) == 0 ? random.nextInt(request.length) : request.length;
      socket.getOutputStream().write(request, 0, sent);
      InputStream in = socket.getInputStream();
      if (sent == request.length && random.nextInt(3) > 0) {
        in.readNBytes(random.nextInt(3000));
      }
      if (random.nextBoolean()) {
        socket.setSoLinger(true, 0); // reset instead of an orderly end
      }
    }
  }

  private static byte[] request(Random random) {
    String body =
        """
        {"prompt": "Tell me %d stories", "max_tokens": %d, "n": %d, "stream": %s, "ignore_eos": true, "stop": ["%s"]}"""
            .formatted(
                random.nextInt(50),
                1 + random.nextInt(150),
                1 + random.nextInt(2),
                random.nextBoolean(),
                random.nextBoolean() ? "the" : "never ever");
    return post(body);
  }

  private static byte[] post(String body) {
    String head =
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
            + body.length()
            + "\r\n\r\n";
    return (head + body).getBytes(StandardCharsets.US_ASCII);
  }
}
