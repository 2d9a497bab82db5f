package io.verdier.engine.model;

import static io.verdier.engine.model.MemoryPlan.gib;
import static io.verdier.engine.model.MemoryPlan.share;

import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.Quantization;
import io.verdier.engine.backend.DeviceMemory;
import io.verdier.engine.model.ModelNeeds.Sizes;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Shares a device's memory out, or says which flag has to change, and to what. Stateless; used once
 * by the loading thread.
 *
 * <p>What the operator names for the cache ({@code --num-gpu-blocks-override}, else {@code
 * --kv-cache-memory-bytes}) is taken as it is, out of all that is free; else the cache gets what
 * the rest leaves of {@code --gpu-memory-utilization}.
 */
final class MemoryPlanner {
  /** A little of every device is needed by others: no more is ever advised. */
  private static final double SHARE_MAX = 0.95;

  private static final int TOKENS_MIN = 256;
  private static final int TOKENS_USUAL = 2048;
  private static final int SEQUENCES_USUAL = 256;
  private static final int GPUS_MAX = 8;

  private final ServerConfig config;
  private final DeviceMemory device;
  private final ModelLoader.Description model;
  private final KvPlan.Demand demand;
  private final BiFunction<Sizes, KvPlan, ModelNeeds> rehearsal;

  /**
   * @param tokenBytes that a token takes in the cache of this device, over all layers
   * @param rehearsal says what steps of a size, on a cache of at most a size, take
   */
  MemoryPlanner(
      ServerConfig config,
      DeviceMemory device,
      ModelLoader.Description model,
      long tokenBytes,
      BiFunction<Sizes, KvPlan, ModelNeeds> rehearsal) {
    this.config = config;
    this.device = device;
    this.model = model;
    this.rehearsal = rehearsal;
    demand = KvPlan.Demand.of(config, model.lengthMax(), tokenBytes);
  }

  /**
   * @throws ModelException if the model does not fit, with what to change
   */
  MemoryPlan plan() {
    Sizes sizes = MemoryPlan.sizes(config);
    ModelNeeds needs = needs(sizes);
    if (needs.weights() >= budget()) {
      throw weightsTooLarge(needs);
    }
    KvPlan cache = cache(needs);
    if (cache.blocks() < demand.perSequence()) {
      throw cacheTooSmall(needs, cache);
    }
    if (needs.all() + cache.bytes() > device.freeBytes()) {
      throw cacheTooLarge(needs, cache);
    }
    return new MemoryPlan(device, needs, cache, model.lengthMax(), sizes);
  }

  private ModelNeeds needs(Sizes sizes) {
    OptionalInt asked = config.cache().blocksOverride();
    long wanted = asked.isPresent() ? asked.getAsInt() : demand.useful();
    long possible = device.freeBytes() / demand.blockBytes();
    return rehearsal.apply(sizes, demand.plan(Math.max(1, Math.min(wanted, possible))));
  }

  private boolean isNamed() {
    return config.cache().blocksOverride().isPresent() || config.cache().kvBytes().isPresent();
  }

  /** Bytes that this server may take. */
  private long budget() {
    return isNamed() ? device.freeBytes() : device.budget();
  }

  private KvPlan cache(ModelNeeds needs) {
    ServerConfig.Cache asked = config.cache();
    if (asked.blocksOverride().isPresent()) {
      return demand.plan(asked.blocksOverride().getAsInt());
    }
    long room = asked.kvBytes().orElse(budget() - needs.all());
    return demand.plan(Math.min(demand.useful(), room / demand.blockBytes()));
  }

  private ModelException weightsTooLarge(ModelNeeds needs) {
    List<String> remedies = new ArrayList<>();
    raisedShare(needs.all() + sequenceBytes()).ifPresent(remedies::add);
    if (config.backend().quantization() == Quantization.NONE) {
      long others = needs.all() - needs.weights() + sequenceBytes();
      if (others + needs.weights() / 2 <= budget()) {
        remedies.add("halve them with --quantization fp8");
      } else if (others + needs.weights() * 9 / 32 <= budget()) { // some 4.5 bits of 16
        remedies.add("quarter them with --quantization int4");
      }
    }
    moreGpus(needs)
        .ifPresent(gpus -> remedies.add("share them out with --tensor-parallel-size " + gpus));
    remedies.add("take a larger GPU");
    return new ModelException(
        "CUDA out of memory: the model's weights take "
            + gib(needs.weights()).strip()
            + " ("
            + device.weights()
            + "), and this server may take "
            + gib(budget()).strip()
            + " of "
            + device.device()
            + ", which has "
            + gib(device.bytes()).strip()
            + ", "
            + gib(device.takenBytes()).strip()
            + " of them taken before, at --gpu-memory-utilization "
            + share(device.share())
            + sentence(remedies));
  }

  /** The least number of GPUs, above the one asked for, on which a rank's part would fit. */
  private OptionalInt moreGpus(ModelNeeds needs) {
    int ranks = config.backend().ranks();
    return IntStream.iterate(2, parts -> ranks * parts <= GPUS_MAX, parts -> 2 * parts)
        .filter(parts -> Shard.fits(model.spec(), ranks * parts) && fits(needs, parts))
        .map(parts -> ranks * parts)
        .findFirst();
  }

  /**
   * Whether a share of what a rank has of weights and cache fits; activations are hardly fewer on
   * several GPUs.
   */
  private boolean fits(ModelNeeds needs, int parts) {
    long rest = needs.activations() + needs.graphs();
    return (needs.weights() + sequenceBytes()) / parts + rest <= budget();
  }

  private long sequenceBytes() {
    return demand.perSequence() * demand.blockBytes();
  }

  /** A share that has room for so many bytes, if there is one. */
  private Optional<String> raisedShare(long bytes) {
    double needed = Math.ceil(100.0 * bytes / device.bytes()) / 100;
    boolean helps = !isNamed() && needed <= SHARE_MAX && bytes <= device.freeBytes();
    return helps
        ? Optional.of(
            "raise --gpu-memory-utilization to at least %s (now %s)"
                .formatted(share(needed), share(device.share())))
        : Optional.empty();
  }

  private ModelException cacheTooSmall(ModelNeeds needs, KvPlan cache) {
    List<String> remedies = new ArrayList<>();
    if (isNamed()) {
      remedies.add(KvPlan.remedy(config.cache(), demand));
    } else {
      raisedShare(needs.all() + sequenceBytes()).ifPresent(remedies::add);
      remedies.addAll(smallerSteps());
    }
    if (cache.blocks() > 0) {
      if (remedies.isEmpty()) {
        remedies.add("take a larger GPU");
      }
      return cache.tooSmall(model.lengthMax(), String.join(", or ", remedies));
    }
    if (remedies.isEmpty()) {
      remedies.add(usualSteps().orElse("take a larger GPU"));
    }
    Sizes sizes = MemoryPlan.sizes(config);
    return new ModelException(
        "CUDA out of memory: of the "
            + gib(budget()).strip()
            + " of "
            + device.device()
            + " that this server may take, weights need "
            + gib(needs.weights()).strip()
            + " and steps of --max-num-batched-tokens "
            + sizes.tokensMax()
            + " and --max-num-seqs "
            + sizes.sequencesMax()
            + " need "
            + gib(needs.activations() + needs.graphs()).strip()
            + ", which leaves nothing to the KV cache"
            + sentence(remedies));
  }

  /** Smaller steps after which a sequence fits, if there are any. */
  private List<String> smallerSteps() {
    Sizes now = MemoryPlan.sizes(config);
    List<String> found = new ArrayList<>();
    largest(now.tokensMax(), TOKENS_MIN, value -> new Sizes(value, now.sequencesMax()))
        .ifPresent(value -> found.add("lower --max-num-batched-tokens to " + value));
    largest(now.sequencesMax(), 1, value -> new Sizes(now.tokensMax(), value))
        .ifPresent(value -> found.add("lower --max-num-seqs to " + value));
    if (found.isEmpty() && now.tokensMax() > TOKENS_MIN) {
      largest(now.sequencesMax(), 1, value -> new Sizes(TOKENS_MIN, value))
          .ifPresent(
              value ->
                  found.add(
                      "lower --max-num-seqs to %d and --max-num-batched-tokens to %d"
                          .formatted(value, TOKENS_MIN)));
    }
    return found;
  }

  /** Where no single flag is enough: steps of the usual size, and the length that they leave. */
  private Optional<String> usualSteps() {
    Sizes now = MemoryPlan.sizes(config);
    Sizes usual =
        new Sizes(
            Math.min(now.tokensMax(), TOKENS_USUAL), Math.min(now.sequencesMax(), SEQUENCES_USUAL));
    KvPlan left = cache(needs(usual));
    return left.blocks() == 0
        ? Optional.empty()
        : Optional.of(
            "lower --max-num-batched-tokens to %d, --max-num-seqs to %d and --max-model-len to %d"
                .formatted(usual.tokensMax(), usual.sequencesMax(), left.tokens()));
  }

  /** The largest power of two below a value that leaves room for a sequence. */
  private Optional<Integer> largest(int below, int least, Function<Integer, Sizes> sizes) {
    for (int value = Integer.highestOneBit(Math.max(1, below - 1)); value >= least; value /= 2) {
      if (needs(sizes.apply(value)).all() + sequenceBytes() <= budget()) {
        return Optional.of(value);
      }
    }
    return Optional.empty();
  }

  private ModelException cacheTooLarge(ModelNeeds needs, KvPlan cache) {
    long room = Math.max(0, device.freeBytes() - needs.all());
    long blocks = room / demand.blockBytes();
    String remedy =
        config.cache().blocksOverride().isPresent()
            ? "lower --num-gpu-blocks-override to " + blocks
            : "lower --kv-cache-memory-bytes to " + blocks * demand.blockBytes();
    return new ModelException(
        "CUDA out of memory: a KV cache of "
            + gib(cache.bytes()).strip()
            + " was asked for, and weights and activations leave "
            + gib(room).strip()
            + " of "
            + device.device()
            + sentence(List.of(remedy)));
  }

  /** Ends a sentence, and says what to do in another. */
  private static String sentence(List<String> remedies) {
    String text = String.join(", or ", remedies);
    return ". " + Character.toUpperCase(text.charAt(0)) + text.substring(1) + ".";
  }
}
