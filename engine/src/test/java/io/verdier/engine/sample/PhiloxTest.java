package io.verdier.engine.sample;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class PhiloxTest {

  /** The three vectors for philox4x32 with 10 rounds that Random123 publishes (kat_vectors). */
  @Test
  void word_publishedVectors_match() {
    assertThat(words(0, 0, 0, 0, 0, 0))
        .containsExactly(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
    assertThat(words(-1, -1, -1, -1, -1, -1))
        .containsExactly(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
    assertThat(words(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0))
        .containsExactly(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
  }

  @Test
  void bits_seedAndPosition_areKeyAndCounter() {
    long seed = 0x299f31d0_a4093822L;
    long position = 0x85a308d3_243f6a88L;
    int low = Philox.word(0x243f6a88, 0x85a308d3, 0, 0, seed, 0);
    int high = Philox.word(0x243f6a88, 0x85a308d3, 0, 0, seed, 1);
    assertThat(Philox.bits(seed, position)).isEqualTo((long) high << 32 | (low & 0xFFFFFFFFL));
  }

  @Test
  void bits_neighbouringSeedsAndPositions_differ() {
    Set<Long> seen = new HashSet<>();
    for (long seed = -50; seed < 50; seed++) {
      for (long position = 0; position < 50; position++) {
        assertThat(seen.add(Philox.bits(seed, position))).isTrue();
      }
    }
  }

  private static int[] words(int c0, int c1, int c2, int c3, int k0, int k1) {
    int[] words = new int[4];
    for (int i = 0; i < 4; i++) {
      words[i] = Philox.word(c0, c1, c2, c3, (long) k1 << 32 | (k0 & 0xFFFFFFFFL), i);
    }
    return words;
  }
}
