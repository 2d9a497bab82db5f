package io.verdier.verticles.bench;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * Prints how many tokens a second the client can take in, with a server that sends prepared bytes:
 * the output token throughput of the report. Run its {@code main} by hand.
 */
final class BenchClientBenchmark {
  private static final int TOKENS = 20_000;

  private BenchClientBenchmark() {}

  public static void main(String[] args) throws Exception {
    byte[] answer = answer();
    try (ServerSocket server = new ServerSocket(0, 256, InetAddress.getLoopbackAddress())) {
      Thread.ofVirtual().start(() -> accept(server, answer));
      for (int pass = 0; pass < 3; pass++) {
        BenchServe.run(
            List.of(
                "--base-url=http://127.0.0.1:" + server.getLocalPort(),
                "--model=m",
                "--num-prompts=320",
                "--max-concurrency=64",
                "--input-len=8",
                "--output-len=" + TOKENS),
            System.out);
      }
    }
  }

  private static void accept(ServerSocket server, byte[] answer) {
    try {
      while (true) {
        Socket socket = server.accept();
        Thread.ofVirtual().start(() -> serve(socket, answer));
      }
    } catch (IOException closed) {
      // The end of the run.
    }
  }

  /** Every request of the client fits one read. */
  private static void serve(Socket socket, byte[] answer) {
    try (socket) {
      byte[] request = new byte[64 << 10];
      OutputStream out = socket.getOutputStream();
      for (int read = socket.getInputStream().read(request);
          read > 0;
          read = socket.getInputStream().read(request)) {
        boolean stream = new String(request, 0, read, StandardCharsets.UTF_8).contains("stream");
        out.write(
            stream
                ? answer
                : "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".getBytes(StandardCharsets.UTF_8));
      }
    } catch (IOException closed) {
      // The client is done.
    }
  }

  /** One HTTP chunk a token, as a server that flushes each token sends it. */
  private static byte[] answer() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    bytes.write(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            .getBytes(StandardCharsets.UTF_8));
    for (int i = 0; i < TOKENS; i++) {
      chunk(
          bytes,
          "data: {\"id\":\"cmpl-0123456789abcdef\",\"object\":\"text_completion\",\"created\":1790000000,"
              + "\"model\":\"demo\",\"choices\":[{\"index\":0,\"text\":\" word\",\"logprobs\":null,"
              + "\"finish_reason\":null,\"stop_reason\":null}]}\n\n");
    }
    chunk(bytes, "data: [DONE]\n\n");
    bytes.write("0\r\n\r\n".getBytes(StandardCharsets.UTF_8));
    return bytes.toByteArray();
  }

  private static void chunk(ByteArrayOutputStream bytes, String text) throws IOException {
    byte[] payload = text.getBytes(StandardCharsets.UTF_8);
    bytes.write((Integer.toHexString(payload.length) + "\r\n").getBytes(StandardCharsets.UTF_8));
    bytes.write(payload);
    bytes.write("\r\n".getBytes(StandardCharsets.UTF_8));
  }
}
