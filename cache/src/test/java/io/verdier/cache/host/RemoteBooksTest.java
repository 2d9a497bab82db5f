package io.verdier.cache.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.host.RemoteDone.Answer;
import io.verdier.cache.host.RemoteDone.Outcome;
import io.verdier.cache.host.RemoteDone.Settled;
import io.verdier.cache.host.RemoteDone.Sight;
import io.verdier.cache.host.RemoteWork.Ask;
import io.verdier.cache.host.RemoteWork.Read;
import io.verdier.cache.host.RemoteWork.Write;
import io.verdier.cache.kv.BlockHash;
import io.verdier.cache.kv.BlockTable;
import io.verdier.cache.kv.KvCacheManager;
import io.verdier.cache.kv.KvCacheManager.Prefix;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** A device of 6 blocks of 4 tokens, host memory of 8, and a cache node. */
class RemoteBooksTest {
  private static final int[] TOKENS = IntStream.range(100, 140).toArray();

  private final KvCacheManager kv = new KvCacheManager(6, 4);
  private final TierSlots host = new TierSlots(8);
  private final PrefixTiers tiers =
      new PrefixTiers(kv, host, null, new RemoteBooks(3), new PrefixTiers.Settings(0, 100));

  @Test
  void fetch_noCacheNodeInSight_asksNobody() {
    assertThat(tiers.fetch(kv.open("", ""), TOKENS, 3)).isNull();
    save(computed("", 12), 12);
    assertThat(tiers.takeRemoteWork()).isEmpty();

    tiers.onRemoteDone(new Sight(true));
    assertThat(tiers.fetch(kv.open("b", ""), TOKENS, 3)).isNotNull();
    tiers.onRemoteDone(new Sight(false));
    assertThat(tiers.fetch(kv.open("c", ""), TOKENS, 3)).isNull();
    assertThat(tiers.remoteCounts().queriedTokens()).isEqualTo(12);
  }

  @Test
  void offer_moreThanTheBound_isWrittenInItsTurn() {
    tiers.onRemoteDone(new Sight(true));
    BlockTable table = computed("", 20);
    save(table, 20);

    List<RemoteWork> work = tiers.takeRemoteWork();

    BlockHash first = kv.name(table, 0, TOKENS);
    assertThat(work).hasSize(3).allMatch(it -> ((Write) it).first().equals(first));
    assertThat(tiers.hostPins()).isEqualTo(3); // what waits pins nothing
    settle(work.get(0), Outcome.DONE);
    settle(work.get(1), Outcome.WAS_THERE);
    List<RemoteWork> rest = tiers.takeRemoteWork();
    assertThat(rest)
        .extracting(it -> ((Write) it).name())
        .containsExactly(kv.name(table, 3, TOKENS), kv.name(table, 4, TOKENS));
    settle(work.get(2), Outcome.FAILED);
    rest.forEach(it -> settle(it, Outcome.DONE));
    assertThat(tiers.takeRemoteWork()).isEmpty();
    assertThat(tiers.hostPins()).isZero();
    assertThat(tiers.remoteCounts().blocksIn()).isEqualTo(3);
    assertThat(tiers.remoteCounts().dropped()).isEqualTo(1);
  }

  @Test
  void offer_whatWaits_isGivenUpWhenAWriteFailsOrNoCacheNodeIsInSight() {
    tiers.onRemoteDone(new Sight(true));
    BlockTable table = computed("", 20);
    save(table, 20);
    kv.release(table);
    List<RemoteWork> work = tiers.takeRemoteWork();

    settle(work.get(0), Outcome.FAILED);

    assertThat(tiers.takeRemoteWork()).isEmpty();
    assertThat(tiers.remoteCounts().dropped()).isEqualTo(3);
    settle(work.get(1), Outcome.DONE);
    settle(work.get(2), Outcome.DONE);

    save(computed("b", 16), 16);
    work = tiers.takeRemoteWork();
    tiers.onRemoteDone(new Sight(false));
    work.forEach(it -> settle(it, Outcome.DONE));
    assertThat(tiers.takeRemoteWork()).isEmpty();
    assertThat(tiers.remoteCounts().dropped()).isEqualTo(4);
  }

  @Test
  void offer_whatWaitsAndLeavesHostMemory_isNotWritten() {
    tiers.onRemoteDone(new Sight(true));
    BlockTable table = computed("", 16);
    save(table, 16);
    List<RemoteWork> work = tiers.takeRemoteWork();
    for (int i = 0; i < host.count() - 3; i++) { // all that no write holds
      host.fill(host.reserve(new BlockHash(1, 2, 3, i)));
    }

    settle(work.get(0), Outcome.DONE);

    assertThat(tiers.takeRemoteWork()).isEmpty();
    assertThat(tiers.remoteCounts().dropped()).isEqualTo(1);
  }

  private void settle(RemoteWork write, Outcome outcome) {
    tiers.onRemoteDone(new Settled(((Write) write).id(), outcome));
  }

  @Test
  void fetch_prefixOfAnotherEngine_comesOnceForTwo() {
    tiers.onRemoteDone(new Sight(true));
    Fetch one = tiers.fetch(kv.open("", ""), TOKENS, 4);
    Fetch two = tiers.fetch(kv.open("", ""), TOKENS, 4);
    List<RemoteWork> asks = tiers.takeRemoteWork();
    assertThat(asks).hasSize(2).allMatch(it -> ((Ask) it).names().size() == 4);

    tiers.onRemoteDone(new Answer(((Ask) asks.get(0)).id(), 3));
    tiers.onRemoteDone(new Answer(((Ask) asks.get(1)).id(), 3));
    List<RemoteWork> reads = tiers.takeRemoteWork();

    assertThat(reads).hasSize(3).allMatch(it -> it instanceof Read);
    assertThat(isOver(one)).isFalse();
    assertThat(isOver(two)).isFalse();
    tiers.onRemoteDone(new Settled(((Read) reads.get(1)).id(), Outcome.DONE));
    tiers.onRemoteDone(new Settled(((Read) reads.get(0)).id(), Outcome.DONE));
    assertThat(isOver(one)).isFalse();
    tiers.onRemoteDone(new Settled(((Read) reads.get(2)).id(), Outcome.FAILED));
    assertThat(isOver(one)).isTrue();
    assertThat(isOver(two)).isTrue();
    assertThat(load(kv.open("", ""), 4)).as("what came whole").isEqualTo(2);
    assertThat(tiers.hostPins()).isZero();
    assertThat(tiers.remoteCounts().blocksOut()).isEqualTo(2);
  }

  @Test
  void fetch_blocksOfTheHost_areNotAskedFor() {
    BlockTable table = computed("", 8);
    save(table, 8);
    kv.release(table);
    tiers.onRemoteDone(new Sight(true));

    tiers.fetch(kv.open("", ""), TOKENS, 5);

    Ask ask = (Ask) tiers.takeRemoteWork().getFirst();
    assertThat(ask.names()).hasSize(3);
    assertThat(ask.first()).isEqualTo(kv.name(kv.open("", ""), 0, TOKENS));
    assertThat(ask.names().getFirst()).isEqualTo(kv.name(kv.open("", ""), 2, TOKENS));
  }

  @Test
  void onRemoteDone_moreThereThanWasAsked_isNotBelieved() {
    tiers.onRemoteDone(new Sight(true));
    tiers.fetch(kv.open("", ""), TOKENS, 2);
    Ask ask = (Ask) tiers.takeRemoteWork().getFirst();

    tiers.onRemoteDone(new Answer(ask.id(), 1_000));

    assertThat(tiers.takeRemoteWork()).hasSize(2);
  }

  @Test
  void discard_failedSequence_isErasedThere() {
    tiers.onRemoteDone(new Sight(true));
    BlockTable table = computed("", 8);
    save(table, 8);
    tiers.takeRemoteWork();

    kv.discard(table);

    assertThat(tiers.takeRemoteWork()).hasSize(2).allMatch(it -> it instanceof RemoteWork.Erase);
    tiers.forget();
    assertThat(tiers.takeRemoteWork()).containsExactly(new RemoteWork.Forget());
  }

  @Test
  void onRemoteDone_unknown_throws() {
    assertThatThrownBy(() -> tiers.onRemoteDone(new Answer(7, 1)))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> tiers.onRemoteDone(new Settled(7, Outcome.DONE)))
        .isInstanceOf(IllegalStateException.class);
  }

  /**
   * Two engines and a cache node that answers in any order, or not; a set of names is all that the
   * model knows. Whatever happens, every fetch ends, no pin is left, and what an engine reads the
   * other has written.
   */
  @Test
  void histories_random_matchTheSimpleModel() {
    long read = 0;
    for (long seed = 0; seed < 400; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      Set<BlockHash> there = new HashSet<>();
      Player[] players = {new Player(random, there), new Player(random, there)};
      for (int step = 0; step < 120; step++) {
        players[random.nextInt(2)].play("seed " + seed + " step " + step);
      }
      for (Player player : players) {
        player.finish("seed " + seed);
        read += player.tiers.remoteCounts().blocksOut();
      }
    }
    assertThat(read).as("the histories exercise it").isGreaterThan(500);
  }

  /** One engine, whose sequences come and go at once. */
  private static final class Player {
    final KvCacheManager kv = new KvCacheManager(12, 4);
    final TierSlots host;
    final PrefixTiers tiers;
    final SplittableRandom random;
    final Set<BlockHash> there;
    final List<RemoteWork> work = new ArrayList<>();
    final List<Fetch> fetches = new ArrayList<>();

    Player(SplittableRandom random, Set<BlockHash> there) {
      this.random = random;
      this.there = there;
      host = new TierSlots(random.nextInt(1, 12));
      tiers =
          new PrefixTiers(
              kv,
              host,
              null,
              new RemoteBooks(random.nextInt(1, 6)),
              new PrefixTiers.Settings(0, 100));
      tiers.onRemoteDone(new Sight(true));
    }

    void play(String when) {
      switch (random.nextInt(5)) {
        case 0 -> compute();
        case 1 -> {
          Fetch fetch = tiers.fetch(kv.open(salt(), ""), TOKENS, random.nextInt(1, 10));
          if (fetch != null) {
            fetches.add(fetch);
          }
        }
        case 2 -> {
          if (random.nextInt(10) == 0) { // it is gone, and there again
            take();
            work.forEach(it -> settle(it, true));
            work.clear();
            tiers.onRemoteDone(new Sight(false));
            tiers.onRemoteDone(new Sight(true));
          }
        }
        default -> {
          take();
          if (!work.isEmpty()) {
            settle(work.remove(random.nextInt(work.size())), random.nextInt(8) == 0);
          }
        }
      }
      take();
      long pinned = work.stream().filter(it -> it instanceof Read || it instanceof Write).count();
      assertThat((long) tiers.hostPins()).as(when).isEqualTo(pinned);
    }

    private String salt() {
      return random.nextInt(4) == 0 ? "b" : "";
    }

    private void compute() {
      int tokens = 4 * random.nextInt(1, 10);
      BlockTable table = kv.open(salt(), "");
      int cached = kv.admit(table, TOKENS, tokens + 1, tokens + 1, Prefix.READ);
      if (cached >= 0) {
        kv.commit(table, TOKENS, tokens);
        tiers.offer(table, TOKENS, tokens);
        tiers.takeUrgent().forEach(it -> tiers.onSaved(List.of(it), true));
        while (tiers.wantsCopies()) {
          tiers.onSaved(tiers.takeSaves(), random.nextInt(10) > 0);
        }
        kv.release(table);
      }
      List<BlockCopy> urgent = tiers.takeUrgent();
      tiers.onSaved(urgent, true);
    }

    private void take() {
      work.addAll(tiers.takeRemoteWork());
    }

    private void settle(RemoteWork next, boolean fails) {
      switch (next) {
        case Ask ask -> {
          int count = 0;
          while (!fails && count < ask.names().size() && there.contains(ask.names().get(count))) {
            count++;
          }
          tiers.onRemoteDone(new Answer(ask.id(), count));
        }
        case Read read -> {
          assertThat(host.name(read.hostSlot())).isEqualTo(read.name());
          assertThat(host.find(read.name())).as("is not whole yet").isEqualTo(TierSlots.NONE);
          boolean good = !fails && there.contains(read.name());
          tiers.onRemoteDone(new Settled(read.id(), good ? Outcome.DONE : Outcome.FAILED));
          assertThat(host.find(read.name()) != TierSlots.NONE).isEqualTo(good);
        }
        case Write write -> {
          assertThat(host.find(write.name())).isEqualTo(write.hostSlot());
          boolean isNew = !fails && there.add(write.name());
          Outcome kept = isNew ? Outcome.DONE : Outcome.WAS_THERE;
          tiers.onRemoteDone(new Settled(write.id(), fails ? Outcome.FAILED : kept));
        }
        case RemoteWork.Erase erase -> there.remove(erase.name());
        case RemoteWork.Forget _ -> there.clear();
      }
    }

    void finish(String when) {
      take();
      while (!work.isEmpty()) {
        settle(work.removeFirst(), false);
        take();
      }
      assertThat(fetches).as(when).allMatch(Fetch::isOver);
      assertThat(tiers.hostPins()).as(when).isZero();
      assertThat(tiers.remoteCounts().sequences()).as(when).isZero();
      if (fetches.isEmpty()) {
        assertThat(tiers.remoteCounts().blocksOut()).isZero();
      }
    }
  }

  private static boolean isOver(@Nullable Fetch fetch) {
    return fetch != null && fetch.isOver();
  }

  private BlockTable computed(String salt, int tokens) {
    BlockTable table = kv.open(salt, "");
    assertThat(kv.admit(table, TOKENS, tokens, tokens, Prefix.SKIP)).isZero();
    kv.commit(table, TOKENS, tokens);
    return table;
  }

  private void save(BlockTable table, int known) {
    tiers.offer(table, TOKENS, known);
    while (tiers.wantsCopies()) {
      tiers.onSaved(tiers.takeSaves(), true);
    }
  }

  /** How many blocks a load would bring; it is given up. */
  private int load(BlockTable table, int blocks) {
    @Nullable HostLoad load = tiers.load(table, TOKENS, 0, blocks);
    if (load == null) {
      return 0;
    }
    int missing = load.missing();
    tiers.cut(load);
    return missing;
  }
}
