package io.verdier.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.DeviceException;
import io.verdier.engine.backend.HostBlocks;
import io.verdier.engine.backend.HostBlocks.Pair;
import io.verdier.engine.backend.HostCopy;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.RankFailure;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** A block of three ranks is there when all of its parts are, and each part moves on its thread. */
class RankKvStorageTest {
  private static final int RANKS = 3;
  private static final int BLOCKS = 4;
  private static final int SLOTS = 2;
  private static final List<Pair> PAIRS = List.of(new Pair(3, 0), new Pair(1, 1));

  private final RankThreads threads = new RankThreads(RANKS);
  private final List<Part> parts = IntStream.range(0, RANKS).mapToObj(Part::new).toList();
  private final RankKvStorage whole = new RankKvStorage(List.copyOf(parts), threads);

  @AfterEach
  void end() {
    threads.end(rank -> {});
  }

  private static final class Refusal extends DeviceException {
    private static final long serialVersionUID = 1;

    Refusal() {
      super("no more memory can be locked", Aftermath.USABLE);
    }
  }

  /** Memory that knows whose it is. Owned by the test. */
  private record Memory(int rank, int slots, List<String> calls, MemorySegment bytes)
      implements HostBlocks {
    @Override
    public List<MemorySegment> pieces(int slot) {
      long size = 10L + rank;
      return List.of(bytes.asSlice(slot * size, size));
    }

    @Override
    public void close() {
      calls.add("free on " + thread());
    }
  }

  private static String thread() {
    String name = Thread.currentThread().getName();
    return name.startsWith("verdier-rank-") ? name.substring("verdier-rank-".length()) : "0";
  }

  /** One rank's cache: notes what it is asked for, and on whose thread. */
  private static final class Part implements KvStorage {
    private final int rank;
    private final List<String> calls = new CopyOnWriteArrayList<>();
    private volatile boolean refuses;
    private volatile boolean fails;
    private volatile boolean isDone = true;

    Part(int rank) {
      this.rank = rank;
    }

    @Override
    public KvShape shape() {
      return new KvShape(2, 1, 1, 32, 16, BLOCKS);
    }

    @Override
    public long blockBytes() {
      return 10L + rank;
    }

    @Override
    public HostBlocks hostBlocks(int slots) {
      if (refuses) {
        throw new Refusal();
      }
      calls.add("reserve on " + thread());
      long size = slots * blockBytes();
      return new Memory(rank, slots, calls, MemorySegment.ofArray(new byte[(int) size]));
    }

    @Override
    public HostCopy copyOut(HostBlocks to, List<Pair> pairs) {
      return copy("out", to, pairs);
    }

    @Override
    public HostCopy copyIn(HostBlocks from, List<Pair> pairs) {
      return copy("in", from, pairs);
    }

    private HostCopy copy(String direction, HostBlocks host, List<Pair> pairs) {
      if (fails) {
        throw new IllegalStateException("this rank has failed");
      }
      int owner = ((Memory) host).rank;
      calls.add("%s with %d's on %s: %s".formatted(direction, owner, thread(), pairs.size()));
      return new HostCopy() {
        @Override
        public boolean isDone() {
          calls.add("asked on " + thread());
          return isDone;
        }

        @Override
        public void await() {
          calls.add("awaited on " + thread());
        }

        @Override
        public void holdSteps() {
          calls.add("held on " + thread());
        }
      };
    }

    @Override
    public void vacate() {
      calls.add("vacated on " + thread());
    }

    @Override
    public void close() {
      calls.add("closed on " + thread());
      if (refuses) {
        throw new Refusal();
      }
    }
  }

  private void requireCalls(String form) {
    for (Part part : parts) {
      assertThat(part.calls).containsExactly(form.formatted(part.rank, part.rank));
      part.calls.clear();
    }
  }

  private HostBlocks host() {
    HostBlocks host = whole.hostBlocks(SLOTS);
    requireCalls("reserve on %d");
    return host;
  }

  @Test
  void hostBlocks_ofAllRanks_haveAPieceOfEachInOrder() {
    HostBlocks host = host();
    assertThat(whole.blockBytes()).isEqualTo(10 + 11 + 12);
    assertThat(whole.shape()).isEqualTo(parts.getFirst().shape());
    assertThat(host.slots()).isEqualTo(SLOTS);
    for (int slot = 0; slot < SLOTS; slot++) {
      assertThat(host.pieces(slot))
          .extracting(MemorySegment::byteSize)
          .containsExactly(10L, 11L, 12L);
    }
    host.pieces(1).get(2).fill((byte) 1);
    assertThat(host.pieces(0))
        .allMatch(it -> it.get(java.lang.foreign.ValueLayout.JAVA_BYTE, 0) == 0);
    host.close();
    requireCalls("free on %d");
  }

  /** The driver says no to one of them: that is an answer, and the ranks go on. */
  @Test
  void hostBlocks_oneRankRefused_freesTheOthersAndSaysWhy() {
    parts.get(1).refuses = true;
    assertThatThrownBy(() -> whole.hostBlocks(SLOTS)).isInstanceOf(Refusal.class);
    assertThat(parts.get(0).calls).containsExactly("reserve on 0", "free on 0");
    assertThat(parts.get(1).calls).isEmpty();
    assertThat(parts.get(2).calls).containsExactly("reserve on 2", "free on 2");
    parts.get(1).refuses = false;
    parts.forEach(part -> part.calls.clear());
    host().close();
  }

  @Test
  void copies_eitherWay_moveOnEachRankWithItsOwnMemory() {
    HostBlocks host = host();
    whole.copyOut(host, PAIRS);
    requireCalls("out with %d's on %d: 2");
    whole.copyIn(host, PAIRS);
    requireCalls("in with %d's on %d: 2");
  }

  @Test
  void copy_oneRankLater_isNotDoneBefore() {
    HostCopy copy = whole.copyOut(host(), PAIRS);
    requireCalls("out with %d's on %d: 2");
    for (Part late : parts) {
      late.isDone = false;
      assertThat(copy.isDone()).as("rank %d is late", late.rank).isFalse();
      late.isDone = true;
      parts.forEach(part -> part.calls.clear());
    }
    assertThat(copy.isDone()).isTrue();
    requireCalls("asked on %d");
    copy.await();
    requireCalls("awaited on %d");
    copy.holdSteps();
    requireCalls("held on %d");
  }

  @Test
  void copies_ofWhatIsNotThere_throwBeforeAnyRankCopies() {
    HostBlocks host = host();
    for (Pair wrong : List.of(new Pair(BLOCKS, 0), new Pair(-1, 0), new Pair(0, SLOTS))) {
      List<Pair> pairs = List.of(new Pair(0, 0), wrong);
      assertThatThrownBy(() -> whole.copyOut(host, pairs))
          .isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> whole.copyIn(host, pairs))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
    assertThat(parts).allMatch(part -> part.calls.isEmpty());
    whole.copyOut(host, PAIRS); // the ranks have not fallen out
  }

  @Test
  void copy_oneRankFails_endsTheirCommonWork() {
    HostBlocks host = host();
    parts.get(2).fails = true;
    assertThatThrownBy(() -> whole.copyIn(host, PAIRS)).isInstanceOf(RankFailure.class);
    assertThatThrownBy(() -> whole.copyOut(host, PAIRS)).isInstanceOf(RankFailure.class);
  }

  /** Nobody can step any more, but what the ranks hold is theirs to give back. */
  @Test
  void close_afterARankFailed_closesEveryPart() {
    HostBlocks host = host();
    parts.get(2).fails = true;
    assertThatThrownBy(() -> whole.copyIn(host, PAIRS)).isInstanceOf(RankFailure.class);
    parts.forEach(part -> part.calls.clear());
    host.close();
    requireCalls("free on %d");
    whole.close();
    requireCalls("closed on %d");
  }

  /** The first rank's and another's: the third one is closed all the same. */
  @Test
  void close_partsThatRefuse_doNotKeepOthersOpen() {
    parts.get(0).refuses = true;
    parts.get(1).refuses = true;
    whole.close();
    requireCalls("closed on %d");
  }

  @Test
  void vacateAndClose_areDoneByEachRank() {
    whole.vacate();
    requireCalls("vacated on %d");
    whole.close();
    requireCalls("closed on %d");
  }
}
