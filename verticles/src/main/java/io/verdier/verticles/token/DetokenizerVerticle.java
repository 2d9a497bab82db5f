package io.verdier.verticles.token;

import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.text.Tokenizer;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Deltas;
import io.verdier.verticles.bus.Emissions;
import io.verdier.verticles.bus.SequenceKey;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import java.util.ArrayList;
import java.util.List;

/**
 * Follows the sequences of one shard, of all engines of a model: tokens in, text out. Owned by its
 * detokenizer thread.
 *
 * <p>A stop string is found here and nowhere else: the stream ends at once and the scheduler is
 * told to stop working on it.
 */
public final class DetokenizerVerticle extends VerticleBase {
  private final int shard;
  private final int httpInstances;
  private final TextStreams streams;
  private Bus bus;

  /** Written by the owner after each message, read by the metrics. */
  private volatile int liveStreams;

  /**
   * @param shard its number among the detokenizers of all models
   */
  @SuppressWarnings("NullAway.Init") // the bus comes with the deployment
  public DetokenizerVerticle(int shard, int httpInstances, Tokenizer tokenizer) {
    this.shard = shard;
    this.httpInstances = httpInstances;
    this.streams = new TextStreams(tokenizer);
  }

  @Override
  public Future<?> start() {
    bus = new Bus(vertx);
    return bus.consume(Addresses.detokenizer(shard), Emissions.class, this::onEmissions);
  }

  /** Sequences whose text is being followed; readable from every thread. */
  public int liveStreams() {
    return liveStreams;
  }

  private void onEmissions(Emissions emissions) {
    List<List<Delta>> byInstance = new ArrayList<>(httpInstances);
    for (int instance = 0; instance < httpInstances; instance++) {
      byInstance.add(new ArrayList<>());
    }
    emissions
        .emissions()
        .forEach(
            emission -> {
              Delta delta = streams.on(emission);
              if (delta != null) {
                byInstance.get(SequenceKey.instance(delta.key())).add(delta);
              }
            });
    for (int instance = 0; instance < httpInstances; instance++) {
      if (!byInstance.get(instance).isEmpty()) {
        bus.send(Addresses.http(instance), new Deltas(byInstance.get(instance)));
      }
    }
    liveStreams = streams.size();
    long[] stopped = streams.takeStopped();
    new Cancel(stopped, FinishReason.STOP, true)
        .byEngine()
        .forEach((engine, part) -> bus.send(Addresses.scheduler(engine), part));
  }
}
