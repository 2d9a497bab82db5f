package io.verdier.engine.weights;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Weights that nobody trained: whatever tensor is asked for exists. Owned by the thread that loads
 * the model. With them a model of any size can be timed without its checkpoint ({@code
 * --load-format dummy}).
 *
 * <p>Matrices are noise of the scale that models are initialised with, biases are 0 and other
 * vectors, the gains of norms, 1: so the residual stream neither dies nor overflows, however deep
 * the model. The same name and shape gives the same bytes on every machine.
 *
 * <pre>
 *   noise    | period | period | peri…        as long as the largest tensor so far
 *   tensor      |··········|                  begins where a hash of its name says
 * </pre>
 *
 * <p>A file, or memory, for all weights would take the model's size once more; so tensors are views
 * on one block of noise, which repeats. The period is a prime number of elements: rows of no matrix
 * are equal, and a tied output matrix gives no two tokens the same logit.
 */
public final class DummyWeights implements Weights {
  /** Largest prime below 2^25. */
  static final int PERIOD = 33_554_393;

  /** As {@code initializer_range} of the usual {@code config.json}. */
  private static final double DEVIATION = 0.02;

  private static final int ALIGNMENT = 64;
  private static final int STARTS = 1 << 15; // of tensors, one every 64 bytes
  private static final long SEED = 0x5DEECE66DL;
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final DType type;
  private final boolean hasNoise;
  private final Arena arena = Arena.ofShared();
  private final Map<String, MemorySegment> vectors = new HashMap<>();
  private MemorySegment noise = MemorySegment.NULL;
  private @Nullable DummyWeights shapes;

  /**
   * @param type of every tensor
   */
  public DummyWeights(DType type) {
    this(type, true);
  }

  private DummyWeights(DType type, boolean hasNoise) {
    if (!type.isWeight()) {
      throw new IllegalArgumentException("weights of type " + type);
    }
    this.type = type;
    this.hasNoise = hasNoise;
  }

  /** Matrices without bytes, as noise for the largest of them takes gigabytes. */
  @Override
  public DummyWeights shapes() {
    DummyWeights known = shapes;
    if (known == null) {
      known = new DummyWeights(type, false);
      shapes = known;
    }
    return known;
  }

  @Override
  public boolean contains(String name) {
    return true;
  }

  @Override
  public StoredTensor tensor(String name, long... shape) {
    long elements = 1;
    for (long length : shape) {
      elements = Math.multiplyExact(elements, length);
    }
    MemorySegment data =
        shape.length > 1
            ? noise(name, elements * type.bytes())
            : constant(name.endsWith(".bias") ? 0 : 1, Math.toIntExact(elements));
    return new StoredTensor(name, type, shape, data).requireShape(shape);
  }

  @Override
  public Set<String> unused() {
    return Set.of();
  }

  @Override
  public Optional<Checkpoint> checkpoint() {
    return Optional.empty();
  }

  @Override
  public void close() {
    if (shapes != null) {
      shapes.close();
    }
    arena.close();
  }

  private MemorySegment constant(float value, int count) {
    return vectors.computeIfAbsent(
        value + " x " + count,
        absent -> {
          MemorySegment vector = arena.allocate((long) count * type.bytes(), ALIGNMENT);
          for (int i = 0; i < count; i++) {
            put(vector, i, value);
          }
          return vector;
        });
  }

  private MemorySegment noise(String name, long bytes) {
    if (!hasNoise) {
      return MemorySegment.NULL;
    }
    long longest = bytes + (long) STARTS * ALIGNMENT;
    if (noise.byteSize() < longest) {
      noise = repeated(longest);
    }
    long start = Math.floorMod(mixed(name.hashCode()), (long) STARTS);
    return noise.asSlice(start * ALIGNMENT, bytes);
  }

  /** One period of noise, again and again. Tensors of the block before this one keep that. */
  private MemorySegment repeated(long bytes) {
    MemorySegment block = arena.allocate(bytes, ALIGNMENT);
    long period = Math.min(bytes, (long) PERIOD * type.bytes());
    for (long i = 0; i < period / type.bytes(); i++) {
      put(block, i, normal(i));
    }
    for (long done = period; done < bytes; ) {
      long count = Math.min(done, bytes - done); // whole periods, twice as many each time
      MemorySegment.copy(block, 0, block, done, count);
      done += count;
    }
    return block;
  }

  private void put(MemorySegment target, long index, float value) {
    switch (type) {
      case BF16 -> {
        int bits = Float.floatToRawIntBits(value);
        int rounded = bits + 0x7fff + (bits >>> 16 & 1); // to nearest, ties to even
        target.set(SHORT, index * Short.BYTES, (short) (rounded >>> 16));
      }
      case F16 -> target.set(SHORT, index * Short.BYTES, Float.floatToFloat16(value));
      default -> target.set(INT, index * Float.BYTES, Float.floatToRawIntBits(value));
    }
  }

  /** Nearly normal: the sum of four even ones (Irwin and Hall, 1927), from one random number. */
  private static float normal(long index) {
    long bits = mixed(index);
    long sum = (bits & 0xffff) + (bits >>> 16 & 0xffff) + (bits >>> 32 & 0xffff) + (bits >>> 48);
    double even = sum / 65536.0 - 2; // mean 0 but for 2^-15, variance 1/3
    return (float) (even * DEVIATION * Math.sqrt(3));
  }

  /** A random number that depends on the index alone (SplitMix64: Steele et al., 2014). */
  private static long mixed(long index) {
    long z = SEED + (index + 1) * 0x9e3779b97f4a7c15L;
    z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
    z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
    return z ^ z >>> 31;
  }
}
