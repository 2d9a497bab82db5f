package io.verdier.engine.model;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.KvStorage;
import org.jspecify.annotations.Nullable;

/** A rank's part of a model, for every rank but the first. Owned by the rank's thread. */
final class RankModel implements AutoCloseable {
  private final Backend backend;
  private final KvStorage cache;
  private final Transformer transformer;
  private @Nullable AttentionBatch batch;

  RankModel(Backend backend, KvStorage cache, Transformer transformer) {
    this.backend = backend;
    this.cache = cache;
    this.transformer = transformer;
  }

  Transformer transformer() {
    return transformer;
  }

  KvStorage cache() {
    return cache;
  }

  /** The first rank's batch, with a window of this rank's own. */
  AttentionBatch copyOf(AttentionBatch first) {
    AttentionBatch own = batch;
    if (own == null || own.rowsMax() < first.rowsMax() || own.slicesMax() < first.slicesMax()) {
      own = new AttentionBatch(first.rowsMax(), first.slicesMax());
      batch = own;
    }
    own.copyFrom(first);
    return own;
  }

  @Override
  public void close() {
    try {
      transformer.close();
    } finally {
      backend.close();
    }
  }
}
