package io.verdier.engine.backend;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class AttentionBatchTest {

  @Test
  void copyFrom_aBatchWithAdapters_hasThemToo() {
    AttentionBatch batch = new AttentionBatch(8, 4);
    batch.add(i -> i, 0, 3, new int[] {1});
    batch.add(i -> i, 5, 1, new int[] {2}, 7);
    AttentionBatch copy = new AttentionBatch(8, 4);

    copy.copyFrom(batch);

    assertThat(copy.hasAdapters()).isTrue();
    assertThat(copy.adapter(0)).isEqualTo(AttentionBatch.NO_ADAPTER);
    assertThat(copy.adapter(1)).isEqualTo(7);
    batch.clear();
    batch.add(i -> i, 0, 3, new int[] {1});
    copy.copyFrom(batch);
    assertThat(copy.hasAdapters()).isFalse();
  }
}
