package io.verdier.verticles.cluster;

import io.verdier.engine.ErrorCode;
import io.verdier.verticles.bus.Refused;
import io.vertx.core.eventbus.Message;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiConsumer;

/**
 * Questions of this node for tokenizers of others, which an ingress has none of. Owned by the
 * cluster's event loop.
 */
final class Queries {
  private static final long WAIT_MILLIS = 10_000;
  private static final int WAITING_MAX = 1024;

  private final BiConsumer<String, Frame> send;
  private final Map<Long, Waiting> waiting = new LinkedHashMap<>();
  private long counter;

  /** Somebody who waits. Owned by the cluster's event loop. */
  private static final class Waiting {
    final Message<Object> message;
    long millis;

    Waiting(Message<Object> message) {
      this.message = message;
    }
  }

  Queries(BiConsumer<String, Frame> send) {
    this.send = send;
  }

  void ask(Optional<String> engine, Message<Object> message, Object query) {
    if (engine.isEmpty() || waiting.size() >= WAITING_MAX) {
      message.reply(unavailable());
      return;
    }
    long id = ++counter;
    waiting.put(id, new Waiting(message));
    send.accept(engine.get(), new Frame.Query(id, query));
  }

  void onAnswer(Frame.Answer answer) {
    Waiting asker = waiting.remove(answer.id());
    if (asker != null) {
      asker.message.reply(answer.reply());
    }
  }

  void tick(long millis) {
    Iterator<Waiting> all = waiting.values().iterator();
    while (all.hasNext()) {
      Waiting asker = all.next();
      asker.millis += millis;
      if (asker.millis > WAIT_MILLIS) {
        all.remove();
        asker.message.reply(unavailable());
      }
    }
  }

  private static Refused unavailable() {
    return new Refused(ErrorCode.UNAVAILABLE, "No engine answers. Try again soon.", null);
  }
}
