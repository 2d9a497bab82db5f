package io.verdier.engine.run;

import io.verdier.engine.model.ModelSpec;
import io.verdier.engine.schedule.StepPlan;
import java.util.Arrays;

/**
 * Estimates what the steps of an engine compute and move, for each of its devices, from the model's
 * shape and the plans alone: {@code --enable-mfu-metrics}. Owned by the scheduler thread; its sums
 * may be read by any. Nothing is allocated.
 *
 * <p>Counted are the matrices (a multiplication and an addition for each weight and token), the
 * attention (of a token with every position that it sees) and the output matrix, for the tokens
 * that are sampled from. Read are, once a step, the weights, once a slice the keys and values that
 * it sees, and for each token what goes into each product; written is what comes out of them, and
 * new keys and values. Norms, rotations, adapters and sampling are too little to count.
 *
 * <p>vLLM counts alike, but of a prompt a whole square of attention where this counts what a causal
 * mask leaves: a prompt of one slice has half of it here.
 */
public final class WorkMeter {
  private final ModelSpec spec;
  private final Device device;
  private final int heads; // of a device
  private final int kvHeads;
  private final int intermediate;
  private final double layers; // of a device; the mean where stages differ
  private final double layerWeights; // of one layer
  private final double outputWeights;
  private final int[] windows; // those that the model has, each once
  private final int[] windowLayers; // how many layers have it

  private volatile double operations;
  private volatile double readBytes;
  private volatile double writtenBytes;

  /**
   * What a device has of the model, and in which types.
   *
   * @param ranks that share every layer
   * @param stages that share the layers
   * @param weightBytes of a weight; half a byte where there are two in one
   * @param activationBytes of an activation
   * @param kvTokenBytes keys and values of one token, of the device's layers and heads
   */
  public record Device(
      int ranks, int stages, double weightBytes, int activationBytes, double kvTokenBytes) {}

  public WorkMeter(ModelSpec spec, Device device) {
    this.spec = spec;
    this.device = device;
    heads = Math.max(1, spec.heads() / device.ranks());
    kvHeads = Math.max(1, spec.kvHeads() / device.ranks());
    intermediate = spec.intermediate() / device.ranks();
    layers = (double) spec.layers() / device.stages();
    double attention = (2.0 * heads + 2.0 * kvHeads) * spec.headDim() * spec.hidden();
    layerWeights = attention + 3.0 * spec.hidden() * intermediate;
    windows = Arrays.stream(spec.windows()).distinct().toArray();
    windowLayers =
        Arrays.stream(windows)
            .map(window -> (int) Arrays.stream(spec.windows()).filter(it -> it == window).count())
            .toArray();
    outputWeights = (double) spec.hidden() * spec.vocabSize() / device.ranks();
  }

  /** Floating-point operations so far. */
  public double operations() {
    return operations;
  }

  public double readBytes() {
    return readBytes;
  }

  public double writtenBytes() {
    return writtenBytes;
  }

  /** Adds the work of a step. */
  @SuppressWarnings("NonAtomicVolatileUpdate") // one thread writes them
  public void add(StepPlan plan) {
    if (plan.slices().isEmpty()) {
      return;
    }
    double tokens = 0;
    double rows = 0;
    double pairs = 0; // of a token and a position that it sees, in all layers
    double seen = 0; // positions that slices see, in all layers
    for (int i = 0; i < plan.slices().size(); i++) {
      StepPlan.Slice slice = plan.slices().get(i);
      tokens += slice.count();
      rows += slice.samples() ? 1 : 0;
      for (int kind = 0; kind < windows.length; kind++) {
        pairs += windowLayers[kind] * pairs(slice.computed(), slice.count(), windows[kind]);
        seen += windowLayers[kind] * positions(slice.computed(), slice.count(), windows[kind]);
      }
    }
    double width = (double) heads * spec.headDim();
    operations +=
        2 * tokens * layerWeights * layers
            + 4 * width * pairs / device.stages()
            + 2 * rows * outputWeights;
    double weights = layerWeights * layers + (rows > 0 ? outputWeights : 0);
    double inputs = tokens * layers * (2.0 * spec.hidden() + 2 * width + intermediate);
    readBytes +=
        weights * device.weightBytes()
            + (inputs + rows * spec.hidden()) * device.activationBytes()
            + seen / spec.layers() * device.kvTokenBytes();
    double outputs =
        tokens
            * layers
            * (width + 2.0 * kvHeads * spec.headDim() + 2.0 * spec.hidden() + 2.0 * intermediate);
    writtenBytes +=
        (outputs + rows * spec.vocabSize() / device.ranks()) * device.activationBytes()
            + tokens * device.kvTokenBytes();
  }

  /**
   * Positions that each token of a slice sees, added up.
   *
   * @param window last positions that a layer sees; 0: all
   */
  private static double pairs(int computed, int count, int window) {
    long whole = window == 0 ? count : Math.clamp((long) window - computed, 0, count);
    return whole * (double) computed
        + whole * (whole + 1.0) / 2
        + (count - whole) * (double) window;
  }

  /** Positions that some token of the slice sees. */
  private static double positions(int computed, int count, int window) {
    long all = (long) computed + count;
    return window == 0 ? all : Math.min(all, (long) window + count - 1);
  }
}
