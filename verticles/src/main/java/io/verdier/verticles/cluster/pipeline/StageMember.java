package io.verdier.verticles.cluster.pipeline;

import io.verdier.conf.ClusterConfig;
import io.verdier.conf.PipelineConfig;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelException;
import io.verdier.engine.run.StageChain;
import io.verdier.engine.run.pipeline.StageResult;
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
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The side of a node that has neither the first stages nor HTTP: it joins node 0, computes what the
 * node before it sends, and ends when any of them does. Thread-safe: calls come from the thread
 * that loads and from those of stages; everything else is the event loop's.
 */
public final class StageMember {
  private static final Logger LOG = LoggerFactory.getLogger(StageMember.class);

  private static final long ALIVE_MILLIS = 1_000;
  private static final long AGAIN_MILLIS = 300;

  private final ServerConfig config;
  private final PipelineConfig pipeline;
  private final long silenceNanos;
  private final StageNet net;
  private final CompletableFuture<Welcome> welcome = new CompletableFuture<>();
  private final CompletableFuture<Void> attached = new CompletableFuture<>();
  private final CompletableFuture<String> ended = new CompletableFuture<>(); // empty: as it is to
  private long heardNanos = System.nanoTime();
  private @Nullable SealedSocket<StageFrame> lead;
  private boolean isIntroduced; // its first word must say who this is
  private @Nullable SealedSocket<StageFrame> downlink; // to the node behind
  private volatile @Nullable StageChain chain; // of the thread that loads, for the event loop

  public StageMember(ServerConfig config) {
    this.config = config;
    ClusterConfig cluster = config.cluster();
    pipeline = cluster.pipeline();
    silenceNanos = cluster.silence().toNanos();
    net = StageNet.open(cluster);
  }

  /**
   * Waits for node 0, and for what it says when all nodes are there.
   *
   * @param facts from {@link StageFacts#of}
   * @param blocks that this node has room for
   * @return blocks that every stage will have
   * @throws ModelException if node 0 does not answer in time, or does not want this node
   */
  public int join(Map<String, String> facts, int blocks) {
    LOG.info(
        "Node {} of {}: looking for node 0 at {}:{}",
        pipeline.node(),
        pipeline.nodes(),
        pipeline.masterHost(),
        pipeline.masterPort());
    int port = isLast() ? 0 : pipeline.masterPort() + pipeline.node();
    LeadEars ears = new LeadEars(new Hello(pipeline.node(), facts, blocks, port));
    net.run(() -> look(ears));
    net.every(ALIVE_MILLIS, this::onTick);
    try {
      return welcome.get(pipeline.patience().toMillis(), TimeUnit.MILLISECONDS).blocks();
    } catch (TimeoutException late) {
      throw new ModelException(
          "node 0 at --master-addr %s --master-port %d, or another node, did not come within %d s"
              .formatted(
                  pipeline.masterHost(), pipeline.masterPort(), pipeline.patience().toSeconds()),
          late);
    } catch (ExecutionException failed) {
      throw new ModelException(reason(failed), failed);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new ModelException("interrupted");
    }
  }

  private static String reason(ExecutionException failed) {
    Throwable cause = failed.getCause();
    return String.valueOf(cause == null ? failed.getMessage() : cause.getMessage());
  }

  private void look(LeadEars ears) {
    net.connect(pipeline.masterHost(), pipeline.masterPort(), ears)
        .onFailure(
            refused -> {
              LOG.debug("Node 0 is not there yet: {}", refused.getMessage());
              if (!welcome.isDone() && !ended.isDone()) {
                net.after(AGAIN_MILLIS, () -> look(ears));
              }
            });
  }

  private boolean isLast() {
    return pipeline.node() == pipeline.nodes() - 1;
  }

  /**
   * Takes work from now on.
   *
   * @param stages of this node, in order; closed with this
   * @throws ModelException if the node before is not there any more
   */
  public void start(List<LoadedModel> stages) {
    StageChain own = new StageChain(stages, config, new Exits());
    chain = own;
    Welcome found = welcome.join();
    boolean isBehindLead = found.host().isEmpty();
    String host = isBehindLead ? pipeline.masterHost() : found.host();
    int port = isBehindLead ? pipeline.masterPort() : found.port();
    net.connect(host, port, new UpEars())
        .onFailure(lost -> end("node " + before() + " cannot be reached: " + lost.getMessage()));
    try {
      attached.get();
    } catch (ExecutionException failed) {
      throw new ModelException(reason(failed), failed);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new ModelException("interrupted");
    }
    sendLead(StageCodec.write(new Ready()));
    LOG.info(
        "Stages {} to {} of {} compute",
        pipeline.firstStage(),
        pipeline.firstStage() + pipeline.stagesHere() - 1,
        pipeline.stages());
  }

  private int before() {
    return pipeline.node() - 1;
  }

  /** Waits for the end; returns the reason, empty where node 0 has ended as it was to. */
  public String awaitEnd() {
    return ended.join();
  }

  /** The same, for so long at most; whether it came. */
  public boolean awaitEnd(Duration most) {
    try {
      ended.get(most.toMillis(), TimeUnit.MILLISECONDS);
      return true;
    } catch (TimeoutException | ExecutionException late) {
      return false;
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  /** This node can do no more: tells node 0 why. */
  public void fail(String reason) {
    net.run(() -> end(reason));
  }

  /** Frees the sockets, then the stages. */
  public void close() {
    net.close();
    StageChain own = chain;
    if (own != null) {
      own.close();
    }
  }

  private void end(String reason) {
    if (!ended.complete(reason)) {
      return;
    }
    ModelException unusable = new ModelException(reason.isEmpty() ? "node 0 has ended" : reason);
    welcome.completeExceptionally(unusable);
    attached.completeExceptionally(unusable);
    if (lead != null) {
      if (!reason.isEmpty()) {
        lead.send(new Failed(reason));
      }
      lead.close("");
    }
  }

  private void sendLead(Buffer frame) {
    net.run(
        () -> {
          if (lead != null) {
            lead.send(frame);
          }
        });
  }

  private void onTick() {
    if (lead != null && isIntroduced) {
      lead.send(new Alive());
      if (System.nanoTime() - heardNanos > silenceNanos) {
        end("node 0 has said nothing for %d s".formatted(silenceNanos / 1_000_000_000));
      }
    }
  }

  /** Where the stages' work goes; on a stage's thread. */
  private final class Exits implements StageChain.Exits {
    @Override
    public void onward(StageWork work) {
      Buffer frame = StageCodec.write(new Work(work));
      net.run(
          () -> {
            if (downlink != null) {
              downlink.send(frame);
            }
          });
    }

    @Override
    public void back(StageResult result) {
      sendLead(StageCodec.write(new Result(result)));
    }

    @Override
    public void failed(String reason) {
      fail(reason);
    }
  }

  /** What node 0 says; on the event loop. */
  private final class LeadEars implements SealedSocket.Listener<StageFrame> {
    private final Hello hello;

    LeadEars(Hello hello) {
      this.hello = hello;
    }

    @Override
    public void onOpen(SealedSocket<StageFrame> socket) {
      heardNanos = System.nanoTime();
      lead = socket;
      if (isLast()) {
        introduce(socket);
        return;
      }
      // Whoever can reach this node at the address that node 0 sees, and nobody else.
      net.listen(socket.localHost(), hello.port(), new DownEars())
          .onSuccess(ignored -> introduce(socket))
          .onFailure(
              failed ->
                  end(
                      "node %d cannot listen on %s:%d: %s"
                          .formatted(
                              hello.node(),
                              socket.localHost(),
                              hello.port(),
                              failed.getMessage())));
    }

    private void introduce(SealedSocket<StageFrame> socket) {
      socket.send(hello);
      isIntroduced = true;
    }

    @Override
    public void onFrame(SealedSocket<StageFrame> socket, StageFrame frame) {
      heardNanos = System.nanoTime();
      switch (frame) {
        case Alive ignored -> {}
        case Welcome all -> welcome.complete(all);
        case Refused refused -> end("node 0 refuses this node: " + refused.reason());
        case Failed failed -> end("node 0 says: " + failed.reason());
        case Bye ignored -> end("");
        default -> end("node 0 says what it must not");
      }
    }

    @Override
    public void onClosed(SealedSocket<StageFrame> socket, String problem) {
      if (!problem.isEmpty()) {
        end("node 0 is not understood: " + problem);
      } else if (welcome.isDone()) {
        end("node 0 is gone");
      } else {
        end(
            "node 0 closed the connection without a word; has it the same --cluster-secret, and is"
                + " it the same version?");
      }
    }
  }

  /** What the node before says; on the event loop. */
  private final class UpEars implements SealedSocket.Listener<StageFrame> {
    @Override
    public void onOpen(SealedSocket<StageFrame> socket) {
      socket.send(new Attach(pipeline.node()));
    }

    @Override
    public void onFrame(SealedSocket<StageFrame> socket, StageFrame frame) {
      if (frame instanceof Alive) {
        attached.complete(null);
        return;
      }
      StageChain own = chain;
      if (frame instanceof Work work && own != null) {
        own.add(work.work());
      } else {
        end("node " + before() + " says what it must not");
      }
    }

    @Override
    public void onClosed(SealedSocket<StageFrame> socket, String problem) {
      end("node " + before() + " is gone" + (problem.isEmpty() ? "" : ": " + problem));
    }
  }

  /** What the node behind says; on the event loop. */
  private final class DownEars implements SealedSocket.Listener<StageFrame> {
    @Override
    public void onOpen(SealedSocket<StageFrame> socket) {
      net.after(
          StageHub.FIRST_WORD_MILLIS,
          () -> {
            if (socket != downlink) {
              socket.close("it has said nothing");
            }
          });
    }

    @Override
    public void onFrame(SealedSocket<StageFrame> socket, StageFrame frame) {
      boolean isNext = frame instanceof Attach attach && attach.node() == pipeline.node() + 1;
      if (!isNext || downlink != null) {
        socket.close("it is not the node behind");
        return;
      }
      downlink = socket;
      socket.send(new Alive());
    }

    @Override
    public void onClosed(SealedSocket<StageFrame> socket, String problem) {
      if (socket == downlink) {
        end("node " + (pipeline.node() + 1) + " is gone");
      } else if (!problem.isEmpty()) {
        LOG.warn("A connection is refused: {}", problem);
      }
    }
  }
}
