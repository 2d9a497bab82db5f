package io.verdier.verticles.bus;

import io.vertx.core.Future;
import io.vertx.core.Handler;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.eventbus.EventBus;

/**
 * The clustered event bus: bytes from node to node. Thread-safe: holds no state of its own.
 *
 * <p>It belongs to a {@link Vertx} of its own, where nobody else listens: whoever reaches its port
 * can send to any address there is, and there is this one. Bytes are the only body that is taken;
 * objects, which Vert.x would deserialize, are refused by both of its checkers.
 *
 * <p>Delivery is best effort. Order is kept between two nodes while their connection lasts.
 */
public final class NodeBus {
  private static final String PREFIX = "verdier.node.";

  private final EventBus bus;

  public NodeBus(Vertx clustered) {
    bus = clustered.eventBus();
    bus.serializableChecker(type -> false).clusterSerializableChecker(type -> false);
  }

  /**
   * Hears what is sent to a node of that name.
   *
   * @param handler runs on a thread of the clustered {@link Vertx}
   */
  public Future<Void> listen(String node, Handler<Buffer> handler) {
    return bus.<Object>consumer(PREFIX + node)
        .handler(
            message -> {
              if (message.body() instanceof Buffer bytes) {
                handler.handle(bytes);
              }
            })
        .completion();
  }

  /** Sends to the node of that name, if it is there. */
  public void send(String node, Buffer bytes) {
    bus.send(PREFIX + node, bytes);
  }
}
