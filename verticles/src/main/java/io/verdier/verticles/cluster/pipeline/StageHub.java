package io.verdier.verticles.cluster.pipeline;

import io.verdier.conf.ClusterConfig;
import io.verdier.conf.PipelineConfig;
import io.verdier.engine.model.ModelException;
import io.verdier.engine.run.pipeline.Pipeline;
import io.verdier.engine.run.pipeline.StageWork;
import io.verdier.verticles.cluster.pipeline.StageFrame.Alive;
import io.verdier.verticles.cluster.pipeline.StageFrame.Attach;
import io.verdier.verticles.cluster.pipeline.StageFrame.Bye;
import io.verdier.verticles.cluster.pipeline.StageFrame.Failed;
import io.verdier.verticles.cluster.pipeline.StageFrame.Hello;
import io.verdier.verticles.cluster.pipeline.StageFrame.Ready;
import io.verdier.verticles.cluster.pipeline.StageFrame.Refused;
import io.verdier.verticles.cluster.pipeline.StageFrame.Result;
import io.verdier.verticles.cluster.pipeline.StageFrame.Welcome;
import io.verdier.verticles.cluster.pipeline.StageFrame.Work;
import io.verdier.verticles.cluster.socket.SealedSocket;
import io.vertx.core.buffer.Buffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Node 0's side of a pipeline over several nodes. Thread-safe: calls come from the loading thread
 * and the threads of stages; everything else is the event loop's.
 *
 * <p>Life: it listens; {@link #gather} waits until all nodes are there and have the same model, and
 * tells them to load; {@link #awaitReady} waits until they have; from then on it is the link to the
 * first stage that is not on this node. Whatever goes wrong behind {@link #gather} is the end of
 * all of it: nobody could say what of a step the others have seen.
 */
public final class StageHub implements Pipeline.Link {
  private static final Logger LOG = LoggerFactory.getLogger(StageHub.class);

  private static final long ALIVE_MILLIS = 1_000;

  /** Who has connected must say so soon. */
  static final long FIRST_WORD_MILLIS = 10_000;

  /** Who sends garbage sends much of it; one line in so many is enough to see it. */
  private static final int LOGGED_EACH = 1000;

  private final PipelineConfig pipeline;
  private final long silenceNanos;
  private final Map<String, String> facts;
  private final StageNet net;
  private final Map<Integer, Node> nodes = new HashMap<>(); // by number
  private final CompletableFuture<Void> joined = new CompletableFuture<>();
  private final CompletableFuture<Void> ready = new CompletableFuture<>();
  private @Nullable SealedSocket<StageFrame> downlink; // to node 1
  private @Nullable Pipeline results;
  private @Nullable String failure;
  private @Nullable String notJoined; // why the latest node that tried did not
  private boolean closing;
  private int refused;

  /** Another node. Owned by the event loop. */
  private static final class Node {
    final SealedSocket<StageFrame> socket;
    final Hello hello;
    long heardNanos = System.nanoTime();
    boolean isReady;

    Node(SealedSocket<StageFrame> socket, Hello hello) {
      this.socket = socket;
      this.hello = hello;
    }
  }

  private StageHub(ClusterConfig cluster, Map<String, String> facts) {
    pipeline = cluster.pipeline();
    silenceNanos = cluster.silence().toNanos();
    this.facts = Map.copyOf(facts);
    net = StageNet.open(cluster);
  }

  /**
   * Binds the port of node 0.
   *
   * @param facts from {@link StageFacts#of}
   * @throws ModelException if it cannot be had
   */
  public static StageHub listen(ClusterConfig cluster, Map<String, String> facts) {
    StageHub hub = new StageHub(cluster, facts);
    PipelineConfig pipeline = cluster.pipeline();
    try {
      hub.net
          .listen(pipeline.masterHost(), pipeline.masterPort(), hub.new Ears())
          .toCompletionStage()
          .toCompletableFuture()
          .get();
    } catch (ExecutionException failed) {
      hub.net.close();
      throw new ModelException(
          "cannot listen on --master-addr %s --master-port %d: %s"
              .formatted(pipeline.masterHost(), pipeline.masterPort(), failed(failed).getMessage()),
          failed);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      hub.net.close();
      throw new ModelException("interrupted");
    }
    hub.net.every(ALIVE_MILLIS, hub::onTick);
    LOG.info(
        "Waiting on {}:{} for {} other nodes, each with {} of {} stages",
        pipeline.masterHost(),
        pipeline.masterPort(),
        pipeline.nodes() - 1,
        pipeline.stagesHere(),
        pipeline.stages());
    return hub;
  }

  /**
   * Waits for all nodes, and has them load.
   *
   * @param blocks that this node has room for
   * @return blocks that every stage will have
   * @throws ModelException if some do not come in time
   */
  public int gather(int blocks) {
    try {
      joined.get(pipeline.patience().toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException late) {
      throw new ModelException(
          "--pipeline-parallel-size: %s did not come within %d s. Start every node with the same flags, its own --node-rank, and the --master-addr and --master-port of this one.%s"
              .formatted(missing(), pipeline.patience().toSeconds(), latestTry()),
          late);
    } catch (ExecutionException | InterruptedException failed) {
      throw failed(failed);
    }
    return call(() -> welcome(blocks));
  }

  private String missing() {
    return call(
        () -> {
          List<String> missing = new ArrayList<>();
          for (int node = 1; node < pipeline.nodes(); node++) {
            if (!nodes.containsKey(node)) {
              missing.add("node " + node);
            }
          }
          return String.join(", ", missing);
        });
  }

  private String latestTry() {
    return call(() -> notJoined == null ? "" : " The latest that tried: " + notJoined);
  }

  private int welcome(int blocks) {
    int least = blocks;
    for (Node node : nodes.values()) {
      least = Math.min(least, node.hello.blocks());
    }
    for (Node node : nodes.values()) {
      Node before = nodes.get(node.hello.node() - 1);
      node.socket.send(
          before == null // which is this one, and the node knows how it found it
              ? new Welcome(least, "", 0)
              : new Welcome(least, before.socket.remoteHost(), before.hello.port()));
    }
    return least;
  }

  /**
   * Waits until all nodes have loaded. This one has: they had as long as it, and get as long again
   * as they had to come.
   *
   * @throws ModelException if one of them cannot, or not in time
   */
  public void awaitReady() {
    awaitReady(pipeline.patience());
  }

  /** As {@link #awaitReady()}, for so long. */
  void awaitReady(Duration patience) {
    try {
      ready.get(patience.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException late) {
      throw new ModelException(
          "--pipeline-parallel-size: %s did not load within %d s after this node had. If that disk is so slow, start every node with a larger --distributed-timeout-seconds."
              .formatted(loading(), patience.toSeconds()),
          late);
    } catch (ExecutionException | InterruptedException failed) {
      throw failed(failed);
    }
  }

  private String loading() {
    return call(
        () ->
            nodes.values().stream()
                .filter(node -> !node.isReady)
                .map(node -> "node " + node.hello.node())
                .sorted()
                .collect(Collectors.joining(", ")));
  }

  private static ModelException failed(Exception failed) {
    if (failed instanceof InterruptedException) {
      Thread.currentThread().interrupt();
      return new ModelException("interrupted");
    }
    Throwable cause = failed.getCause();
    return new ModelException(
        String.valueOf(cause == null ? failed.getMessage() : cause.getMessage()), failed);
  }

  /** Does something on the event loop and waits for it. */
  private <T> T call(Supplier<T> work) {
    CompletableFuture<T> done = new CompletableFuture<>();
    net.run(
        () -> {
          try {
            done.complete(work.get());
          } catch (RuntimeException bug) {
            done.completeExceptionally(bug);
          }
        });
    return done.join();
  }

  @Override
  public void start(Pipeline of) {
    net.run(
        () -> {
          results = of;
          if (failure != null) {
            of.fail(failure);
          }
        });
  }

  @Override
  public void send(StageWork work) {
    Buffer frame = StageCodec.write(new Work(work)); // here, beside the event loop's work
    net.run(
        () -> {
          if (downlink != null) {
            downlink.send(frame);
          }
        });
  }

  /** Tells the nodes to end; they wait for nobody else. */
  @Override
  public void close() {
    net.run(
        () -> {
          closing = true;
          for (Node node : nodes.values()) {
            node.socket.close(new Bye(), "");
          }
        });
    net.close();
  }

  /** Tells the nodes that there will be nothing to do. */
  public void abandon(String reason) {
    net.run(() -> fail(reason));
    net.close();
  }

  private void fail(String reason) {
    if (failure != null || closing) {
      return;
    }
    failure = reason;
    joined.completeExceptionally(new ModelException(reason));
    ready.completeExceptionally(new ModelException(reason));
    for (Node node : nodes.values()) {
      node.socket.close(new Failed(reason), "");
    }
    if (results != null) {
      results.fail(reason);
    }
  }

  private void onTick() {
    long now = System.nanoTime();
    for (Node node : List.copyOf(nodes.values())) {
      node.socket.send(new Alive());
      if (now - node.heardNanos > silenceNanos) {
        String what = "it has said nothing for " + silenceNanos / 1_000_000_000 + " s";
        if (joined.isDone()) {
          fail("node " + node.hello.node() + ": " + what);
        } else {
          node.socket.close(what); // another one may come in its place
        }
      }
    }
  }

  /** What comes over connections; on the event loop. */
  private final class Ears implements SealedSocket.Listener<StageFrame> {
    @Override
    public void onOpen(SealedSocket<StageFrame> socket) {
      net.after(
          FIRST_WORD_MILLIS,
          () -> {
            if (!isKnown(socket)) {
              socket.close("it has said nothing");
            }
          });
    }

    @Override
    public void onFrame(SealedSocket<StageFrame> socket, StageFrame frame) {
      if (frame instanceof Hello hello) {
        onHello(socket, hello);
        return;
      }
      if (frame instanceof Attach attach) {
        onAttach(socket, attach);
        return;
      }
      Node node = nodeOf(socket);
      if (node == null) {
        onUnknown(socket, frame);
        return;
      }
      node.heardNanos = System.nanoTime();
      switch (frame) {
        case Alive ignored -> {}
        case Ready ignored -> {
          node.isReady = true;
          completeIfReady();
        }
        case Failed failed -> fail("node " + node.hello.node() + ": " + failed.reason());
        case Result result when results != null && isLast(node) ->
            results.onResult(result.result());
        default -> fail("node %d says what it must not".formatted(node.hello.node()));
      }
    }

    @Override
    public void onClosed(SealedSocket<StageFrame> socket, String problem) {
      Node node = nodeOf(socket);
      if (node == null && socket != downlink) {
        if (!problem.isEmpty() && refused++ % LOGGED_EACH == 0) {
          LOG.warn("A connection to --master-port is refused: {} ({} so far)", problem, refused);
        }
      } else if (node != null && !joined.isDone()) {
        LOG.warn("Node {} has left before all were there", node.hello.node());
        nodes.remove(node.hello.node());
      } else {
        int number = node == null ? 1 : node.hello.node();
        fail("node " + number + " is gone" + (problem.isEmpty() ? "" : ": " + problem));
      }
    }
  }

  private void onUnknown(SealedSocket<StageFrame> socket, StageFrame frame) {
    if (frame instanceof Failed failed) { // it could not even introduce itself
      LOG.warn("A node of the model gives up: {}", failed.reason());
      notJoined = failed.reason();
      socket.close("");
    } else {
      socket.close("it has not said who it is");
    }
  }

  private boolean isKnown(SealedSocket<StageFrame> socket) {
    return socket == downlink || nodeOf(socket) != null;
  }

  private @Nullable Node nodeOf(SealedSocket<StageFrame> socket) {
    for (Node node : nodes.values()) {
      if (node.socket == socket) {
        return node;
      }
    }
    return null;
  }

  private boolean isLast(Node node) {
    return node.hello.node() == pipeline.nodes() - 1;
  }

  private void onHello(SealedSocket<StageFrame> socket, Hello hello) {
    String refusal = refusal(hello);
    if (refusal != null) {
      LOG.warn("A node of the model is refused: {}", refusal);
      notJoined = refusal;
      socket.close(new Refused(refusal), "");
      return;
    }
    nodes.put(hello.node(), new Node(socket, hello));
    LOG.info("Node {} of {} is there", hello.node(), pipeline.nodes());
    if (nodes.size() == pipeline.nodes() - 1) {
      joined.complete(null);
    }
  }

  private @Nullable String refusal(Hello hello) {
    int node = hello.node();
    if (node < 1 || node >= pipeline.nodes()) {
      return "there is no node " + node + " among " + pipeline.nodes();
    }
    Optional<String> difference = StageFacts.difference(node, hello.facts(), facts);
    if (difference.isPresent()) {
      return difference.get();
    }
    if (failure != null || joined.isDone() || nodes.containsKey(node)) {
      return "node " + node + " is there already";
    }
    return hello.blocks() < 1 || hello.port() < 0 || hello.port() > 65_535
        ? "node " + node + " has no room, or no port"
        : null;
  }

  private void onAttach(SealedSocket<StageFrame> socket, Attach attach) {
    if (attach.node() != 1 || downlink != null || !joined.isDone()) {
      socket.close("node " + attach.node() + " wants work that is not for it");
      return;
    }
    downlink = socket;
    socket.send(new Alive());
    completeIfReady();
  }

  private void completeIfReady() {
    if (downlink != null && nodes.values().stream().allMatch(node -> node.isReady)) {
      ready.complete(null);
    }
  }
}
