package io.verdier.cache.lora;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.cache.lora.AdapterSource.Namer;
import io.verdier.cache.lora.AdapterStore.Fetched;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.LongSupplier;
import org.junit.jupiter.api.Test;

/** Who gets which adapter when, with hands that the test moves. */
class AdapterStoreTest {
  private static final int SEEDS = 300;

  private long now;
  private Hands hands = new Hands(1, () -> now);

  /** A file that is open. */
  private record Open(String identity) {}

  /** Something that takes time, and how it may end. */
  private record Job(String what, Runnable succeed, Runnable fail, Runnable lose) {
    Job(String what, Runnable succeed, Runnable fail) {
      this(what, succeed, fail, fail);
    }
  }

  /**
   * Owned by the test's thread. Does what it is told when the test says so, and keeps the books.
   */
  private static final class Hands implements AdapterStore.Hands<Open, String, String> {
    final List<Job> jobs = new ArrayList<>();
    final List<String> answers = new ArrayList<>();
    final Map<String, String> contents = new HashMap<>(); // by place; else the place itself
    final Map<Integer, String> rooms = new HashMap<>(); // what is in them, or coming
    final Set<String> lent = new HashSet<>();
    final Set<Open> open = new HashSet<>();
    final List<String> asked = new ArrayList<>();
    final List<Boolean> news = new ArrayList<>(); // of sources that cannot be asked
    final AdapterStore<Open, String, String> store;

    Hands(int rooms, LongSupplier nanos) {
      store = new AdapterStore<>(rooms, this, nanos);
    }

    @Override
    public void fetch(AdapterSource source, String version) {
      asked.add(source.place() + (version.isEmpty() ? "" : " if not " + version));
      String identity = contents.getOrDefault(source.place(), source.place());
      jobs.add(
          new Job(
              "fetch " + source.place(),
              () -> store.onFetched(source, fetched(identity, version)),
              () -> store.onFetchFailed(source, "broken"),
              () -> news.add(store.onUnreachable(source, "unreachable"))));
    }

    private Fetched<Open> fetched(String identity, String version) {
      if (version.equals("v-" + identity)) {
        return new Fetched<>("", version, null);
      }
      Open adapter = new Open(identity + "#" + asked.size() + "." + open.size());
      assertThat(open.add(adapter)).isTrue();
      assertThat(open.size()).isLessThanOrEqualTo(AdapterStore.OPEN_MAX);
      return new Fetched<>(identity, "v-" + identity, adapter);
    }

    @Override
    public void fill(String identity, Open adapter, int room) {
      assertThat(rooms.put(room, identity)).as("room " + room).isNull();
      assertThat(open).contains(adapter);
      jobs.add(
          new Job(
              "fill " + identity,
              () -> store.onFilled(identity, 10),
              () -> {
                rooms.remove(room);
                store.onFillFailed(identity, "bad");
              }));
    }

    @Override
    public void discard(Open adapter) {
      assertThat(open.remove(adapter)).isTrue();
    }

    @Override
    public void lend(String identity, int room) {
      assertThat(rooms.get(room)).isEqualTo(identity);
      assertThat(lent.add(identity)).isTrue();
    }

    @Override
    public void recall(String identity, int room) {
      assertThat(lent.remove(identity)).isTrue();
      jobs.add(
          new Job(
              "recall " + identity,
              () -> {
                assertThat(rooms.remove(room)).isEqualTo(identity);
                store.onReturned(room);
              },
              () -> {}));
    }

    @Override
    public void grant(String who, String identity) {
      assertThat(lent).contains(identity);
      answers.add(who + " has " + identity);
    }

    @Override
    public void refuse(String who, String why) {
      answers.add(who + " " + why);
    }

    /** The only job of that name succeeds, or fails. */
    void end(String what, boolean succeeds) {
      Job job = jobs.stream().filter(it -> it.what.equals(what)).findFirst().orElseThrow();
      jobs.remove(job);
      (succeeds ? job.succeed : job.fail).run();
    }

    void bring(String place) {
      end("fetch " + place, true);
      end("fill " + contents.getOrDefault(place, place), true);
    }

    List<String> take() {
      List<String> taken = List.copyOf(answers);
      answers.clear();
      return taken;
    }
  }

  private AdapterStore<Open, String, String> store(int rooms) {
    hands = new Hands(rooms, () -> now);
    return hands.store;
  }

  private static AdapterSource at(String place) {
    return AdapterSource.ofClient(place);
  }

  @Test
  void want_severalOfOneSource_areOneLoad() {
    AdapterStore<Open, String, String> store = store(2);
    store.want("1", at("a"), 1);
    store.want("2", at("a"), 2, 3);
    assertThat(hands.jobs).hasSize(1);
    hands.end("fetch a", true);
    store.want("4", at("a"), 4); // while it is laid out
    hands.end("fill a", true);
    store.want("5", at("a"), 5);

    assertThat(hands.take()).containsExactly("1 has a", "2 has a", "4 has a", "5 has a");
    assertThat(hands.asked).containsExactly("a");
    assertThat(hands.open).isEmpty();
    assertThat(store.stats()).isEqualTo(new AdapterStore.Stats(1, 0, 0, 1, 10, 0));
  }

  @Test
  void want_twoSourcesOfOneContent_shareARoom() {
    AdapterStore<Open, String, String> store = store(1);
    hands.contents.put("x", "same");
    hands.contents.put("y", "same");
    store.want("1", at("x"), 1);
    store.want("2", at("y"), 2);
    hands.end("fetch y", true);
    hands.end("fetch x", true);
    hands.end("fill same", true);

    assertThat(hands.take()).containsExactly("2 has same", "1 has same");
    assertThat(hands.open).isEmpty();
  }

  @Test
  void failure_isToldToThoseWhoWaitedAndStandsAWhile() {
    AdapterStore<Open, String, String> store = store(1);
    store.want("1", at("a"), 1);
    store.want("2", at("a"), 2);
    hands.end("fetch a", false);
    assertThat(hands.take()).containsExactly("1 broken", "2 broken");
    store.want("3", at("a"), 3);
    assertThat(hands.take()).containsExactly("3 broken");
    assertThat(hands.asked).hasSize(1);

    now += Setbacks.FIRST_NANOS;
    store.want("4", at("a"), 4);
    hands.end("fetch a", false);
    now += Setbacks.FIRST_NANOS;
    store.want("5", at("a"), 5); // the second time it stands twice as long
    assertThat(hands.take()).containsExactly("4 broken", "5 broken");
    now += Setbacks.LAST_NANOS;
    store.want("6", at("a"), 6);
    hands.bring("a");

    assertThat(hands.take()).containsExactly("6 has a");
    assertThat(store.stats().failures()).isEqualTo(2);
  }

  @Test
  void failureOfTheLayout_givesTheRoomBack() {
    AdapterStore<Open, String, String> store = store(1);
    store.want("1", at("a"), 1);
    hands.end("fetch a", true);
    hands.end("fill a", false);
    store.want("2", at("b"), 2);
    hands.bring("b");

    assertThat(hands.take()).containsExactly("1 bad", "2 has b");
  }

  @Test
  void rooms_allPinned_comeInOrderEvenForWhatIsThere() {
    AdapterStore<Open, String, String> store = store(1);
    store.want("1", at("a"), 1);
    hands.bring("a");
    store.want("2", at("b"), 2);
    hands.end("fetch b", true);
    store.want("3", at("a"), 3); // it is there, but 2 came first
    assertThat(hands.take()).containsExactly("1 has a");
    store.release(1);
    hands.end("recall a", true);
    hands.end("fill b", true);
    assertThat(hands.take()).containsExactly("2 has b");
    hands.end("fetch a", true); // 3 found that it had gone
    store.release(2);
    hands.end("recall b", true);
    hands.end("fill a", true);

    assertThat(hands.take()).containsExactly("3 has a");
    assertThat(store.stats().evictions()).isEqualTo(2);
  }

  @Test
  void eviction_takesTheLongestUnused() {
    AdapterStore<Open, String, String> store = store(3);
    long key = 0;
    for (String place : List.of("a", "b", "c")) {
      store.want(place, at(place), ++key);
      hands.bring(place);
    }
    store.release(2, 1, 3);
    store.want("d", at("d"), 4);
    hands.end("fetch d", true);
    assertThat(hands.jobs).extracting(Job::what).containsExactly("recall b");
  }

  @Test
  void released_beforeTheGrant_isNotAnsweredAndPinsNothing() {
    AdapterStore<Open, String, String> store = store(1);
    store.want("1", at("a"), 1, 2);
    store.want("3", at("a"), 3);
    store.release(1);
    store.release(3);
    hands.bring("a");
    assertThat(hands.take()).containsExactly("1 has a");
    store.release(2);
    store.want("4", at("b"), 4);
    hands.end("fetch b", true);
    store.release(4);
    hands.end("recall a", true);

    assertThat(hands.open).isEmpty(); // nobody wants b any more
    assertThat(hands.take()).isEmpty();
    assertThat(store.stats()).isEqualTo(new AdapterStore.Stats(1, 0, 1, 0, 0, 0));
  }

  @Test
  void source_isAskedForItsVersionAgainAfterAMinute() {
    AdapterStore<Open, String, String> store = store(2);
    hands.contents.put("a", "first");
    store.want("1", at("a"), 1);
    hands.bring("a");
    now += 60_000_000_000L;
    store.want("2", at("a"), 2);
    hands.end("fetch a", true);
    hands.contents.put("a", "second");
    store.want("3", at("a"), 3);
    now += 60_000_000_000L;
    store.want("4", at("a"), 4);
    hands.bring("a");

    assertThat(hands.take())
        .containsExactly("1 has first", "2 has first", "3 has first", "4 has second");
    assertThat(hands.asked).containsExactly("a", "a if not v-first", "a if not v-first");
  }

  @Test
  void source_thatCannotBeAsked_meansWhatItMeant() {
    AdapterStore<Open, String, String> store = store(1);
    store.want("1", at("a"), 1);
    hands.bring("a");
    for (int i = 2; i < 5; i++) {
      now += 60_000_000_000L;
      store.want("" + i, at("a"), i);
      hands.jobs.removeFirst().lose.run();
      store.want("again " + i, at("a"), 10 + i); // believed for another minute
    }
    assertThat(hands.take())
        .containsExactly(
            "1 has a",
            "2 has a",
            "again 2 has a",
            "3 has a",
            "again 3 has a",
            "4 has a",
            "again 4 has a");
    assertThat(hands.news).containsExactly(true, false, false);

    now += 60_000_000_000L;
    store.want("5", at("a"), 5);
    hands.end("fetch a", false); // it answers, and refuses
    assertThat(hands.take()).containsExactly("5 broken");
  }

  @Test
  void source_thatCannotBeAskedAndIsNotThere_fails() {
    AdapterStore<Open, String, String> store = store(1);
    store.want("1", at("a"), 1);
    hands.jobs.removeFirst().lose.run();
    AdapterSource place = new AdapterSource("/b", Namer.OPERATOR, "");
    store.want("2", place, 2);
    hands.bring("/b");
    store.want("3", place, 3); // an operator means what is there now
    hands.jobs.removeFirst().lose.run();

    assertThat(hands.take()).containsExactly("1 unreachable", "2 has /b", "3 unreachable");
    assertThat(hands.news).containsExactly(false, false);
  }

  @Test
  void operatorsPlace_isReadAnewAndItsContentIsNotAskedFor() {
    AdapterStore<Open, String, String> store = store(2);
    AdapterSource place = new AdapterSource("/a", Namer.OPERATOR, "");
    hands.contents.put("/a", "first");
    store.want("1", place, 1);
    hands.bring("/a");
    hands.contents.put("/a", "second");
    store.want("2", place, 2);
    hands.bring("/a");
    store.want("3", new AdapterSource("/a", Namer.OPERATOR, "first"), 3);

    assertThat(hands.take()).containsExactly("1 has first", "2 has second", "3 has first");
    assertThat(hands.asked).containsExactly("/a", "/a");
  }

  @Test
  void origin_thatHangs_leavesThreadsToOthers() {
    AdapterStore<Open, String, String> store = store(1);
    for (int i = 0; i < 100; i++) {
      store.want("" + i, at("gs://slow/" + i), i);
    }
    store.want("other", at("hf://org/a"), 1000);
    hands.bring("hf://org/a");

    assertThat(hands.take()).containsExactly("other has hf://org/a");
    assertThat(hands.asked).hasSize(9);
  }

  /** Random histories: everybody is answered once, rooms and files are never mixed up. */
  @Test
  void histories_endWithEverybodyAnswered() {
    Long only = Long.getLong("seed");
    for (long seed = only == null ? 1 : only; seed <= (only == null ? SEEDS : only); seed++) {
      try {
        new AdapterStoreTest().run(new Random(seed));
      } catch (RuntimeException | AssertionError e) {
        throw new AssertionError("replay with -Dseed=" + seed + ": " + e.getMessage(), e);
      }
    }
  }

  private void run(Random random) {
    AdapterStore<Open, String, String> store = store(1 + random.nextInt(4));
    int places = 1 + random.nextInt(12);
    Set<Long> live = new HashSet<>();
    Set<Long> gone = new HashSet<>();
    long wants = 0;
    for (int step = 0; step < 400; step++) {
      now += random.nextInt(50_000_000);
      int dice = random.nextInt(10);
      if (dice < 4) {
        long key = ++wants;
        live.add(key);
        store.want("" + key, at("p" + random.nextInt(places)), key);
      } else if (dice < 8 && !hands.jobs.isEmpty()) {
        Job job = hands.jobs.remove(random.nextInt(hands.jobs.size()));
        boolean fails = random.nextInt(5) == 0 && !job.what.startsWith("recall");
        (!fails ? job.succeed : random.nextBoolean() ? job.fail : job.lose).run();
      } else if (!live.isEmpty()) {
        long key = live.stream().skip(random.nextInt(live.size())).findFirst().orElseThrow();
        live.remove(key);
        gone.add(key);
        store.release(key);
      }
    }
    while (!hands.jobs.isEmpty() || store.stats().waiting() > 0) {
      while (!hands.jobs.isEmpty()) {
        hands.jobs.removeFirst().succeed.run();
      }
      assertThat(live).as("somebody must end, or nobody waits").isNotEmpty();
      for (long key : List.copyOf(live)) {
        if (hands.answers.stream().anyMatch(it -> it.startsWith(key + " "))) {
          live.remove(key);
          gone.add(key);
          store.release(key);
        }
      }
    }
    List<String> whos = hands.answers.stream().map(it -> it.split(" ", 2)[0]).toList();
    assertThat(whos).doesNotHaveDuplicates();
    assertThat(hands.open).isEmpty();
    for (long key = 1; key <= wants; key++) {
      assertThat(whos.contains("" + key) || gone.contains(key)).as("key " + key).isTrue();
    }
  }
}
