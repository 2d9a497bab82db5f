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

/** Brings a model's files to the local disk. Owned by the cache worker thread. */
public final class CacheVerticle extends VerticleBase {
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
      case ResolveModel query -> message.reply(resolve());
      default -> throw new IllegalStateException("unexpected " + message.body().getClass());
    }
  }

  @Override
  public Future<?> stop() {
    model.close();
    return Future.succeededFuture();
  }

  private Object resolve() {
    try {
      return model.resolve();
    } catch (ArtifactException unavailable) {
      return new Refused(ErrorCode.NOT_FOUND, unavailable.text(), null);
    }
  }
}
