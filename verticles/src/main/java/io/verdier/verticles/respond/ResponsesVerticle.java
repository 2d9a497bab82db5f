package io.verdier.verticles.respond;

import io.verdier.conf.Limits;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.bus.Abort;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.BackgroundResponse;
import io.verdier.verticles.bus.BackgroundResponse.Begin;
import io.verdier.verticles.bus.BackgroundResponse.Begun;
import io.verdier.verticles.bus.BackgroundResponse.Cancel;
import io.verdier.verticles.bus.BackgroundResponse.Drop;
import io.verdier.verticles.bus.BackgroundResponse.Follow;
import io.verdier.verticles.bus.BackgroundResponse.Leave;
import io.verdier.verticles.bus.BackgroundResponse.News;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.StoredResponse;
import io.verdier.verticles.bus.StoredResponse.Stage;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.eventbus.Message;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Keeps responses for a while, for all HTTP instances, and tells of those that are being made in
 * the background. Owned by one event loop.
 *
 * <p>Events are pulled: who follows a response asks for the next ones when the last are written,
 * and waits here where there are none yet. So nothing piles up for a slow reader.
 *
 * <p>Why an actor and not a map that all instances share: nothing here is hot, and so nothing needs
 * a lock.
 */
public final class ResponsesVerticle extends VerticleBase {
  /** How often what is too old goes although nobody asks. */
  private static final long SWEEP_MILLIS = 60_000;

  private final ResponseStore store;
  private Bus bus;

  @SuppressWarnings("NullAway.Init") // the bus comes with the deployment
  public ResponsesVerticle(Limits limits) {
    this.store =
        new ResponseStore(
            limits.storedResponsesMax(),
            limits.storedResponseBytesMax(),
            limits.storedResponseTime().toNanos());
  }

  @Override
  public Future<?> start() {
    bus = new Bus(vertx);
    vertx.setPeriodic(SWEEP_MILLIS, ignored -> store.trim(System.nanoTime()));
    return bus.consumeAny(Addresses.RESPONSES, this::onMessage);
  }

  private void onMessage(Message<Object> message) {
    switch (message.body()) {
      case StoredResponse response -> store.put(response, System.nanoTime());
      case StoredResponse.Query query ->
          answer(message, () -> found(query.id(), query.parameter()));
      case BackgroundResponse background -> onBackground(message, background);
      default -> throw new IllegalStateException("unexpected " + message.body().getClass());
    }
  }

  private void onBackground(Message<Object> message, BackgroundResponse background) {
    switch (background) {
      case Begin begin ->
          answer(
              message,
              () -> {
                store.begin(begin.id(), begin.json(), begin.keepsEvents(), System.nanoTime());
                return new Begun();
              });
      case News news -> store.advance(news.id(), news.json(), news.events(), System.nanoTime());
      case Drop drop -> store.drop(drop.id());
      case Cancel cancel -> onCancel(message, cancel);
      case Follow follow -> onFollow(message, follow);
      case Leave leave -> store.leave(leave.id(), leave.waiter());
    }
  }

  private void onCancel(Message<Object> message, Cancel cancel) {
    if (isUnderWay(cancel.id())) {
      bus.publish(Addresses.ABORTS, new Abort(Set.of(cancel.id()), false));
    }
    onCancelled(message, cancel);
  }

  private void onCancelled(Message<Object> message, Cancel cancel) {
    String id = cancel.id();
    Runnable again = () -> onCancelled(message, cancel);
    answerOnce(
        message,
        () -> isUnderWay(id) ? Optional.empty() : Optional.of(cancelled(id)),
        () -> store.await(id, cancel.waiter(), new Asker(message, again)));
  }

  private StoredResponse cancelled(String id) {
    StoredResponse response = found(id, null);
    if (!store.isBackground(id)) {
      throw RejectedException.invalid(
          "response_id",
          "The response is complete. Only responses that were asked for with background can be"
              + " cancelled.");
    }
    return response;
  }

  /** Who asks again when there is news. An answer is owed even where nobody reads it. */
  private record Asker(Message<Object> message, Runnable again) implements ResponseStore.Waiter {
    @Override
    public void onNews() {
      again.run();
    }

    @Override
    public void onLeft() {
      message.reply(new Refused(ErrorCode.UNAVAILABLE, "Nobody waits for the response.", null));
    }
  }

  private void onFollow(Message<Object> message, Follow follow) {
    Runnable again = () -> onFollow(message, follow);
    answerOnce(
        message,
        () -> {
          found(follow.id(), null);
          return store.events(follow.id(), follow.after());
        },
        () -> store.await(follow.id(), follow.waiter(), new Asker(message, again)));
  }

  private boolean isUnderWay(String id) {
    return store
        .get(id, System.nanoTime())
        .filter(response -> response.stage() == Stage.UNDER_WAY)
        .isPresent();
  }

  /**
   * @param parameter field of the request that names it, null: its path does
   */
  private StoredResponse found(String id, @Nullable String parameter) {
    return store
        .get(id, System.nanoTime())
        .orElseThrow(
            () ->
                new RejectedException(
                    ErrorCode.NOT_FOUND,
                    "There is no response with that id: it was not stored, or was dropped since.",
                    parameter));
  }

  private static void answer(Message<Object> message, Supplier<Object> answer) {
    answerOnce(message, () -> Optional.of(answer.get()), () -> {});
  }

  /**
   * @param answer empty where it is still to come
   */
  private static void answerOnce(
      Message<Object> message, Supplier<Optional<?>> answer, Runnable otherwise) {
    Object reply;
    try {
      Optional<?> found = answer.get();
      if (found.isEmpty()) {
        otherwise.run();
        return;
      }
      reply = found.get();
    } catch (RejectedException refused) {
      reply = Refused.of(refused);
    }
    message.reply(reply);
  }
}
