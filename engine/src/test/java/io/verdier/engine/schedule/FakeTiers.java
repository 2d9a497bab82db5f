package io.verdier.engine.schedule;

import io.verdier.cache.host.BlockCopy;
import io.verdier.cache.host.DiskDone;
import io.verdier.cache.host.DiskWork;
import io.verdier.cache.host.RemoteDone;
import io.verdier.cache.host.RemoteDone.Outcome;
import io.verdier.cache.host.RemoteDone.Settled;
import io.verdier.cache.host.RemoteWork;
import io.verdier.cache.kv.BlockHash;
import io.verdier.engine.schedule.StepPlan.Copies;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * Host memory, a disk and a cache node behind the blocks of a {@link FakeRunner}. Owned by the test
 * thread.
 *
 * <p>Every copy is made as late as its plan's contract lets it be, so that a slot or a block that
 * is given to others too early shows as foreign contents. What fails leaves rubbish behind.
 */
final class FakeTiers {
  private final int blockTokens;
  private final long[] states; // of the device, [blocks × blockTokens]
  private final String[] salts;
  private final long[] hostStates; // [slots × blockTokens]
  private final String[] hostSalts;
  private final Map<Integer, Stored> disk = new HashMap<>();
  private final List<DiskWork> work = new ArrayList<>(); // to be done
  private final Map<BlockHash, Stored> far = new HashMap<>(); // at the cache node
  private final List<RemoteWork> remoteWork = new ArrayList<>(); // to be done
  private final List<RemoteDone> remoteDone = new ArrayList<>(); // to be told
  private boolean inSight;
  private final Deque<Late> late = new ArrayDeque<>(); // plans whose copies are not all made

  private record Stored(BlockHash name, long[] states, String[] salts) {}

  /** Copies that are still to be made. */
  private record Late(long step, List<BlockCopy> out, List<BlockCopy> in, boolean fails) {}

  FakeTiers(int blockTokens, long[] states, String[] salts, int hostSlots) {
    this.blockTokens = blockTokens;
    this.states = states;
    this.salts = salts;
    hostStates = new long[hostSlots * blockTokens];
    hostSalts = new String[hostSlots * blockTokens];
  }

  /** A plan begins: what it writes must have been copied before. */
  void begin(StepPlan plan, boolean fails) {
    for (Late before : late) {
      before.out.forEach(copy -> out(copy, before.fails));
      before.out.clear();
    }
    Copies copies = plan.copies();
    copies.urgent().forEach(copy -> out(copy, fails));
    late.add(
        new Late(plan.step(), new ArrayList<>(copies.out()), new ArrayList<>(copies.in()), fails));
  }

  /** The scheduler hears of a plan's outcome: all of its copies are made by now. */
  void told(long step) {
    while (!late.isEmpty() && late.getFirst().step <= step) {
      Late done = late.removeFirst();
      done.out.forEach(copy -> out(copy, done.fails));
      done.in.forEach(copy -> in(copy, done.fails));
    }
  }

  private void out(BlockCopy copy, boolean fails) {
    for (int i = 0; i < blockTokens; i++) {
      int to = copy.slot() * blockTokens + i;
      int from = copy.block() * blockTokens + i;
      hostStates[to] = fails ? -1 : states[from];
      hostSalts[to] = salts[from];
    }
  }

  private void in(BlockCopy copy, boolean fails) {
    for (int i = 0; i < blockTokens; i++) {
      int from = copy.slot() * blockTokens + i;
      int to = copy.block() * blockTokens + i;
      states[to] = fails ? -1 : hostStates[from];
      salts[to] = hostSalts[from];
    }
  }

  void add(List<DiskWork> more) {
    work.addAll(more);
  }

  boolean isReading() {
    return work.stream().anyMatch(it -> it.kind() == DiskWork.Kind.READ)
        || remoteWork.stream().anyMatch(it -> !(it instanceof RemoteWork.Write));
  }

  boolean isIdle() {
    return work.isEmpty() && remoteWork.isEmpty();
  }

  /** What is not answered is done at once; whatever is not yet written of it never is. */
  void addRemote(List<RemoteWork> more) {
    for (RemoteWork next : more) {
      switch (next) {
        case RemoteWork.Erase erase -> {
          far.remove(erase.name());
          remoteWork.removeIf(
              it ->
                  it instanceof RemoteWork.Write write
                      && write.name().equals(erase.name())
                      && remoteDone.add(new Settled(write.id(), Outcome.FAILED)));
        }
        case RemoteWork.Forget _ -> far.clear();
        default -> remoteWork.add(next);
      }
    }
  }

  /** Does some of the work in any order. Now and then the cache node is gone, and comes back. */
  List<RemoteDone> workRemotely(SplittableRandom random, History.Tiers tiers) {
    if (tiers.remote() && random.nextInt(inSight ? 40 : 4) == 0) {
      inSight = !inSight;
      remoteWork.forEach(it -> remoteDone.add(runRemotely(it, true)));
      remoteWork.clear();
      remoteDone.add(new RemoteDone.Sight(inSight));
    }
    while (!remoteWork.isEmpty() && random.nextInt(4) > 0) {
      RemoteWork next = remoteWork.remove(random.nextInt(remoteWork.size()));
      remoteDone.add(runRemotely(next, random.nextInt(100) < tiers.failPercent()));
    }
    List<RemoteDone> told = List.copyOf(remoteDone);
    remoteDone.clear();
    return told;
  }

  private RemoteDone runRemotely(RemoteWork next, boolean fails) {
    return switch (next) {
      case RemoteWork.Ask ask -> {
        int there = 0;
        while (!fails && there < ask.names().size() && far.containsKey(ask.names().get(there))) {
          there++;
        }
        yield new RemoteDone.Answer(ask.id(), there);
      }
      case RemoteWork.Write write -> {
        int from = write.hostSlot() * blockTokens;
        Stored stored =
            new Stored(
                write.name(),
                Arrays.copyOfRange(hostStates, from, from + blockTokens),
                Arrays.copyOfRange(hostSalts, from, from + blockTokens));
        Stored before = fails ? null : far.putIfAbsent(write.name(), stored);
        Outcome kept = before == null ? Outcome.DONE : Outcome.WAS_THERE;
        yield new Settled(write.id(), fails ? Outcome.FAILED : kept);
      }
      case RemoteWork.Read read -> {
        int to = read.hostSlot() * blockTokens;
        Stored stored = far.get(read.name());
        if (fails || stored == null) { // what was read and is wrong is not put anywhere
          yield new Settled(read.id(), Outcome.FAILED);
        }
        System.arraycopy(stored.states, 0, hostStates, to, blockTokens);
        System.arraycopy(stored.salts, 0, hostSalts, to, blockTokens);
        yield new Settled(read.id(), Outcome.DONE);
      }
      case RemoteWork.Erase _, RemoteWork.Forget _ -> throw new IllegalStateException("" + next);
    };
  }

  /** Does some of the work, reads and writes each in order. */
  List<DiskDone> work(SplittableRandom random, int failPercent) {
    List<DiskDone> done = new ArrayList<>();
    for (boolean reads : new boolean[] {true, false}) {
      while (random.nextInt(3) > 0) {
        DiskWork next =
            work.stream()
                .filter(it -> (it.kind() == DiskWork.Kind.READ) == reads)
                .findFirst()
                .orElse(null);
        if (next == null) {
          break;
        }
        work.remove(next);
        boolean fails = random.nextInt(100) < failPercent;
        done.add(new DiskDone(next.id(), run(next, fails)));
      }
    }
    return done;
  }

  private boolean run(DiskWork next, boolean fails) {
    int from = next.hostSlot() * blockTokens;
    int to = from + blockTokens;
    return switch (next.kind()) {
      case WRITE -> {
        disk.remove(next.diskSlot());
        if (!fails) {
          disk.put(
              next.diskSlot(),
              new Stored(
                  next.name(),
                  Arrays.copyOfRange(hostStates, from, to),
                  Arrays.copyOfRange(hostSalts, from, to)));
        }
        yield !fails;
      }
      case READ -> {
        Stored stored = disk.get(next.diskSlot());
        if (fails || stored == null || !stored.name.equals(next.name())) {
          Arrays.fill(hostStates, from, to, -1);
          yield false;
        }
        System.arraycopy(stored.states, 0, hostStates, from, blockTokens);
        System.arraycopy(stored.salts, 0, hostSalts, from, blockTokens);
        yield true;
      }
      case ERASE -> {
        disk.remove(next.diskSlot());
        yield true;
      }
    };
  }
}
