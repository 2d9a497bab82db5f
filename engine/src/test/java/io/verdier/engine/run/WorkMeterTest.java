package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.sun.management.ThreadMXBean;
import io.verdier.engine.model.ModelSpec;
import io.verdier.engine.model.RopeSpec;
import io.verdier.engine.schedule.StepPlan;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class WorkMeterTest {
  private static final int LAYERS = 3;
  private static final int HIDDEN = 8;
  private static final int HEADS = 4;
  private static final int KV_HEADS = 2;
  private static final int HEAD_DIM = 2;
  private static final int INNER = 12;
  private static final int VOCABULARY = 20;
  private static final double KV_BYTES = 2.0 * LAYERS * KV_HEADS * HEAD_DIM * 4;

  private static ModelSpec spec(int... windows) {
    return new ModelSpec(
        "Test",
        VOCABULARY,
        HIDDEN,
        INNER,
        LAYERS,
        HEADS,
        KV_HEADS,
        HEAD_DIM,
        1e-5f,
        100,
        new RopeSpec(new double[HEAD_DIM / 2], 1, 1, 0),
        windows,
        new ModelSpec.Biases(false, false, false),
        false,
        true,
        false);
  }

  private static WorkMeter meter(ModelSpec spec, int ranks, int stages) {
    return new WorkMeter(
        spec, new WorkMeter.Device(ranks, stages, 2, 4, KV_BYTES / ranks / stages));
  }

  private static StepPlan plan(StepPlan.Slice... slices) {
    return new StepPlan(1, new long[0], List.of(), List.of(slices));
  }

  private static StepPlan.Slice slice(int computed, int count, boolean samples) {
    return new StepPlan.Slice(1, computed, count, new int[0], samples);
  }

  /** What the products of a model cost, one by one: rows × inner × columns. */
  private static final class Products {
    private double operations;
    private double read;
    private double written;

    void product(double rows, double inner, double columns) {
      operations += 2 * rows * inner * columns;
      read += inner * columns * 2 + rows * inner * 4;
      written += rows * columns * 4;
    }
  }

  private static Products expected(StepPlan plan, int... windows) {
    Products all = new Products();
    int tokens = plan.slices().stream().mapToInt(StepPlan.Slice::count).sum();
    int rows = (int) plan.slices().stream().filter(StepPlan.Slice::samples).count();
    for (int layer = 0; layer < LAYERS; layer++) {
      all.product(tokens, HIDDEN, (HEADS + 2 * KV_HEADS) * HEAD_DIM);
      for (StepPlan.Slice slice : plan.slices()) {
        int firstSeen = Integer.MAX_VALUE;
        for (int i = 0; i < slice.count(); i++) {
          int position = slice.computed() + i;
          int first = windows[layer] == 0 ? 0 : Math.max(0, position + 1 - windows[layer]);
          all.operations += 2 * 2.0 * HEADS * HEAD_DIM * (position + 1 - first);
          firstSeen = Math.min(firstSeen, first);
        }
        int seen = slice.computed() + slice.count() - firstSeen;
        all.read += 2.0 * seen * KV_HEADS * HEAD_DIM * 4 + slice.count() * HEADS * HEAD_DIM * 4;
        all.written += 2.0 * slice.count() * KV_HEADS * HEAD_DIM * 4;
      }
      all.product(tokens, HEADS * HEAD_DIM, HIDDEN);
      all.product(tokens, HIDDEN, 2 * INNER);
      all.product(tokens, INNER, HIDDEN);
    }
    if (rows > 0) {
      all.product(rows, HIDDEN, VOCABULARY);
    }
    return all;
  }

  @Test
  void step_ofAnySlices_isThatOfItsProducts() {
    int[][] windows = {{0, 0, 0}, {4, 0, 4}, {3, 3, 3}, {1, 50, 0}};
    for (int[] seen : windows) {
      for (StepPlan plan :
          List.of(
              plan(slice(0, 9, true)),
              plan(slice(0, 9, false)),
              plan(slice(7, 1, true), slice(2, 5, true), slice(0, 3, false), slice(40, 1, true)))) {
        WorkMeter meter = meter(spec(seen), 1, 1);
        meter.add(plan);
        Products all = expected(plan, seen);
        assertThat(meter.operations()).isCloseTo(all.operations, within(1e-6));
        assertThat(meter.readBytes()).isCloseTo(all.read, within(1e-6));
        assertThat(meter.writtenBytes()).isCloseTo(all.written, within(1e-6));
        meter.add(plan);
        assertThat(meter.operations()).isCloseTo(2 * all.operations, within(1e-6));
        meter.add(plan());
        assertThat(meter.readBytes()).isCloseTo(2 * all.read, within(1e-6));
      }
    }
  }

  @Test
  void step_ofSeveralDevices_isShared() {
    StepPlan plan = plan(slice(0, 9, true), slice(20, 1, true));
    WorkMeter alone = meter(spec(0, 0, 0), 1, 1);
    alone.add(plan);
    WorkMeter shared = meter(spec(0, 0, 0), 2, 1);
    shared.add(plan);
    assertThat(shared.operations()).isCloseTo(alone.operations() / 2, within(1e-6));
    WorkMeter staged = meter(spec(0, 0, 0), 1, 3);
    staged.add(plan);
    double output = 2.0 * 2 * HIDDEN * VOCABULARY;
    assertThat(staged.operations() - output)
        .isCloseTo((alone.operations() - output) / 3, within(1e-6));
  }

  @Test
  void steps_measured_allocateNothing() {
    List<StepPlan.Slice> slices = new ArrayList<>();
    for (int i = 0; i < 256; i++) {
      slices.add(slice(i, 1, true));
    }
    StepPlan plan = new StepPlan(1, new long[0], List.of(), List.copyOf(slices));
    WorkMeter meter = meter(spec(4, 0, 4), 1, 1);
    measure(meter, plan);
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadAllocatedBytes();
    measure(meter, plan);
    assertThat(threads.getCurrentThreadAllocatedBytes() - before)
        .as("bytes for 1000 steps of 256 slices")
        .isLessThan(1000);
  }

  private static void measure(WorkMeter meter, StepPlan plan) {
    for (int i = 0; i < 1000; i++) {
      meter.add(plan);
    }
  }
}
