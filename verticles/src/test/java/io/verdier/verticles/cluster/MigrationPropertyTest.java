package io.verdier.verticles.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.conf.ClusterConfig.Role;
import io.verdier.conf.ClusterConfig.Routing;
import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.text.TextParams;
import io.verdier.verticles.balance.EnginePool;
import io.verdier.verticles.bus.CacheRoom;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Deltas;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.Truncation;
import io.verdier.verticles.cluster.Announcement.Phase;
import io.verdier.verticles.cluster.Router.Leaving;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/**
 * An ingress and some engines in one thread, over links that lose things: whatever dies, is late,
 * comes in between or is lost, each client gets each token once, in order, and one end. Replay one
 * history with {@code -Dseed=}. Costs about a second.
 */
class MigrationPropertyTest {
  private static final int HISTORIES = 300;

  /** What an engine makes of a sequence: a function of prompt, seed and position. */
  private static int token(int[] prompt, long seed, int position) {
    return (int) Math.floorMod(prompt[0] * 31L + seed * 17 + position * 7L, 1000L);
  }

  private static int[] golden(Submit submit, int choice) {
    int[] prompt = promptOf(submit.prompt());
    int[] tokens = new int[submit.sampling().maxTokens()];
    for (int i = 0; i < tokens.length; i++) {
      tokens[i] = token(prompt, submit.sampling().seed() + choice, i);
    }
    return tokens;
  }

  private static int[] promptOf(Prompt prompt) {
    return switch (prompt) {
      case Prompt.Text text -> new int[] {text.text().hashCode(), text.text().length()};
      case Prompt.Tokens tokens -> tokens.ids();
      case Prompt.Chat _, Prompt.Pair _ -> throw new IllegalStateException();
    };
  }

  /** Frames in order, with their numbers; some get lost. */
  private static final class Link {
    private final Deque<Sent> queue = new ArrayDeque<>();
    private int sent;
    private int heard;

    /** A frame with its number. */
    private record Sent(int number, Frame frame) {}

    void add(Frame frame) {
      queue.add(new Sent(++sent, frame));
    }

    void lose() {
      queue.poll();
    }

    boolean isEmpty() {
      return queue.isEmpty();
    }

    /** Takes the next frame, if there is one, and says first if some are missing. */
    void take(Runnable onGap, Consumer<Frame> onFrame) {
      Sent next = queue.poll();
      if (next == null) {
        return;
      }
      boolean isGap = next.number != heard + 1;
      heard = next.number;
      if (isGap) {
        onGap.run();
      }
      onFrame.accept(next.frame);
    }
  }

  /** A node that generates. */
  private static final class Engine {
    final String id;
    final Link toIngress = new Link();
    final Link toEngine = new Link();
    final EngineGate gate;
    final Map<Long, Running> running = new LinkedHashMap<>();

    /** One sequence inside it. */
    private static final class Running {
      final int[] prompt;
      final SamplingParams sampling;
      final long seed;
      final boolean isStreaming;
      int count;
      boolean isOpened;

      Running(Submit submit, int choice) {
        this.prompt = promptOf(submit.prompt());
        this.sampling = submit.sampling();
        this.seed = submit.sampling().seed() + choice;
        this.isStreaming = submit.text().streaming();
        this.count = submit.generated().length;
        for (int i = 0; i < count; i++) {
          assertThat(submit.generated()[i]).isEqualTo(token(prompt, seed, i));
        }
      }

      /** Who does not stream gets all text with the end. */
      String text(int fresh, boolean isEnd) {
        StringBuilder text = new StringBuilder();
        int first = isStreaming ? count - fresh : 0;
        for (int i = first; i < count && (isStreaming || isEnd); i++) {
          text.append(token(prompt, seed, i)).append(' ');
        }
        return text.toString();
      }

      /** The tokenizer ends what waits there without a count; whoever has begun has one. */
      Delta ended(long key) {
        Delta bare = Delta.ended(key, FinishReason.ABORT);
        if (isStreaming && !isOpened) {
          return bare;
        }
        Delta.End end = new Delta.End(FinishReason.ABORT, null, -1, 0, count, null);
        return new Delta(key, null, text(0, true), new int[0], List.of(), List.of(), end);
      }
    }

    Engine(String id) {
      this.id = id;
      this.gate =
          new EngineGate(
              1,
              64,
              EnginePool.of(new EngineAddresses(0, List.of("s"), List.of("t"), "a")),
              this::tell,
              this::send);
      gate.accept(true);
    }

    void tell(String node, Frame frame) {
      toIngress.add(frame);
    }

    void send(String address, Object message) {
      switch (message) {
        case Submit submit -> {
          for (int i = 0; i < submit.keys().length; i++) {
            running.put(submit.keys()[i], new Running(submit, i));
          }
        }
        case Cancel cancel -> {
          List<Delta> ends = new ArrayList<>();
          for (long key : cancel.keys()) {
            Running ended = running.remove(key);
            if (ended != null) {
              ends.add(ended.ended(key));
            }
          }
          if (!ends.isEmpty()) {
            gate.onDeltas(new Deltas(ends));
          }
        }
        default -> throw new IllegalStateException();
      }
    }

    /** Some of its sequences get tokens, as in a step. */
    void step(Random random) {
      List<Delta> news = new ArrayList<>();
      for (Map.Entry<Long, Running> entry : List.copyOf(running.entrySet())) {
        if (random.nextInt(3) > 0) {
          news.add(advance(entry.getKey(), entry.getValue(), random));
        }
      }
      if (!news.isEmpty()) {
        gate.onDeltas(new Deltas(news));
      }
    }

    private Delta advance(long key, Running sequence, Random random) {
      Delta.Start start = sequence.isOpened ? null : new Delta.Start(sequence.prompt, "", "");
      sequence.isOpened = true;
      int max = sequence.sampling.maxTokens();
      int count = Math.min(random.nextInt(3), max - sequence.count);
      int[] tokens = new int[count];
      for (int i = 0; i < count; i++) {
        tokens[i] = token(sequence.prompt, sequence.seed, sequence.count++);
      }
      String text = sequence.text(count, sequence.count == max);
      Delta.End end = null;
      if (sequence.count == max) {
        running.remove(key);
        end = new Delta.End(FinishReason.LENGTH, null, -1, 0, max, null);
      }
      return new Delta(key, start, text, tokens, List.of(), List.of(), end);
    }
  }

  /** What a client has. */
  private static final class Client {
    final List<Integer> tokens = new ArrayList<>();
    final StringBuilder text = new StringBuilder();
    int starts;
    int ends;
    int counted; // tokens, as its end says
    FinishReason reason = FinishReason.ERROR;
  }

  /** Everything. */
  private static final class World {
    final Random random;
    final ClusterView view = new ClusterView(Routing.PREFIX, 4000, 60_000);
    final Router router = new Router(view, this::tell, this::deliver);
    final Map<String, Engine> engines = new TreeMap<>();
    final Map<Long, Client> clients = new LinkedHashMap<>();
    int engineCount;

    World(Random random) {
      this.random = random;
      for (int i = 0; i < 3; i++) {
        born();
      }
    }

    void born() {
      String id = "e" + engineCount++;
      engines.put(id, new Engine(id));
      ModelCard card =
          new ModelCard(
              List.of("m"),
              List.of(),
              "",
              1,
              1,
              0,
              Map.of(),
              Optional.empty(),
              new Parsing(false, Optional.empty(), Optional.empty(), "", false),
              "",
              List.of());
      view.onAnnouncement(
          id,
          new Announcement(
              id,
              id,
              id,
              "1",
              Set.of(Role.ENGINE),
              Phase.SERVING,
              Optional.of(card),
              Announcement.Load.NONE,
              Announcement.Tally.NONE,
              PrefixSummary.EMPTY,
              CacheRoom.NONE));
    }

    void tell(String node, Frame frame) {
      Engine engine = engines.get(node);
      if (engine != null) {
        engine.toEngine.add(frame);
      }
    }

    void deliver(Delta delta) {
      Client client = Objects.requireNonNull(clients.get(delta.key()));
      assertThat(client.ends).as("news behind the end").isZero();
      client.starts += delta.start() == null ? 0 : 1;
      for (int token : delta.tokens()) {
        client.tokens.add(token);
      }
      client.text.append(delta.text());
      if (delta.end() != null) {
        client.ends++;
        client.reason = delta.end().reason();
        client.counted = delta.end().generatedTokens();
      }
    }

    void deliverToIngress(Engine engine) {
      String id = engine.id;
      engine.toIngress.take(
          () -> router.leave(id, Leaving.ORDERLY),
          frame -> {
            switch (frame) {
              case Frame.News news -> router.onNews(id, news.items());
              case Frame.Bounce bounce -> router.onBounce(id, bounce);
              case Frame.Reset ignored -> router.leave(id, Leaving.ORDERLY);
              default -> throw new IllegalStateException();
            }
          });
    }

    void deliverToEngine(Engine engine) {
      engine.toEngine.take(
          () -> {
            engine.gate.drop("ingress");
            engine.tell("ingress", new Frame.Reset());
          },
          frame -> {
            switch (frame) {
              case Frame.Work work -> engine.gate.onWork("ingress", work);
              case Frame.Stop stop -> engine.gate.onStop("ingress", stop);
              default -> throw new IllegalStateException();
            }
          });
    }

    Engine any() {
      List<Engine> all = List.copyOf(engines.values());
      return all.get(random.nextInt(all.size()));
    }

    /** All links say that they are idle, as announcements do, so that a lost last frame shows. */
    void heartbeat() {
      for (Engine engine : engines.values()) {
        engine.toIngress.add(new Frame.News(List.of()));
        engine.toEngine.add(new Frame.Stop(new long[0], new int[0], Frame.Stop.Why.UNWANTED));
      }
    }

    void kill(Engine engine) {
      engines.remove(engine.id);
      view.remove(engine.id);
      router.leave(engine.id, Leaving.ORDERLY); // as by a drain: deaths are limited
      born();
    }

    void act() {
      switch (random.nextInt(20)) {
        case 0 -> kill(any());
        case 1 -> any().toIngress.lose();
        case 2 -> any().toEngine.lose();
        case 3 -> heartbeat();
        case 4 -> router.leave(any().id, Leaving.ORDERLY); // thought to be silent, and is not
        case 5, 6, 7, 8, 9, 10 -> any().step(random);
        case 11, 12, 13, 14, 15 -> deliverToIngress(any());
        default -> deliverToEngine(any());
      }
    }

    /** No more accidents. */
    void settle() {
      for (int round = 0; round < 200 && router.liveCount() > 0; round++) {
        heartbeat();
        router.tick(1);
        for (Engine engine : engines.values()) {
          while (!engine.toEngine.isEmpty()) {
            deliverToEngine(engine);
          }
          engine.step(random);
          while (!engine.toIngress.isEmpty()) {
            deliverToIngress(engine);
          }
        }
      }
    }
  }

  @Test
  void streams_anyHistory_areCompleteAndTheSame() {
    String replay = System.getProperty("seed");
    for (int i = 0; i < HISTORIES; i++) {
      long seed = replay == null ? i : Long.parseLong(replay);
      try {
        history(seed);
      } catch (RuntimeException | AssertionError failed) {
        throw new AssertionError("history " + seed + ", replay it by -Dseed=" + seed, failed);
      }
    }
  }

  private static void history(long seed) {
    Random random = new Random(seed);
    World world = new World(random);
    Map<Long, int[]> goldens = new LinkedHashMap<>();
    Set<Long> cancelled = new HashSet<>();
    long nextKey = 1;
    int length = 50 + random.nextInt(200);
    for (int i = 0; i < length; i++) {
      if (random.nextInt(8) == 0) {
        long[] keys = new long[1 + random.nextInt(3)];
        for (int k = 0; k < keys.length; k++) {
          keys[k] = nextKey++;
          world.clients.put(keys[k], new Client());
        }
        Submit submit = submit(keys, "prompt " + random.nextInt(100), random.nextInt(40) + 1);
        for (int k = 0; k < keys.length; k++) {
          goldens.put(keys[k], golden(submit, k));
        }
        world.router.onSubmit(submit);
      } else if (random.nextInt(60) == 0 && nextKey > 1) {
        long key = 1 + random.nextLong(nextKey - 1);
        cancelled.add(key);
        world.router.onCancel(new Cancel(new long[] {key}, FinishReason.ABORT, false));
      } else {
        world.act();
      }
    }
    world.settle();
    assertThat(world.router.liveCount()).isZero();
    world.engines.values().forEach(engine -> assertThat(engine.gate.wantedCount()).isZero());
    world.clients.forEach(
        (key, client) -> {
          assertThat(client.ends).as("ends of %d", key).isEqualTo(1);
          List<Integer> golden = new ArrayList<>();
          for (int token : Objects.requireNonNull(goldens.get(key))) {
            golden.add(token);
          }
          if (client.reason == FinishReason.LENGTH) {
            assertThat(client.tokens).as("tokens of %d", key).isEqualTo(golden);
            assertThat(client.starts).isEqualTo(1);
          } else {
            assertThat(cancelled).as("ended by %s", client.reason).contains(key);
            assertThat(golden.subList(0, client.tokens.size())).isEqualTo(client.tokens);
          }
          StringBuilder text = new StringBuilder();
          client.tokens.forEach(token -> text.append(token).append(' '));
          assertThat(client.text.toString()).as("text of %d", key).isEqualTo(text.toString());
          assertThat(client.counted).as("count of %d", key).isEqualTo(client.tokens.size());
        });
  }

  private static Submit submit(long[] keys, String prompt, int maxTokens) {
    return new Submit(
        keys,
        new Prompt.Text(prompt, true),
        SamplingParams.greedy(maxTokens).withSeed(5),
        List.of(),
        Truncation.NONE,
        new TextParams(List.of(), false, true, maxTokens % 2 == 0),
        0,
        "",
        null,
        null,
        OptionalDouble.empty());
  }
}
