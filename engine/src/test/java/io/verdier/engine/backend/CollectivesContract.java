package io.verdier.engine.backend;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.Backend.Matrix;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What every kind of collectives must do, to the bit: sums are float32 additions in the order of
 * ranks. Numbers are of very different sizes, so that any other order shows.
 */
@Timeout(120)
public abstract class CollectivesContract {
  private static final long SEED = Long.getLong("seed", 5);

  private final Arena arena = Arena.ofShared();
  private final List<Backend> backends = new ArrayList<>();

  /** A backend of the kind that is tested. */
  protected abstract Backend open();

  /** Of the kind that is tested, on a backend that was opened. */
  protected Collectives collectives(Backend backend, Rank rank, Meeting meeting) {
    return backend.collectives(rank, meeting);
  }

  protected abstract float[][] read(Backend backend, Tensor tensor);

  @AfterEach
  void close() {
    backends.forEach(Backend::close);
    arena.close();
  }

  @ParameterizedTest
  @CsvSource({"2,1,16", "2,7,100", "3,5,33", "4,3,8", "4,9,260", "7,2,64"})
  void allReduceSum_anySizes_addsInTheOrderOfRanks(int size, int rows, int columns) {
    float[][][] addends = addends(size, rows + 2, columns);
    float[][] expected = new float[rows][columns];
    for (int row = 0; row < rows; row++) {
      for (int c = 0; c < columns; c++) {
        float sum = addends[0][row + 1][c];
        for (int rank = 1; rank < size; rank++) {
          sum += addends[rank][row + 1][c];
        }
        expected[row][c] = sum;
      }
    }
    List<float[][]> results =
        onAll(
            size,
            (backend, collectives) -> {
              Tensor tensor = tensor(backend, addends[collectives.rank().index()]);
              tensor.select(1, rows); // rows around the selected ones stay as they are
              collectives.allReduceSum(tensor);
              float[][] sums = read(backend, tensor);
              tensor.select(0, rows + 2);
              float[][] all = read(backend, tensor);
              assertThat(all[0]).isEqualTo(addends[collectives.rank().index()][0]);
              assertThat(all[rows + 1]).isEqualTo(addends[collectives.rank().index()][rows + 1]);
              return sums;
            });
    for (float[][] result : results) {
      assertThat(result).as("seed %d", SEED).isDeepEqualTo(expected);
    }
  }

  @ParameterizedTest
  @CsvSource({"2,1,16", "2,7,50", "3,5,33", "4,3,257"})
  void allGather_anySizes_putsRanksSideBySide(int size, int rows, int columns) {
    float[][][] parts = addends(size, rows, columns);
    float[][] expected = new float[rows][size * columns];
    for (int row = 0; row < rows; row++) {
      for (int rank = 0; rank < size; rank++) {
        System.arraycopy(parts[rank][row], 0, expected[row], rank * columns, columns);
      }
    }
    List<float[][]> results =
        onAll(
            size,
            (backend, collectives) -> {
              Tensor out = backend.tensor(rows, size * columns);
              collectives.allGather(out, tensor(backend, parts[collectives.rank().index()]));
              return read(backend, out);
            });
    for (float[][] result : results) {
      assertThat(result).as("seed %d", SEED).isDeepEqualTo(expected);
    }
  }

  /** What a rank does. */
  private interface Work {
    float[][] run(Backend backend, Collectives collectives);
  }

  private List<float[][]> onAll(int size, Work work) {
    Meeting meeting = new Meeting(size);
    for (int i = 0; i < size; i++) {
      backends.add(open());
    }
    try (ExecutorService threads = Executors.newFixedThreadPool(size)) {
      List<Future<float[][]>> results = new ArrayList<>();
      for (int i = 0; i < size; i++) {
        Rank rank = new Rank(i, size);
        Backend backend = backends.get(i);
        results.add(
            threads.submit(
                () -> {
                  try (Collectives collectives = collectives(backend, rank, meeting)) {
                    return work.run(backend, collectives);
                  } catch (Throwable thrown) {
                    meeting.abort(thrown);
                    throw thrown;
                  }
                }));
      }
      List<float[][]> all = new ArrayList<>();
      for (Future<float[][]> result : results) {
        all.add(result.get());
      }
      return all;
    } catch (Exception failed) {
      throw new AssertionError(failed);
    }
  }

  private static float[][][] addends(int size, int rows, int columns) {
    Random random = new Random(SEED);
    float[][][] addends = new float[size][rows][columns];
    for (float[][] rank : addends) {
      for (float[] row : rank) {
        for (int i = 0; i < columns; i++) {
          float number = (float) (random.nextGaussian() * Math.pow(2, random.nextInt(20)));
          row[i] = Float.intBitsToFloat(Float.floatToRawIntBits(number) & 0xffff0000);
        }
      }
    }
    return addends;
  }

  /** Rows of bfloat16 numbers, which every backend's embedding keeps to the bit. */
  private Tensor tensor(Backend backend, float[][] rows) {
    int columns = rows[0].length;
    MemorySegment data = arena.allocate((long) rows.length * columns * Short.BYTES, 8);
    for (int i = 0; i < rows.length * columns; i++) {
      int bits = Float.floatToRawIntBits(rows[i / columns][i % columns]);
      data.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (bits >>> 16));
    }
    StoredTensor stored =
        new StoredTensor("x", DType.BF16, new long[] {rows.length, columns}, data);
    List<@Nullable StoredTensor> none = Collections.nCopies(1, null);
    Matrix table = backend.matrix(List.of(stored), none);
    Tensor tensor = backend.tensor(rows.length, columns);
    AttentionBatch batch = new AttentionBatch(rows.length, 1);
    int[] tokens = IntStream.range(0, rows.length).toArray();
    batch.add(position -> tokens[position], 0, rows.length, Arrays.copyOf(tokens, 1));
    backend.embed(tensor, table, batch);
    return tensor;
  }
}
