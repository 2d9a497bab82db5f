package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.cuda.Cuda;
import io.verdier.verticles.launch.ServerProcess;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** The process as an orchestrator sees it: arguments, signals, exit statuses. */
class ProcessIT {

  @Test
  void sigterm_streamRunning_finishesThenExitsZero() throws Exception {
    try (ServerProcess server =
            ServerProcess.serve("--backend=null", "--null-step-ms=10").awaitReady();
        Stream stream = new Stream(server.port(), 100)) {
      stream.awaitEvent();
      server.terminate();
      Client client = new Client(server.baseUrl());
      await(() -> client.get("/health").status() == 503);
      String rest = stream.rest();
      assertThat(rest).contains("\"finish_reason\":\"length\"").contains("data: [DONE]");
      assertThat(rest).doesNotContain("\"error\"");
      assertThat(server.exitStatus()).isZero();
    }
  }

  @Test
  void sigterm_newRequestWhileDraining_isRefused() throws Exception {
    try (ServerProcess server =
            ServerProcess.serve("--backend=null", "--null-step-ms=20").awaitReady();
        Stream stream = new Stream(server.port(), 50)) {
      stream.awaitEvent();
      server.terminate();
      Client client = new Client(server.baseUrl());
      await(() -> client.get("/health").status() == 503);
      var refused = client.post("/v1/completions", Map.of("prompt", "Hi"));
      assertThat(refused.status()).isEqualTo(503);
      assertThat(stream.rest()).contains("data: [DONE]");
      assertThat(server.exitStatus()).isZero();
    }
  }

  @Test
  void sigterm_deadlinePasses_streamGetsErrorEventAndExitIsZero() throws Exception {
    try (ServerProcess server =
            ServerProcess.serve("--backend=null", "--null-step-ms=50", "--drain-timeout=1")
                .awaitReady();
        Stream stream = new Stream(server.port(), 1500)) {
      stream.awaitEvent();
      server.terminate();
      assertThat(stream.rest()).contains("data: {\"error\"").contains("data: [DONE]");
      assertThat(server.exitStatus()).isZero();
    }
  }

  /** Whoever presses Ctrl-C again does not want to wait for the drain's deadline. */
  @Test
  void signal_second_streamGetsErrorEventAndExitIsZero() throws Exception {
    for (String name : isInterruptIgnored() ? List.of("TERM") : List.of("TERM", "INT")) {
      try (ServerProcess server =
              ServerProcess.serve("--backend=null", "--null-step-ms=50", "--drain-timeout=600")
                  .awaitReady();
          Stream stream = new Stream(server.port(), 1500)) {
        stream.awaitEvent();
        server.signal(name);
        Client client = new Client(server.baseUrl());
        await(() -> client.get("/health").status() == 503);
        server.signal(name);
        assertThat(stream.rest()).contains("data: {\"error\"").contains("data: [DONE]");
        assertThat(server.exitStatus()).isZero();
      }
    }
  }

  /** As everything is that a shell without job control has put into the background. */
  private static boolean isInterruptIgnored() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("SigIgn:")) {
        return (Long.parseUnsignedLong(line.substring(7).strip(), 16) >> 1 & 1) == 1; // SIGINT: 2
      }
    }
    return false;
  }

  @Test
  void serve_outOfMemory_endsTheProcess() {
    try (ServerProcess server = ServerProcess.startedWith("-Xmx8m", "serve", "--port=0")) {
      assertThat(server.exitStatus()).as(server.output()).isEqualTo(3);
      assertThat(server.output()).contains("java.lang.OutOfMemoryError");
    }
  }

  @Test
  void serve_modelMissing_saysSoAndExitsNonZero() {
    try (ServerProcess server = ServerProcess.serve("--model=/no/such/model")) {
      assertThat(server.exitStatus()).isEqualTo(1);
      assertThat(server.output()).contains("/no/such/model");
    }
  }

  @Test
  void serve_lengthAboveCache_saysVllmsWordsAndExitsNonZero() {
    try (ServerProcess server = ServerProcess.serve("--num-gpu-blocks-override=4")) {
      assertThat(server.exitStatus()).isEqualTo(1);
      assertThat(server.output())
          .contains("is larger than the maximum number of tokens that can be stored in KV cache");
    }
  }

  /** Shared endpoints would cut it off; said once, or the log would have a line for each answer. */
  @Test
  void serve_onVertex_warnsOfTheFirstLargeAnswer() throws Exception {
    String warning = "Shared endpoints of Vertex AI pass on at most 1.5 MB";
    Map<String, Object> body =
        Map.of(
            "messages",
            List.of(Map.of("role", "user", "content", "What is a car?")),
            "n",
            8,
            "max_tokens",
            200,
            "ignore_eos",
            true,
            "logprobs",
            true,
            "top_logprobs",
            20);
    try (ServerProcess server = ServerProcess.serve("--aip-mode=PREDICTION")) {
      Client client = new Client(server.awaitReady().baseUrl());
      assertThat(client.post("/v1/completions", Map.of("prompt", "Hi")).status()).isEqualTo(200);
      assertThat(server.output()).doesNotContain(warning);
      for (int i = 0; i < 2; i++) {
        Client.Answer answer = client.post("/v1/chat/completions", body);
        assertThat(answer.status()).isEqualTo(200);
        assertThat(answer.body().length()).isGreaterThan(1_500_000);
      }
      await(() -> server.output().contains(warning));
      server.terminate();
      assertThat(server.exitStatus()).isZero();
      assertThat(server.output().split(warning, -1)).hasSize(2);
    }
  }

  @Test
  void serve_commandLineOfVertexNotebooks_isServed() {
    try (ServerProcess server =
        ServerProcess.started(
            "python",
            "-m",
            "vllm.entrypoints.api_server",
            "--host=127.0.0.1",
            "--port=0",
            "--tensor-parallel-size=1",
            "--swap-space=16",
            "--gpu-memory-utilization=0.9",
            "--max-model-len=2048",
            "--dtype=auto",
            "--max-loras=1",
            "--max-cpu-loras=8",
            "--max-num-seqs=256",
            "--disable-log-stats",
            "--enable-chunked-prefill",
            "--enable-auto-tool-choice",
            "--tool-call-parser=vertex-llama-3")) {
      Client client = new Client(server.awaitReady().baseUrl());
      assertThat(client.get("/ping").status()).isEqualTo(200);
      Map<String, Object> instance =
          Map.of("prompt", "The capital of France is", "temperature", 0, "max_tokens", 5);
      String prediction =
          client
              .post("/generate", Map.of("instances", List.of(instance)))
              .json()
              .at("/predictions/0")
              .asText();
      assertThat(prediction).startsWith("Prompt:\nThe capital of France is\nOutput:\n");
      assertThat(server.output()).contains("--swap-space");
    }
  }

  @Test
  void serve_misspelledFlags_allAreNamedAndExitIsTwo() {
    Process process =
        ServerProcess.launch(
            "python",
            "-m",
            "vllm.entrypoints.api_server",
            "--host=127.0.0.1",
            "--prot=8080",
            "--max-loras=x");
    String output = output(process);
    assertThat(process.exitValue()).isEqualTo(2);
    assertThat(output).contains("--prot").contains("--port").contains("--max-loras");
  }

  @Test
  void serve_portOpensFirst_healthIsUnavailableUntilReady() {
    try (ServerProcess server = ServerProcess.serve()) {
      Client client = new Client(server.baseUrl());
      int first = client.get("/health").status();
      assertThat(first).isIn(200, 503);
      server.awaitReady();
      long deadline = System.nanoTime() + 5_000_000_000L; // the news travels to every event loop
      while (client.get("/health").status() != 200) {
        assertThat(System.nanoTime()).isLessThan(deadline);
      }
      assertThat(server.output().indexOf("Listening on"))
          .isLessThan(server.output().indexOf("KV cache:"));
    }
  }

  @Test
  void sigterm_whileLoading_exitsZero() {
    try (ServerProcess server = ServerProcess.serve()) {
      server.port();
      server.terminate();
      assertThat(server.exitStatus()).as(server.output()).isZero();
    }
  }

  @Test
  void serve_badDefaults_endsTheStart() {
    try (ServerProcess server =
        ServerProcess.serve("--override-generation-config={\"temperature\": 5}")) {
      assertThat(server.exitStatus()).as(server.output()).isEqualTo(1);
      assertThat(server.output()).contains("temperature");
    }
  }

  @Test
  void serve_gpuWhereThereIsNone_saysWhyAndWhatToDo() {
    Assumptions.assumeTrue(Cuda.obstacle().isPresent(), "there is a GPU");
    try (ServerProcess server = ServerProcess.serve("--backend=cuda")) {
      assertThat(server.exitStatus()).as(server.output()).isEqualTo(1);
      assertThat(server.output())
          .contains("no GPU can be used: ")
          .contains("Start with --backend cpu to do without.");
    }
  }

  @Test
  void command_unknownOrNone_printsUsageAndExitIsTwo() {
    for (String[] words : List.of(new String[] {"bogus"}, new String[0])) {
      Process process = ServerProcess.launch(words);
      assertThat(output(process)).contains("verdier serve");
      assertThat(process.exitValue()).isEqualTo(2);
    }
  }

  @Test
  void help_printsTable() {
    Process process = ServerProcess.launch("serve", "--help");
    assertThat(output(process)).contains("--max-model-len", "--gpu-memory-utilization");
    assertThat(process.exitValue()).isZero();
  }

  @Test
  void health_readyAndNot_isTheExitStatus() {
    try (ServerProcess server = ServerProcess.serve().awaitReady()) {
      Process healthy = ServerProcess.launch("health", "--port=" + server.port());
      output(healthy);
      assertThat(healthy.exitValue()).isZero();
    }
    Process unreachable = ServerProcess.launch("health", "--port=1");
    output(unreachable);
    assertThat(unreachable.exitValue()).isEqualTo(1);
  }

  private static String output(Process process) {
    try {
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
      return output;
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(interrupted);
    }
  }

  private static void await(BooleanSupplier condition) throws InterruptedException {
    long deadline = System.nanoTime() + 10_000_000_000L;
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime()).isLessThan(deadline);
      Thread.sleep(5);
    }
  }

  /** One streamed completion over a raw socket. */
  private static final class Stream implements AutoCloseable {
    private final Socket socket;
    private final BufferedReader reader;

    Stream(int port, int maxTokens) throws IOException {
      socket = new Socket(InetAddress.getLoopbackAddress(), port);
      String body =
          "{\"prompt\": \"Hi\", \"stream\": true, \"ignore_eos\": true, \"max_tokens\": %d}"
              .formatted(maxTokens);
      OutputStream out = socket.getOutputStream();
      String request =
          "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
              + body.length()
              + "\r\n\r\n"
              + body;
      out.write(request.getBytes(StandardCharsets.US_ASCII));
      reader =
          new BufferedReader(
              new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
    }

    void awaitEvent() throws IOException {
      for (String line = reader.readLine(); !line.startsWith("data: "); line = reader.readLine()) {
        assertThat(line).isNotNull();
      }
    }

    /** What follows, up to {@code [DONE]} or the end. */
    String rest() throws IOException {
      StringBuilder text = new StringBuilder();
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        text.append(line).append('\n');
        if (line.equals("data: [DONE]")) {
          break;
        }
      }
      return text.toString();
    }

    @Override
    public void close() throws IOException {
      socket.close();
    }
  }
}
