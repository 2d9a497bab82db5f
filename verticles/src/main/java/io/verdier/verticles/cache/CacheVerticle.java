package io.verdier.verticles.cache;

import io.verdier.cache.artifact.ArtifactException;
import io.verdier.cache.artifact.ArtifactStore;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.ErrorCode;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.ResolveModel;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.eventbus.Message;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Brings a model's files to the local disk. Owned by the cache worker thread. */
public final class CacheVerticle extends VerticleBase {
  private static final Logger LOG = LoggerFactory.getLogger(CacheVerticle.class);

  private final int number;
  private final ModelFiles model;

  /**
   * @param number of the model in this node
   */
  public CacheVerticle(int number, ArtifactStore artifacts, ServerConfig config) {
    this.number = number;
    this.model = new ModelFiles(artifacts, config);
  }

  @Override
  public Future<?> start() {
    return new Bus(vertx).consumeAny(Addresses.cache(number), this::onQuery);
  }

  private void onQuery(Message<Object> message) {
    switch (message.body()) {
      case ResolveModel query -> resolve(message);
      default -> throw new IllegalStateException("unexpected " + message.body().getClass());
    }
  }

  @Override
  public Future<?> stop() {
    model.close();
    return Future.succeededFuture();
  }

  /**
   * Nobody is answered twice: who was answered early hears of the rest elsewhere. And nobody is
   * left without an answer, whatever went wrong: the start would wait for days.
   */
  private void resolve(Message<Object> message) {
    AtomicBoolean isAnswered = new AtomicBoolean();
    Consumer<Object> answer =
        reply -> {
          if (isAnswered.compareAndSet(false, true)) {
            message.reply(reply);
          }
        };
    try {
      answer.accept(model.resolve(answer::accept));
    } catch (ArtifactException unavailable) {
      answer.accept(new Refused(ErrorCode.NOT_FOUND, unavailable.text(), null));
    } catch (RuntimeException | Error ours) {
      LOG.error("The model's files could not be brought", ours);
      answer.accept(Refused.of(ours));
    }
  }
}
