package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.Backend;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Sines and cosines, computed when a position is first met. Owned by the executor thread; compute
 * threads read.
 *
 * <p>A table for all positions of a model with a long context would take most of a second and tens
 * of megabytes at start. Angles are float64 (a float32 angle is off by 0.004 at position 100,000)
 * and {@link StrictMath} is the same to the last bit everywhere.
 */
final class CpuRopeTable implements Backend.RopeTable {
  static final int PAGE = 32; // positions

  private final double[] frequencies;
  private final double amplitude;
  private float[] @Nullable [] pages = {}; // [position / 32][position % 32][cosines | sines]

  CpuRopeTable(double[] inverseFrequencies, double amplitude) {
    this.frequencies = inverseFrequencies.clone();
    this.amplitude = amplitude;
  }

  @Override
  public int headDim() {
    return 2 * frequencies.length;
  }

  /** Makes sure that a position can be looked up. */
  void require(int position) {
    int page = position / PAGE;
    if (page >= pages.length) {
      pages = Arrays.copyOf(pages, Math.max(page + 1, pages.length * 2));
    }
    if (pages[page] == null) {
      pages[page] = compute(page * PAGE);
    }
  }

  /** The page that holds a position, computed for somebody who keeps it. */
  float[] take(int position) {
    return compute(position / PAGE * PAGE);
  }

  /** The page with a position's cosines; its sines lie {@code headDim / 2} behind. */
  float[] page(int position) {
    float[] page = pages[position / PAGE];
    if (page == null) {
      throw new IllegalStateException("position " + position + " was not prepared");
    }
    return page;
  }

  int at(int position) {
    return position % PAGE * headDim();
  }

  private float[] compute(int first) {
    float[] page = new float[PAGE * headDim()];
    int half = frequencies.length;
    for (int p = 0; p < PAGE; p++) {
      for (int i = 0; i < half; i++) {
        double angle = (first + p) * frequencies[i];
        page[p * headDim() + i] = (float) (StrictMath.cos(angle) * amplitude);
        page[p * headDim() + half + i] = (float) (StrictMath.sin(angle) * amplitude);
      }
    }
    return page;
  }
}
