package io.verdier.verticles.cluster;

import io.verdier.conf.ClusterConfig;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.ErrorCode;
import io.verdier.verticles.balance.EnginePool;
import io.verdier.verticles.bus.AdapterNames;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.CacheRoom;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Deltas;
import io.verdier.verticles.bus.DetokenizeQuery;
import io.verdier.verticles.bus.DrainNode;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.NodesQuery;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.SequenceKey;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.TokenizeQuery;
import io.verdier.verticles.cluster.Announcement.Phase;
import io.verdier.verticles.cluster.Router.Leaving;
import io.verdier.verticles.observe.ServingMetrics;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.VerticleBase;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.eventbus.Message;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * This node among others. Owned by one event loop, together with all that it uses here.
 *
 * <pre>
 *   HTTP ──▶ {@link Router} ──▶ link ══▶ link of another node ──▶ {@link EngineGate} ──▶ tokenizer …
 *     ▲         │ own engine ─────────────────────────────────▶       │
 *     └─ Deltas ┘◀════════════════════════ News ◀═════════════════════┘◀── detokenizer
 * </pre>
 *
 * <p><b>Life.</b> {@link #join} and the model's loading; then every {@link #ANNOUNCE_MILLIS} a word
 * to every member. A node that was stopped for longer than the others wait, or that Hazelcast has
 * thrown out, <i>fences</i> itself: it drops all work that it has for others, lets its own streams
 * wait, says 503, ends its membership and begins another one under a new name. Whatever was on the
 * way under the old name is not listened to any more.
 */
public final class ClusterVerticle extends VerticleBase {
  private static final Logger LOG = LoggerFactory.getLogger(ClusterVerticle.class);

  private static final long TICK_MILLIS = 250;
  private static final long ANNOUNCE_MILLIS = 1_000;
  private static final long REJOIN_MILLIS = 1_000;

  private final ClusterConfig cluster;
  private final ClusterGauges gauges;
  private final Setup setup;
  private final Standing standing;
  private final ClusterView view;
  private final Router router;
  private final EngineGate gate;
  private final Queries queries;
  private final Set<String> toReset = new HashSet<>(); // whose work was dropped: told when heard
  private final Refusals refusals = new Refusals();
  private final Map<Integer, List<Delta>> deliveries = new HashMap<>(); // by HTTP instance

  private Bus bus;
  private @Nullable ClusterLink link; // null: between two lives
  private ServerState told = new ServerState.Loading();
  private long lastTickNanos;
  private long refusedBefore; // frames, in the lives that are over
  private long sinceAnnouncedMillis = ANNOUNCE_MILLIS;

  /**
   * What is known before the start.
   *
   * @param gateInstance number of the {@link EngineGate} among the HTTP instances
   * @param engines of this node
   * @param httpAddress of this node's HTTP server, for operators
   * @param version of the program
   */
  public record Setup(int gateInstance, EnginePool engines, String httpAddress, String version) {}

  @SuppressWarnings("NullAway.Init") // the bus comes with the deployment
  public ClusterVerticle(ServerConfig config, ServingMetrics metrics, Setup setup) {
    this.cluster = config.cluster();
    this.standing = new Standing(config, metrics, setup);
    this.gauges = new ClusterGauges(metrics);
    this.setup = setup;
    this.view =
        new ClusterView(cluster.routing(), cluster.silence().toMillis(), cluster.hang().toMillis());
    this.router = new Router(view, this::send, this::deliver);
    this.gate =
        new EngineGate(
            setup.gateInstance(),
            config.limits().queuedRequestsMax(),
            setup.engines(),
            this::send,
            (address, message) -> bus.send(address, message));
    this.queries = new Queries(this::send);
  }

  @Override
  public Future<?> start() {
    bus = new Bus(vertx);
    return Future.join(
        bus.consumeAny(Addresses.CLUSTER, this::onMessage),
        bus.consume(
            Addresses.http(setup.gateInstance()), Deltas.class, it -> run(() -> gate.onDeltas(it))),
        bus.consume(
            Addresses.ADAPTER_NAMES,
            AdapterNames.class,
            names -> run(() -> standing.onAdapters(names.cards()))),
        bus.consume(Addresses.CACHE_ROOM, CacheRoom.class, it -> run(() -> standing.onRoom(it))),
        bus.consume(Addresses.STATE, ServerState.class, this::onState));
  }

  /** Becomes a member; fails where that cannot be. Called once, on any thread. */
  public Future<Void> join() {
    return live()
        .onSuccess(
            joined ->
                context.runOnContext(
                    ignored -> {
                      begin(joined);
                      lastTickNanos = System.nanoTime();
                      vertx.setPeriodic(TICK_MILLIS, timer -> run(this::tick));
                    }))
        .mapEmpty();
  }

  private Future<ClusterLink> live() {
    return ClusterLink.join(
        cluster,
        new Membership.Listener() {
          @Override
          public void onBytes(Buffer bytes) {
            later(() -> ClusterVerticle.this.onBytes(bytes));
          }

          @Override
          public void onLeft(String node) {
            later(() -> ClusterVerticle.this.onLeft(node));
          }

          @Override
          public void onExpelled() {
            later(() -> fence("the others had thrown it out"));
          }
        });
  }

  private void begin(ClusterLink joined) {
    link = joined;
    standing.fence(false);
    LOG.info("Node {} of the cluster {}, bus at {}", joined.id(), cluster.name(), joined.address());
    announce();
  }

  /** The engine of this node can generate. On any thread. */
  public void engineReady(ModelCard card) {
    later(
        () -> {
          standing.onEngine(card);
          announce();
        });
  }

  /** Sequences of this node's engine that somebody waits for. On any thread. */
  public int wantedJobs() {
    return gauges.wantedJobs();
  }

  /** Leaves the cluster. On any thread; nothing is done here afterwards. */
  public Future<Void> leave() {
    Promise<Void> left = Promise.promise();
    context.runOnContext(
        ignored -> {
          standing.end(Phase.LEAVING);
          ClusterLink last = link;
          link = null;
          if (last == null) {
            left.complete();
          } else {
            last.leave().onComplete(left);
          }
        });
    return left.future();
  }

  /** Does a piece of the work on this actor's thread. On any thread. */
  private void later(Runnable work) {
    context.runOnContext(ignored -> run(work));
  }

  /** Does one piece of the work; what goes wrong with it must not stop the others'. */
  private void run(Runnable work) {
    try {
      work.run();
    } catch (RuntimeException | AssertionError bug) {
      LOG.warn("A message of the cluster could not be handled", bug);
    }
    ClusterLink current = link;
    gauges.update(gate, view, router, refusedBefore + (current == null ? 0 : current.refused()));
    if (!deliveries.isEmpty()) {
      deliveries.forEach(
          (instance, deltas) -> bus.send(Addresses.http(instance), new Deltas(deltas)));
      deliveries.clear();
    }
  }

  // ---- From this node ------------------------------------------------------------------------

  private void onMessage(Message<Object> message) {
    switch (message.body()) {
      case Submit submit -> run(() -> router.onSubmit(submit));
      case Cancel cancel -> run(() -> router.onCancel(cancel));
      case TokenizeQuery query -> run(() -> ask(message, query.model(), query));
      case DetokenizeQuery query -> run(() -> ask(message, query.model(), query));
      case NodesQuery query -> message.reply(new NodesQuery.Reply(status()));
      case DrainNode wish -> run(() -> message.reply(drain(wish)));
      default -> throw new IllegalStateException("unexpected " + message.body().getClass());
    }
  }

  private void onState(ServerState state) {
    run(
        () -> {
          switch (state) {
            case ServerState.Draining ignored -> enter(Phase.DRAINING);
            case ServerState.Stopping ignored -> enter(Phase.LEAVING);
            case ServerState.Failed ignored -> {
              gate.mute();
              enter(Phase.LEAVING);
            }
            case ServerState.Loading ignored -> {}
            case ServerState.Adrift ignored -> {}
            case ServerState.Ready ignored -> {}
          }
        });
  }

  /** These phases are final: the process ends. */
  private void enter(Phase last) {
    standing.end(last);
    announce();
  }

  private void ask(Message<Object> message, String model, Object query) {
    if (standing.has(model)) {
      bus.request(anyTokenizer(), query, Object.class)
          .onComplete(message::reply, failed -> message.reply(Refused.of(failed)));
    } else {
      queries.ask(view.anyEngine(model), message, query);
    }
  }

  private String anyTokenizer() {
    return setup.engines().addresses("").tokenizers().getFirst();
  }

  private Object drain(DrainNode wish) {
    ClusterView.Node node = view.named(wish.node());
    if (node == null) {
      return new Refused(ErrorCode.NOT_FOUND, "The cluster has no node of that name.", null);
    }
    send(node.id, new Frame.Drain(wish.wanted()));
    return new DrainNode.Done();
  }

  private void deliver(Delta delta) {
    int instance = SequenceKey.instance(delta.key());
    deliveries.computeIfAbsent(instance, any -> new ArrayList<>()).add(delta);
  }

  // ---- From other nodes ------------------------------------------------------------------------

  private void send(String node, Frame frame) {
    ClusterLink current = link;
    if (current == null) {
      return; // whoever waits for an answer is told so when the next life begins
    }
    if (node.equals(current.id())) {
      later(() -> onOwn(current, frame));
    } else if (!current.send(node, frame)) {
      TooLarge.instead(frame).ifPresent(it -> current.send(node, it));
      TooLarge.answer(frame).ifPresent(it -> later(() -> on(node, it)));
    }
  }

  private void onOwn(ClusterLink sent, Frame frame) {
    if (link == sent) { // else it was another life
      on(sent.id(), frame);
    }
  }

  private void onBytes(Buffer bytes) {
    ClusterLink current = link;
    if (current == null) {
      return;
    }
    Seal.Opened opened = current.open(bytes);
    if (opened == null) {
      return;
    }
    String sender = opened.sender();
    view.onWord(sender);
    if (opened.order() == Seal.Order.GAP || toReset.remove(sender)) {
      LOG.info("Work between this node and {} begins anew", sender);
      router.leave(sender, Leaving.ORDERLY);
      gate.drop(sender);
      send(sender, new Frame.Reset());
    }
    on(sender, opened.frame());
  }

  private void on(String sender, Frame frame) {
    switch (frame) {
      case Frame.Announce announce -> onAnnouncement(sender, announce.announcement());
      case Frame.Work work -> gate.onWork(sender, work);
      case Frame.Stop stop -> gate.onStop(sender, stop);
      case Frame.News news -> router.onNews(sender, news.items());
      case Frame.Bounce bounce -> router.onBounce(sender, bounce);
      case Frame.Reset ignored -> router.leave(sender, Leaving.ORDERLY);
      case Frame.Query query -> answer(sender, query);
      case Frame.Answer answer -> queries.onAnswer(answer);
      case Frame.Drain wish -> onDrainWish(wish.wanted());
    }
  }

  private void onAnnouncement(String sender, Announcement announcement) {
    ClusterLink current = link;
    ClusterView.Node known = view.node(sender);
    if (current == null) {
      return;
    }
    if (known == null || !known.told.busAddress().equals(announcement.busAddress())) {
      current
          .isAt(sender, announcement.busAddress())
          .onSuccess(
              isTrue ->
                  context.runOnContext(
                      ignored -> {
                        if (isTrue) {
                          run(() -> accept(sender, announcement));
                        } else {
                          LOG.warn("A node says that it is at an address that is not its own");
                        }
                      }));
      return;
    }
    accept(sender, announcement);
  }

  private void accept(String sender, Announcement announcement) {
    Announcement before = view.onAnnouncement(sender, announcement);
    if (before.name().isEmpty()) {
      LOG.info("Node {} is there: {}", announcement.name(), announcement.roles());
    }
    leaveIfUseless(sender);
    tellState();
  }

  /**
   * What a node's engine has goes on elsewhere where it does nothing any more, or seems to. Its
   * clients' work stays here: a node that was drained lives on, and so do its clients' streams.
   */
  private void leaveIfUseless(String id) {
    ClusterView.Node node = view.node(id);
    if (node != null && node.told.phase() == Phase.LEAVING) {
      router.leave(id, Leaving.ORDERLY);
    } else if (node != null && node.isHung) {
      router.leave(id, Leaving.DEATH);
    }
  }

  private void answer(String sender, Frame.Query query) {
    bus.request(anyTokenizer(), query.query(), Object.class)
        .onComplete(
            reply -> send(sender, new Frame.Answer(query.id(), reply)),
            failed -> send(sender, new Frame.Answer(query.id(), Refused.of(failed))));
  }

  private void onDrainWish(boolean wanted) {
    LOG.info("An operator wants this node {}", wanted ? "drained" : "to take work again");
    standing.drain(wanted);
    announce();
  }

  private void onLeft(String node) {
    LOG.info("Node {} has left", node);
    view.remove(node);
    toReset.remove(node);
    router.leave(node, Leaving.DEATH);
    gate.drop(node);
    tellState();
  }

  // ---- As time goes by -------------------------------------------------------------------------

  private void tick() {
    long now = System.nanoTime();
    long passed = TimeUnit.NANOSECONDS.toMillis(now - lastTickNanos);
    lastTickNanos = now;
    if (passed > cluster.silence().toMillis()) {
      fence("it was stopped for " + passed + " ms");
    }
    ClusterLink current = link;
    if (current == null) {
      return;
    }
    for (String node : view.tick(Math.min(passed, 2 * TICK_MILLIS), current.id())) {
      LOG.info("Node {} is silent; what it had goes on elsewhere", node);
      toReset.add(node);
      router.leave(node, Leaving.DEATH);
      gate.drop(node);
    }
    router.tick(TICK_MILLIS);
    queries.tick(TICK_MILLIS);
    standing.tick(TICK_MILLIS);
    sinceAnnouncedMillis += TICK_MILLIS;
    if (sinceAnnouncedMillis >= ANNOUNCE_MILLIS) {
      announce();
    }
  }

  private void announce() {
    ClusterLink current = link;
    if (current == null) {
      return;
    }
    sinceAnnouncedMillis = 0;
    gate.accept(standing.accepts());
    Announcement announcement = standing.announcement(current.address(), gate, router.liveCount());
    view.onAnnouncement(current.id(), announcement);
    leaveIfUseless(current.id());
    Frame frame = new Frame.Announce(announcement);
    for (String member : current.members()) {
      if (!member.equals(current.id())) {
        current.send(member, frame);
      }
    }
    tellState();
  }

  /** Tells HTTP whether there is somebody to work for it. */
  private void tellState() {
    ClusterLink current = link;
    refusals.tell(view);
    bus.publish(Addresses.CACHE_NODES, view.cacheNodes());
    ServerState now = standing.state(view, current == null ? "" : current.id(), told);
    if (!standing.isEnding() && !now.equals(told)) {
      told = now;
      bus.publish(Addresses.STATE, now);
    }
  }

  /** Nothing that this node knows of the others is true any more. */
  private void fence(String why) {
    ClusterLink old = link;
    if (old == null || standing.isEnding()) {
      return;
    }
    LOG.warn("This node fences itself and joins the cluster again: {}", why);
    standing.fence(true);
    gate.dropAll();
    refusedBefore += old.refused();
    link = null; // nobody is told: nobody listens
    view.clear();
    toReset.clear();
    router.leaveAll();
    tellState();
    old.abandon().onComplete(ignored -> context.runOnContext(any -> rejoin()));
  }

  private void rejoin() {
    live()
        .onComplete(
            joined -> later(() -> begin(joined)),
            failed -> {
              LOG.warn("The cluster cannot be joined yet: {}", String.valueOf(failed.getMessage()));
              vertx.setTimer(REJOIN_MILLIS, ignored -> rejoin());
            });
  }

  private String status() {
    ClusterLink current = link;
    return ClusterStatus.json(view, current == null ? "" : current.id(), router, told);
  }
}
