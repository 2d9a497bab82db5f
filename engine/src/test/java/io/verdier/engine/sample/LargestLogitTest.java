package io.verdier.engine.sample;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LargestLogitTest {
  private static final int OFFSET = 5;

  @ParameterizedTest
  @ValueSource(ints = {1, 31, 32, 33, 2047, 2048, 2049, 4128, 9001})
  void of_anyRow_isWhatAPlainLoopFinds(int vocabSize) {
    LargestLogit largest = new LargestLogit(vocabSize);
    Random random = new Random(vocabSize);
    for (int round = 0; round < 200; round++) {
      float[] logits = new float[OFFSET + vocabSize + 3];
      for (int i = 0; i < logits.length; i++) {
        logits[i] = random.nextInt(3) - (i < OFFSET || i >= OFFSET + vocabSize ? -100 : 50);
      }
      int id = random.nextInt(vocabSize);
      logits[OFFSET + id] += random.nextInt(3);
      int best = 0;
      for (int i = 1; i < vocabSize; i++) {
        best = logits[OFFSET + i] > logits[OFFSET + best] ? i : best;
      }

      float max = largest.of(logits, OFFSET);

      assertThat(max).isEqualTo(logits[OFFSET + best]);
      assertThat(largest.firstId(logits, OFFSET, max)).isEqualTo(best);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 40, 2047, 2048, 5000})
  void of_oneNaN_isNaN(int id) {
    float[] logits = new float[5001];
    logits[id] = Float.NaN;

    assertThat(new LargestLogit(logits.length).of(logits, 0)).isNaN();
  }
}
