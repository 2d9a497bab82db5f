package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.SequenceKey;
import io.verdier.verticles.bus.Submit;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;

/**
 * How fast streams leave the ingress, client in the same process included. A small run by default,
 * which only shows that nothing is lost; {@code -Dbench.steps=4000} measures.
 *
 * <p>The engine is one thread that sends one message of a token per stream and instance, at most
 * {@code -Dbench.ahead} steps ahead of the client: 1 forbids any sharing of writes.
 */
class SseThroughputTest {
  private static final int STREAMS = 256;
  private static final int STEPS = Integer.getInteger("bench.steps", 50);
  private static final int INSTANCES = Integer.getInteger("bench.instances", 2);
  private static final int AHEAD = Integer.getInteger("bench.ahead", 16);

  /** In the text of each token, and nowhere else. */
  private static final byte MARK = '~';

  private final AtomicLong received = new AtomicLong();

  @Test
  void streams_manyAtOnce_everyEventArrives() throws Exception {
    try (HttpFixture server = HttpFixture.start(options -> options.instances = INSTANCES)) {
      server.engine.hold();
      Selector selector = connect(server);
      Thread client = Thread.ofPlatform().start(() -> read(selector));
      List<Long> keys = new ArrayList<>();
      for (int i = 0; i < STREAMS; i++) {
        Submit submit = server.engine.awaitSubmit();
        keys.add(submit.keys()[0]);
      }
      long start = System.nanoTime();
      generate(server, keys);
      client.join();
      double seconds = (System.nanoTime() - start) / 1e9;
      assertThat(received.get()).isEqualTo((long) STREAMS * STEPS);
      System.out.printf(
          "SSE throughput: %d streams x %d tokens over %d instances: %.0f events/s%n",
          STREAMS, STEPS, INSTANCES, (double) STREAMS * STEPS / seconds);
      HttpFixture.await(() -> server.admission.taken() == 0);
    }
  }

  private static Selector connect(HttpFixture server) throws Exception {
    Selector selector = Selector.open();
    byte[] body =
        "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}"
            .getBytes(StandardCharsets.UTF_8);
    String head =
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            + "Content-Type: application/json\r\nContent-Length: "
            + body.length
            + "\r\n\r\n";
    for (int i = 0; i < STREAMS; i++) {
      SocketChannel channel =
          SocketChannel.open(new InetSocketAddress(InetAddress.getLoopbackAddress(), server.port));
      channel.write(ByteBuffer.wrap(head.getBytes(StandardCharsets.US_ASCII)));
      channel.write(ByteBuffer.wrap(body));
      channel.configureBlocking(false);
      channel.register(selector, SelectionKey.OP_READ);
    }
    return selector;
  }

  private void generate(HttpFixture server, List<Long> keys) {
    List<List<Long>> byInstance = new ArrayList<>();
    for (int i = 0; i < INSTANCES; i++) {
      int instance = i;
      byInstance.add(keys.stream().filter(k -> SequenceKey.instance(k) == instance).toList());
    }
    for (int step = 0; step < STEPS; step++) {
      while ((long) (step - AHEAD) * STREAMS > received.get()) {
        LockSupport.parkNanos(20_000);
      }
      for (List<Long> own : byInstance) {
        if (!own.isEmpty()) {
          server.engine.send(deltas(own, step));
        }
      }
    }
  }

  private static List<Delta> deltas(List<Long> keys, int step) {
    int[] tokens = {5};
    String text = " tok" + (char) MARK;
    Delta.Start start = step == 0 ? new Delta.Start(FakeEngine.PROMPT, "", "") : null;
    Delta.End end = step == STEPS - 1 ? FakeEngine.end(FinishReason.LENGTH, STEPS) : null;
    List<Delta> deltas = new ArrayList<>(keys.size());
    for (long key : keys) {
      deltas.add(new Delta(key, start, text, tokens, List.of(), List.of(), end));
    }
    return deltas;
  }

  private void read(Selector selector) {
    ByteBuffer buffer = ByteBuffer.allocateDirect(64 * 1024);
    byte[] bytes = new byte[64 * 1024];
    int open = STREAMS;
    try {
      while (open > 0) {
        selector.select();
        long events = 0;
        for (SelectionKey key : selector.selectedKeys()) {
          buffer.clear();
          int count = ((SocketChannel) key.channel()).read(buffer);
          if (count < 0) {
            key.channel().close();
            open--;
            continue;
          }
          buffer.flip().get(bytes, 0, count);
          events += events(bytes, count);
        }
        selector.selectedKeys().clear();
        received.addAndGet(events);
      }
    } catch (IOException broken) {
      throw new UncheckedIOException(broken);
    }
  }

  private static int events(byte[] bytes, int count) {
    int marks = 0;
    for (int i = 0; i < count; i++) {
      if (bytes[i] == MARK) {
        marks++;
      }
    }
    return marks;
  }
}
