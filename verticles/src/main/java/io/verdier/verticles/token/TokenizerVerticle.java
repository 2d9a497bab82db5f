package io.verdier.verticles.token;

import io.verdier.engine.RejectedException;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Deltas;
import io.verdier.verticles.bus.DetokenizeQuery;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.SequenceKey;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.TokenizeQuery;
import io.verdier.verticles.bus.Tokenized;
import io.verdier.verticles.observe.TraceOnly;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.eventbus.Message;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Renders chat templates and encodes prompts. Owned by its tokenizer thread; several instances
 * share the work, each with an address of its own.
 *
 * <p>A cancellation is passed on to the scheduler: it gets there behind the request that it is
 * meant for, whatever is queued here.
 *
 * <p>Whatever goes wrong with a prompt ends that request here: the scheduler never hears of it.
 */
public final class TokenizerVerticle extends VerticleBase {
  private static final Logger LOG = LoggerFactory.getLogger(TokenizerVerticle.class);

  private final int instance;
  private final PromptEncoder encoder;
  private Bus bus;

  @SuppressWarnings("NullAway.Init") // the bus comes with the deployment
  public TokenizerVerticle(int instance, PromptEncoder encoder) {
    this.instance = instance;
    this.encoder = encoder;
  }

  @Override
  public Future<?> start() {
    bus = new Bus(vertx);
    return bus.consumeAny(Addresses.tokenizer(instance), this::onMessage);
  }

  private void onMessage(Message<Object> message) {
    switch (message.body()) {
      case Submit submit -> onSubmit(submit);
      case Cancel cancel -> bus.send(Addresses.SCHEDULER, cancel);
      case TokenizeQuery query -> message.reply(answer(() -> tokenize(query)));
      case DetokenizeQuery query -> message.reply(answer(() -> detokenize(query)));
      default -> throw new IllegalStateException("unexpected " + message.body().getClass());
    }
  }

  private void onSubmit(Submit submit) {
    List<EngineRequest> requests;
    try {
      requests = encoder.requests(submit);
    } catch (RuntimeException | Error failed) { // whatever it is: HTTP waits for the end
      refuse(submit, refused(failed));
      return;
    }
    bus.send(Addresses.SCHEDULER, new Tokenized(requests));
  }

  private void refuse(Submit submit, Refused refused) {
    List<Delta> deltas =
        Arrays.stream(submit.keys())
            .mapToObj(
                key -> Delta.refused(key, refused.code(), refused.text(), refused.parameter()))
            .toList();
    bus.send(Addresses.http(SequenceKey.instance(submit.keys()[0])), new Deltas(deltas));
  }

  private TokenizeQuery.Reply tokenize(TokenizeQuery query) {
    int[] ids = encoder.encode(query.prompt());
    List<String> strings = new ArrayList<>();
    if (query.tokenStrings()) {
      for (int id : ids) {
        strings.add(encoder.tokenizer().spelling(id));
      }
    }
    return new TokenizeQuery.Reply(ids, strings);
  }

  private DetokenizeQuery.Reply detokenize(DetokenizeQuery query) {
    return new DetokenizeQuery.Reply(encoder.tokenizer().decode(query.ids(), false));
  }

  /** The answer, or why there is none. */
  private static Object answer(Supplier<Object> work) {
    try {
      return work.get();
    } catch (RuntimeException | Error failed) { // whatever it is: somebody waits for the reply
      return refused(failed);
    }
  }

  private static Refused refused(Throwable failed) {
    if (!(failed instanceof RejectedException)) {
      LOG.warn("A prompt could not be encoded", new TraceOnly(failed));
    }
    return Refused.of(failed);
  }
}
