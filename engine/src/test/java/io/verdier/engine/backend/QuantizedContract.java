package io.verdier.engine.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.verdier.engine.backend.Backend.Matrix;
import io.verdier.engine.weights.DType;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What holds of a backend that quantizes weights and multiplies in bfloat16: what it keeps is near
 * what it was given, and its products are those of what it keeps.
 *
 * <p>What it keeps is read by {@code embed}. Inputs come from such tables too.
 */
public abstract class QuantizedContract extends BackendFixture {
  private final double errorMax;

  /**
   * @param errorMax of what is kept of normal numbers: root of the mean square, relative to theirs
   */
  protected QuantizedContract(Backend backend, double errorMax) {
    super(backend);
    this.errorMax = errorMax;
  }

  @ParameterizedTest
  @CsvSource({"40,64,BF16", "33,100,F32", "65,1030,F16", "7,130,BF16"})
  void embed_anyShape_isNearWhatWasGiven(int rows, int columns, DType type) {
    float[][] given = matrix(rows, columns);
    float[][] kept = kept(given, type);
    double error = 0;
    double squares = 0;
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        error += Math.pow(kept[r][c] - given[r][c], 2);
        squares += Math.pow(given[r][c], 2);
      }
    }
    assertThat(Math.sqrt(error / squares)).isPositive().isLessThan(errorMax);
  }

  @ParameterizedTest
  @CsvSource({
    "1,32,64",
    "3,7,66",
    "16,65,128",
    "17,31,34",
    "30,96,1030",
    "100,40,320",
    "300,40,64"
  })
  void matmul_anyShape_isProductOfWhatIsKept(int rows, int outputs, int inputs) {
    float[][] x = matrix(rows, inputs);
    float[][] w = matrix(outputs, inputs);
    float[][] bias = matrix(1, outputs);
    Matrix weight =
        backend.matrix(List.of(stored("w", DType.BF16, w)), List.of(stored("b", DType.F32, bias)));
    float[][] xKept = rounded(kept(x, DType.F32));
    float[][] wKept = kept(w, DType.BF16);
    Tensor out = backend.tensor(rows, outputs);
    backend.matmul(out, operand(x), weight);
    float[][] actual = read(out);
    float[][] before = read(tensor(matrix(rows, outputs)));
    Tensor sum = tensor(before);
    float[][] beforeKept = read(sum);
    backend.matmulAdd(sum, operand(x), weight);
    float[][] added = read(sum);
    for (int r = 0; r < rows; r++) {
      for (int o = 0; o < outputs; o++) {
        assertThat((double) actual[r][o])
            .isCloseTo(bias[0][o] + dot(xKept[r], wKept[o]), within(1e-4 * Math.sqrt(inputs)));
        assertThat(added[r][o]).isEqualTo(beforeKept[r][o] + actual[r][o]);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 7, 8, 9, 16, 17, 33, 65, 129, 300})
  void matmul_batchOfAnySize_givesSameBits(int rows) {
    Matrix weight = weight(DType.BF16, 45, 330);
    float[][] x = matrix(rows, 330);
    Tensor out = backend.tensor(rows, 45);
    backend.matmul(out, operand(x), weight);
    float[][] batched = read(out);
    int row = random.nextInt(rows);
    Tensor alone = backend.tensor(1, 45);
    backend.matmul(alone, operand(new float[][] {x[row]}), weight);
    assertThat(read(alone)[0]).isEqualTo(batched[row]);
  }

  @ParameterizedTest
  @CsvSource({"1,24", "9,37", "70,64"})
  void matmulGate_anyShape_isThatOfWhatIsKept(int rows, int columns) {
    float[][] x = matrix(rows, 100);
    float[][] gate = matrix(columns, 100);
    float[][] up = matrix(columns, 100);
    Matrix weight =
        backend.gateUpMatrix(
            List.of(stored("gate", DType.BF16, gate), stored("up", DType.BF16, up)),
            Arrays.asList(null, null));
    Operand out = backend.operand(rows, columns);
    backend.matmulGate(out, operand(x), weight);
    float[][] gated = read(out);
    float[][] xKept = rounded(kept(x, DType.F32));
    float[][] gateKept = kept(gate, DType.BF16);
    float[][] upKept = kept(up, DType.BF16);
    for (int r = 0; r < rows; r++) {
      for (int i = 0; i < columns; i++) {
        double g = dot(xKept[r], gateKept[i]);
        double expected = g / (1 + Math.exp(-g)) * dot(xKept[r], upKept[i]);
        // read by a quantized identity, whose ones are off by what a group's scale is rounded to
        double tolerance = 2e-3 + 0x1p-6 * Math.abs(expected);
        assertThat((double) gated[r][i]).isCloseTo(expected, within(tolerance));
      }
    }
  }

  private float[][] kept(float[][] rows, DType type) {
    Matrix table = backend.matrix(List.of(stored("kept", type, rows)), noBias());
    Tensor tensor = backend.tensor(rows.length, rows[0].length);
    int[] all = IntStream.range(0, rows.length).toArray();
    backend.embed(tensor, table, batchOf(all, 0, new int[0]));
    return read(tensor);
  }

  /** To bfloat16, the nearest, ties to even. */
  private static float[][] rounded(float[][] rows) {
    float[][] result = new float[rows.length][];
    for (int r = 0; r < rows.length; r++) {
      result[r] = rows[r].clone();
      for (int i = 0; i < rows[r].length; i++) {
        int bits = Float.floatToRawIntBits(rows[r][i]);
        result[r][i] = Float.intBitsToFloat((bits + 0x7fff + (bits >>> 16 & 1)) & 0xffff0000);
      }
    }
    return result;
  }

  private static double dot(float[] a, float[] b) {
    return IntStream.range(0, a.length).mapToDouble(i -> (double) a[i] * b[i]).sum();
  }
}
