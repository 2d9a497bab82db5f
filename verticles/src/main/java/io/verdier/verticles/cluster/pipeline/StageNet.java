package io.verdier.verticles.cluster.pipeline;

import io.verdier.conf.ClusterConfig;
import io.verdier.verticles.cluster.Trust;
import io.verdier.verticles.cluster.socket.SealedSocket;
import io.verdier.verticles.cluster.socket.SocketSeal;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.net.NetClient;
import io.vertx.core.net.NetServerOptions;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;

/**
 * The sockets of one node of a pipeline, and the event loop that owns them. Thread-safe.
 *
 * <p>It is a {@link Vertx} of its own with one loop: signing many rows takes milliseconds, which no
 * HTTP connection should wait for, and whatever happens on sockets happens one after the other.
 */
final class StageNet {
  private static final long END_MILLIS = 1_000;

  private final ClusterConfig cluster;
  private final byte[] key;
  private final Vertx vertx;
  private final Context loop;
  private final NetClient client; // Vert.x closes one that nobody holds, and its connections

  private StageNet(ClusterConfig cluster) {
    this.cluster = cluster;
    key = Trust.key(cluster);
    vertx =
        Vertx.vertx(
            new VertxOptions()
                .setEventLoopPoolSize(1)
                .setWorkerPoolSize(1)
                .setInternalBlockingPoolSize(1));
    loop = vertx.getOrCreateContext();
    client = vertx.createNetClient(Trust.asking(cluster));
  }

  /**
   * On a thread for this alone: what begins a {@link Vertx} must not run on a thread of another.
   */
  static StageNet open(ClusterConfig cluster) {
    CompletableFuture<StageNet> opened = new CompletableFuture<>();
    Thread.ofPlatform()
        .name("pipeline-net")
        .start(
            () -> {
              try {
                opened.complete(new StageNet(cluster));
              } catch (RuntimeException | Error failed) {
                opened.completeExceptionally(failed);
              }
            });
    return opened.join();
  }

  /** Runs something on the event loop, behind what is there. */
  void run(Runnable work) {
    loop.runOnContext(ignored -> work.run());
  }

  /** Runs something on the event loop again and again. */
  void every(long millis, Runnable work) {
    run(() -> vertx.setPeriodic(millis, ignored -> work.run()));
  }

  /** Runs something on the event loop later. */
  void after(long millis, Runnable work) {
    run(() -> vertx.setTimer(millis, ignored -> work.run()));
  }

  /**
   * Takes connections.
   *
   * @param listener of each of them
   */
  Future<?> listen(String host, int port, SealedSocket.Listener<StageFrame> listener) {
    NetServerOptions options = Trust.listening(cluster).setHost(host).setPort(port);
    return onLoop(
        () ->
            vertx
                .createNetServer(options)
                .connectHandler(
                    socket ->
                        new SealedSocket<>(
                            socket, StageCodec.PROTOCOL, key, SocketSeal.End.LISTENS, listener))
                .listen());
  }

  /** Asks another node for a connection. */
  Future<?> connect(String host, int port, SealedSocket.Listener<StageFrame> listener) {
    return onLoop(
        () ->
            client
                .connect(port, host)
                .onSuccess(
                    socket ->
                        new SealedSocket<>(
                            socket, StageCodec.PROTOCOL, key, SocketSeal.End.ASKS, listener)));
  }

  /** Whatever comes of it comes on the event loop, too. */
  private <T> Future<T> onLoop(Supplier<Future<T>> work) {
    Promise<T> promise = Promise.promise();
    run(() -> work.get().onComplete(promise));
    return promise.future();
  }

  /** Ends it behind what was sent, and waits for that a while. */
  void close() {
    CompletableFuture<Void> ended = new CompletableFuture<>();
    run(() -> vertx.close().onComplete(ignored -> ended.complete(null)));
    try {
      ended.get(END_MILLIS, TimeUnit.MILLISECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    } catch (ExecutionException | TimeoutException late) {
      // The process ends anyhow, or its sockets do.
    }
  }
}
