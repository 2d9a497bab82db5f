package io.verdier.verticles.http.routes;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.schedule.Reach;
import io.verdier.verticles.bus.Control;
import io.verdier.verticles.bus.Control.Mode;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.api.Body;
import io.vertx.core.Future;
import io.vertx.core.buffer.Buffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/**
 * The routes by which operators stop this node's engines and let them go on: {@code /pause}, {@code
 * /resume}, {@code /sleep}, {@code /wake_up}, {@code /reset_prefix_cache} and the questions beside
 * them. Stateless. What they want stands in the query, as in vLLM.
 */
final class EngineRoutes {
  private EngineRoutes() {}

  static void pause(Exchange exchange, Map<String, @Nullable Object> none) {
    Query query = Query.read(exchange, Body.PAUSE);
    Mode mode = query.bool("wait_for_inflight_requests") ? Mode.WAIT : mode(query);
    Control pause = new Control.Pause(mode, query.bool("clear_cache"));
    ask(exchange, pause, (out, state) -> out.object().field("status", "paused").end());
  }

  static void resume(Exchange exchange, Map<String, @Nullable Object> none) {
    ask(
        exchange,
        new Control.Resume(),
        (out, state) -> out.object().field("status", "resumed").end());
  }

  static void isPaused(Exchange exchange, Map<String, @Nullable Object> none) {
    ask(
        exchange,
        new Control.Ask(),
        (out, state) -> out.object().name("is_paused").value(state.isPaused()).end());
  }

  static void sleep(Exchange exchange, Map<String, @Nullable Object> none) {
    Query query = Query.read(exchange, Body.SLEEP);
    ask(exchange, new Control.Sleep(query.integer("level"), mode(query)), (out, state) -> {});
  }

  static void wakeUp(Exchange exchange, Map<String, @Nullable Object> none) {
    Set<String> tags = Set.copyOf(Query.read(exchange, Body.WAKE_UP).all("tags"));
    ask(exchange, new Control.WakeUp(tags), (out, state) -> {});
  }

  /** Whatever is paused sleeps too, as in vLLM. */
  static void isSleeping(Exchange exchange, Map<String, @Nullable Object> none) {
    ask(
        exchange,
        new Control.Ask(),
        (out, state) -> out.object().name("is_sleeping").value(state.isPaused()).end());
  }

  static void resetPrefixCache(Exchange exchange, Map<String, @Nullable Object> none) {
    Query query = Query.read(exchange, Body.RESET);
    ask(
        exchange,
        new Control.Forget(
            query.bool("reset_running_requests"),
            query.bool("reset_external") ? Reach.ALL_TIERS : Reach.DEVICE),
        (out, state) -> out.object().name("success").value(state.isDone()).end());
  }

  private static Mode mode(Query query) {
    return Mode.valueOf(query.string("mode").toUpperCase(Locale.ROOT));
  }

  /**
   * @param answer writes what is told; nothing: the status says it
   */
  private static void ask(
      Exchange exchange, Control control, BiConsumer<JsonWriter, Control.State> answer) {
    Ingress ingress = exchange.ingress();
    ingress.checkReady();
    if (ingress.ownSchedulers().isEmpty()) {
      throw new RejectedException(ErrorCode.UNSUPPORTED, "This node has no engine of its own.");
    }
    List<Future<Control.State>> states = new ArrayList<>();
    for (String scheduler : ingress.ownSchedulers()) {
      states.add(
          ingress
              .bus()
              .request(scheduler, control, Control.State.class, ingress.limits().requestTimeout()));
    }
    Future.join(states) // each does what it is told, whatever becomes of the others
        .map(all -> Control.State.of(all.list()))
        .onComplete(
            state -> {
              JsonWriter out = exchange.ingress().writer().clear();
              answer.accept(out, state);
              if (out.length() > 0) {
                exchange.replyJson(out);
              } else {
                exchange.reply(200, "text/plain", Buffer.buffer());
              }
            },
            exchange::fail);
  }
}
