package io.verdier.verticles.bus;

import io.vertx.core.Future;
import io.vertx.core.Handler;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.eventbus.DeliveryOptions;
import io.vertx.core.eventbus.EventBus;
import io.vertx.core.eventbus.Message;
import io.vertx.core.eventbus.MessageCodec;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * The event bus with types. Thread-safe: holds no state of its own.
 *
 * <p>Everything here stays inside the node: messages pass by reference, no serialization, no copy.
 * Vert.x looks codecs up by exact class, so each message class is registered once per {@link
 * Vertx}.
 *
 * <p>The bus gives no back-pressure. What keeps its queues short is admission: at most {@code
 * queuedRequestsMax} sequences are alive, each until its end is back at the HTTP instance, whoever
 * still waits for it; and each is in at most one message per step and edge, besides its {@link
 * Cancel}.
 */
public final class Bus {
  /** Replies always come; that of a download may take hours, and Vert.x gives up after 30 s. */
  private static final long REPLY_DAYS_MAX = 7;

  private static final DeliveryOptions LOCAL =
      new DeliveryOptions()
          .setLocalOnly(true)
          .setSendTimeout(TimeUnit.DAYS.toMillis(REPLY_DAYS_MAX));

  private static final List<Class<?>> MESSAGES =
      List.of(
          Submit.class,
          TokenizeQuery.class,
          TokenizeQuery.Reply.class,
          DetokenizeQuery.class,
          DetokenizeQuery.Reply.class,
          CompileQuery.class,
          CompileQuery.Reply.class,
          Abort.class,
          Control.Pause.class,
          Control.Resume.class,
          Control.Sleep.class,
          Control.WakeUp.class,
          Control.Forget.class,
          Control.Ask.class,
          Control.State.class,
          GiveUpMemory.class,
          GiveUpMemory.Done.class,
          RecallWeights.class,
          RecallWeights.Done.class,
          StoredResponse.class,
          StoredResponse.Query.class,
          BackgroundResponse.Begin.class,
          BackgroundResponse.Begun.class,
          BackgroundResponse.Leave.class,
          BackgroundResponse.News.class,
          BackgroundResponse.Drop.class,
          BackgroundResponse.Cancel.class,
          BackgroundResponse.Follow.class,
          BackgroundResponse.Page.class,
          Refused.class,
          Tokenized.class,
          Cancel.class,
          ExecuteStep.class,
          StepDone.class,
          DiskTasks.class,
          DiskResults.class,
          RemoteTasks.class,
          RemoteResults.class,
          CacheNodes.class,
          CacheRoom.class,
          Emissions.class,
          Deltas.class,
          ResolveModel.class,
          ResolveModel.Reply.class,
          AdapterQuery.class,
          AdapterQuery.Reply.class,
          AdapterRelease.class,
          AdapterCard.class,
          AdapterNames.class,
          LoadAdapter.class,
          UnloadAdapter.class,
          UnloadAdapter.Reply.class,
          LendAdapter.class,
          RecallAdapter.class,
          RecallAdapter.Reply.class,
          ServerState.Loading.class,
          ServerState.Ready.class,
          ServerState.Adrift.class,
          NodesQuery.class,
          NodesQuery.Reply.class,
          DrainNode.class,
          DrainNode.Done.class,
          UpdateModels.class,
          UpdateModels.Done.class,
          ServerState.Draining.class,
          ServerState.Stopping.class,
          ServerState.Failed.class);

  private final EventBus bus;

  /** A view of {@code vertx}'s bus; {@link #register} must have been called once for it. */
  public Bus(Vertx vertx) {
    this.bus = vertx.eventBus();
  }

  /** Teaches a new {@link Vertx} the messages. */
  public static Bus register(Vertx vertx) {
    for (Class<?> type : MESSAGES) {
      registerOne(vertx.eventBus(), type);
    }
    return new Bus(vertx);
  }

  private static <T> void registerOne(EventBus bus, Class<T> type) {
    bus.registerDefaultCodec(type, new ByReference<>(type));
  }

  /** Sends to one consumer. Order is kept between one sender and one receiver. */
  public void send(String address, Object message) {
    bus.send(address, message, LOCAL);
  }

  /** Sends to every consumer. */
  public void publish(String address, Object message) {
    bus.publish(address, message, LOCAL);
  }

  /** Calls {@code handler} on the caller's context for each message of the type. */
  public <T> Future<Void> consume(String address, Class<T> type, Handler<T> handler) {
    return bus.<Object>localConsumer(address)
        .handler(
            message -> {
              if (type.isInstance(message.body())) {
                handler.handle(type.cast(message.body()));
              } else {
                throw new IllegalStateException(
                    "unexpected " + message.body().getClass().getName() + " at " + address);
              }
            })
        .completion();
  }

  /**
   * As {@link #consume}, for an address that takes several types of message, queries among them.
   */
  public Future<Void> consumeAny(String address, Handler<Message<Object>> handler) {
    return bus.<Object>localConsumer(address).handler(handler).completion();
  }

  /**
   * Asks and waits for the answer.
   *
   * @return the reply; fails with a {@link io.verdier.engine.RejectedException} where the answer is
   *     {@link Refused}
   */
  public <T> Future<T> request(String address, Object message, Class<T> reply) {
    return request(address, message, reply, LOCAL);
  }

  /** The same where the reply may take so long. */
  public <T> Future<T> request(String address, Object message, Class<T> reply, Duration timeout) {
    DeliveryOptions patient =
        new DeliveryOptions().setLocalOnly(true).setSendTimeout(timeout.toMillis());
    return request(address, message, reply, patient);
  }

  private <T> Future<T> request(
      String address, Object message, Class<T> reply, DeliveryOptions options) {
    Function<Message<Object>, Future<T>> unwrap =
        answer ->
            answer.body() instanceof Refused refused
                ? Future.failedFuture(refused.exception())
                : Future.succeededFuture(reply.cast(answer.body()));
    return bus.<Object>request(address, message, options).compose(unwrap);
  }

  /** Passes the message as it is; never serialized, because every send is local. */
  private record ByReference<T>(Class<T> type) implements MessageCodec<T, T> {
    @Override
    public void encodeToWire(Buffer buffer, T message) {
      throw new IllegalStateException(type.getName() + " does not leave its node");
    }

    @Override
    public T decodeFromWire(int position, Buffer buffer) {
      throw new IllegalStateException(type.getName() + " does not leave its node");
    }

    @Override
    public T transform(T message) {
      return message;
    }

    @Override
    public String name() {
      return type.getName();
    }

    @Override
    public byte systemCodecID() {
      return -1;
    }
  }
}
