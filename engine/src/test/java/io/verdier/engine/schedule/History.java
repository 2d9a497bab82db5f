package io.verdier.engine.schedule;

import io.verdier.conf.ServerConfig.Policy;
import io.verdier.engine.sample.Pooling;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.text.TextParams;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * All that is random about one run, drawn from one seed. Immutable.
 *
 * @param arrivals ordered by time
 * @param cancelPercent chance, each call, that some live sequence is cancelled
 * @param movePercent chance, each call, that some live sequence starts again elsewhere with what it
 *     has generated
 * @param failPercent chance, each step, that something in it fails
 * @param latePercent chance, each call, that it comes while the plan is still under way
 * @param runMax most tokens that the runner tells at once
 * @param tiers behind the device
 */
record History(
    long seed,
    SchedulerSettings settings,
    int blockCount,
    int blockTokens,
    PureModel model,
    List<Arrival> arrivals,
    int cancelPercent,
    int movePercent,
    int failPercent,
    int latePercent,
    int runMax,
    Tiers tiers) {

  private static final TextParams TEXT = new TextParams(List.of(), false, true, true);
  private static final String[] SALTS = {"", "", "", "a", "b"};
  private static final String[] ADAPTERS = {"", "", "", "x"};

  record Arrival(int time, EngineRequest request) {}

  /**
   * What lies behind the device.
   *
   * @param hostSlots 0: nothing
   * @param diskSlots 0: no disk
   * @param failPercent chance that copies of a plan, or one thing behind the host, fail
   * @param remote whether there is a cache node, now and then
   */
  record Tiers(
      int hostSlots,
      int diskSlots,
      int writesMax,
      int minTokens,
      int copiesMax,
      int failPercent,
      boolean remote) {
    static final Tiers NONE = new Tiers(0, 0, 0, 0, 1, 0, false);

    static Tiers of(long seed) {
      SplittableRandom random = new SplittableRandom(seed ^ 0x7161);
      return new Tiers(
          random.nextInt(1, random.nextInt(3) > 0 ? 8 : 80),
          random.nextInt(3) == 0 ? 0 : random.nextInt(1, random.nextInt(3) == 0 ? 6 : 200),
          random.nextInt(1, 8),
          random.nextInt(3) == 0 ? random.nextInt(30) : 0,
          random.nextInt(1, random.nextBoolean() ? 4 : 40),
          random.nextInt(3) == 0 ? random.nextInt(20) : 0,
          random.nextBoolean());
    }
  }

  static History of(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int blockTokens = new int[] {1, 2, 3, 4, 8, 16}[random.nextInt(6)];
    int blockCount = random.nextInt(2, random.nextBoolean() ? 12 : 48);
    int vocabulary = random.nextInt(2, 80);
    SchedulerSettings settings =
        new SchedulerSettings(
            random.nextInt(1, random.nextBoolean() ? 9 : 80),
            random.nextInt(1, 9),
            random.nextInt(3) == 0 ? random.nextInt(1, 12) : 0,
            random.nextBoolean() ? Policy.FCFS : Policy.PRIORITY,
            random.nextInt(12, 120),
            random.nextBoolean() ? new int[] {0} : new int[] {},
            random.nextInt(5) > 0,
            1);
    int longest = Math.min(settings.modelTokensMax(), blockCount * blockTokens);
    int[][] bases = new int[2][longest];
    for (int[] base : bases) {
      Arrays.setAll(base, i -> random.nextInt(vocabulary));
    }
    List<Arrival> arrivals = new ArrayList<>();
    int count = random.nextInt(1, 16);
    int time = 0;
    for (int key = 1; key <= count; key++) {
      time += random.nextInt(3) == 0 ? random.nextInt(12) : 0;
      arrivals.add(new Arrival(time, request(random, key, bases[random.nextInt(2)], vocabulary)));
    }
    boolean calm = random.nextInt(3) == 0;
    return new History(
        seed,
        settings,
        blockCount,
        blockTokens,
        new PureModel(vocabulary),
        arrivals,
        calm ? 0 : random.nextInt(12),
        calm ? 0 : random.nextInt(8),
        calm ? 0 : random.nextInt(4),
        random.nextInt(3) == 0 ? random.nextInt(60) : 0,
        random.nextBoolean() ? random.nextInt(2, 12) : 1,
        Tiers.NONE);
  }

  /** Tiers behind the device, and requests so far apart that some find blocks only there. */
  History withTiers() {
    int apart = new SplittableRandom(seed).nextInt(1, 30);
    return new History(
        seed,
        settings,
        blockCount,
        blockTokens,
        model,
        arrivals.stream().map(it -> new Arrival(it.time() * apart, it.request())).toList(),
        cancelPercent,
        movePercent,
        failPercent,
        latePercent,
        runMax,
        Tiers.of(seed));
  }

  /** The same run with prefix caching as said. */
  History withPrefixCaching(boolean prefixCaching) {
    return with(prefixCaching, settings.plansMax());
  }

  /** The same run with so many plans under way. */
  History withPlans(int plansMax) {
    return with(settings.prefixCaching(), plansMax);
  }

  private History with(boolean prefixCaching, int plansMax) {
    SchedulerSettings s = settings;
    return new History(
        seed,
        new SchedulerSettings(
            s.batchedTokensMax(),
            s.sequencesMax(),
            s.longPrefillTokens(),
            s.policy(),
            s.modelTokensMax(),
            s.endTokens(),
            prefixCaching,
            plansMax),
        blockCount,
        blockTokens,
        model,
        arrivals,
        cancelPercent,
        movePercent,
        failPercent,
        latePercent,
        runMax,
        tiers);
  }

  /** Only one of the requests, undisturbed. */
  History alone(Arrival arrival) {
    return new History(
        seed, settings, blockCount, blockTokens, model, List.of(arrival), 0, 0, 0, 0, 1, tiers);
  }

  private static EngineRequest request(
      SplittableRandom random, long key, int[] base, int vocabulary) {
    int longest = base.length;
    int length = random.nextInt(longest) + (random.nextInt(20) == 0 ? longest : 1);
    length = random.nextBoolean() ? length : Math.ceilDiv(length, 4);
    int shared = Math.min(random.nextInt(longest), length);
    int[] tokens = Arrays.copyOf(base, length);
    for (int i = shared; i < tokens.length; i++) {
      tokens[i] = random.nextInt(vocabulary);
    }
    boolean scored = random.nextInt(6) == 0;
    int[] stops = random.nextInt(4) == 0 ? new int[] {random.nextInt(vocabulary)} : new int[] {};
    SamplingParams sampling =
        sampling(
            random.nextLong(),
            scored && random.nextBoolean() ? 0 : random.nextInt(1, 40),
            random.nextInt(4) == 0,
            stops,
            scored ? 0 : -1);
    Pooling[] poolings = Pooling.values();
    Pooling pooling = poolings[Math.max(0, random.nextInt(-4 * poolings.length, poolings.length))];
    return new EngineRequest(
        key,
        tokens,
        tokens.length,
        pooling == Pooling.NONE ? sampling : SamplingParams.pooled(pooling),
        TEXT,
        random.nextInt(-1, 3),
        SALTS[random.nextInt(SALTS.length)],
        ADAPTERS[random.nextInt(ADAPTERS.length)]);
  }

  static SamplingParams sampling(
      long seed, int maxTokens, boolean ignoreEos, int[] stops, int promptLogprobs) {
    int[] none = {};
    return new SamplingParams(
        1,
        1,
        0,
        0,
        0,
        0,
        1,
        seed,
        maxTokens,
        0,
        ignoreEos,
        stops,
        none,
        new float[0],
        none,
        new int[0][],
        -1,
        promptLogprobs);
  }

  /** A request with this key that begins where {@code request} and these tokens end. */
  static EngineRequest moved(EngineRequest request, long key, List<Integer> generated) {
    int[] tokens = Arrays.copyOf(request.tokens(), request.tokens().length + generated.size());
    for (int i = 0; i < generated.size(); i++) {
      tokens[request.tokens().length + i] = generated.get(i);
    }
    return new EngineRequest(
        key,
        tokens,
        request.promptTokens(),
        request.sampling(),
        request.text(),
        request.priority(),
        request.cacheSalt(),
        request.adapter());
  }
}
