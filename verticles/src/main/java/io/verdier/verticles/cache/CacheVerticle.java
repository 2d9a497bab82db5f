package io.verdier.verticles.cache;

import io.verdier.cache.artifact.ArtifactException;
import io.verdier.cache.artifact.ArtifactStore;
import io.verdier.engine.ErrorCode;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.ResolveModel;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.eventbus.Message;

/** Brings artifacts to the local disk. Owned by the cache worker thread. */
public final class CacheVerticle extends VerticleBase {
  private final ArtifactStore artifacts;

  public CacheVerticle(ArtifactStore artifacts) {
    this.artifacts = artifacts;
  }

  @Override
  public Future<?> start() {
    return new Bus(vertx).consumeAny(Addresses.CACHE, this::onQuery);
  }

  private void onQuery(Message<Object> message) {
    switch (message.body()) {
      case ResolveModel query -> message.reply(resolve(query));
      default -> throw new IllegalStateException("unexpected " + message.body().getClass());
    }
  }

  private Object resolve(ResolveModel query) {
    try {
      return new ResolveModel.Reply(artifacts.resolve(query.source()));
    } catch (ArtifactException unavailable) {
      return new Refused(ErrorCode.NOT_FOUND, unavailable.text(), null);
    }
  }
}
