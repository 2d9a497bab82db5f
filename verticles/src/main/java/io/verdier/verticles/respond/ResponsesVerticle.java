package io.verdier.verticles.respond;

import io.verdier.conf.Limits;
import io.verdier.engine.ErrorCode;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.StoredResponse;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.eventbus.Message;

/**
 * Keeps complete responses for a while, for all HTTP instances. Owned by one event loop.
 *
 * <p>Why an actor and not a map that all instances share: nothing here is hot, and so nothing needs
 * a lock.
 */
public final class ResponsesVerticle extends VerticleBase {
  /** How often what is too old goes although nobody asks. */
  private static final long SWEEP_MILLIS = 60_000;

  private final ResponseStore store;

  public ResponsesVerticle(Limits limits) {
    this.store =
        new ResponseStore(
            limits.storedResponsesMax(),
            limits.storedResponseBytesMax(),
            limits.storedResponseTime().toNanos());
  }

  @Override
  public Future<?> start() {
    vertx.setPeriodic(SWEEP_MILLIS, ignored -> store.trim(System.nanoTime()));
    return new Bus(vertx).consumeAny(Addresses.RESPONSES, this::onMessage);
  }

  private void onMessage(Message<Object> message) {
    switch (message.body()) {
      case StoredResponse response -> store.put(response, System.nanoTime());
      case StoredResponse.Query query -> message.reply(answer(query));
      default -> throw new IllegalStateException("unexpected " + message.body().getClass());
    }
  }

  private Object answer(StoredResponse.Query query) {
    return store
        .get(query.id(), System.nanoTime())
        .<Object>map(response -> response)
        .orElseGet(
            () ->
                new Refused(
                    ErrorCode.NOT_FOUND,
                    "There is no response with that id: it was not stored, or was dropped since.",
                    query.parameter()));
  }
}
