package io.verdier.engine.text;

import static io.verdier.engine.text.DemoTokenizer.TOKENIZER;
import static io.verdier.engine.text.DemoTokenizer.golden;
import static io.verdier.engine.text.DemoTokenizer.ids;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class DetokenizerTest {
  private static final int[] NO_CONTEXT = {};

  @Test
  void pieces_ofGoldenIds_joinToGoldenTexts() {
    for (JsonNode c : golden("tokenizer-cases.json").get("decode")) {
      int[] ids = ids(c.get("ids"));
      assertThat(joined(ids, true)).isEqualTo(c.get("text").textValue());
      assertThat(joined(ids, false)).isEqualTo(c.get("text_with_special").textValue());
    }
    for (JsonNode c : golden("tokenizer-cases.json").get("encode")) {
      assertThat(joined(ids(c.get("ids")), true)).isEqualTo(c.get("decoded").textValue());
    }
  }

  @Test
  void pieces_ofRandomIds_joinToTheLibrarysText() {
    Random random = SeededRandom.of("pieces");
    for (int round = 0; round < 3000; round++) {
      int[] ids = new int[random.nextInt(40)];
      for (int i = 0; i < ids.length; i++) { // mostly single bytes, which seldom make characters
        ids[i] = random.nextInt(4) > 0 ? random.nextInt(260) : random.nextInt(4096);
      }
      boolean skip = random.nextBoolean();
      assertThat(joined(ids, skip))
          .as("seed %d, round %d, %s", SeededRandom.SEED, round, Arrays.toString(ids))
          .isEqualTo(TOKENIZER.decodeNatively(ids, skip));
    }
  }

  @Test
  void append_characterOverSeveralTokens_comesWithItsLast() {
    int[] ids = TOKENIZER.encode("\uD83E\uDD8A", false); // fox: four bytes, no token of its own
    assertThat(ids.length).isGreaterThan(1);
    Detokenizer detokenizer = TOKENIZER.detokenizer(true, NO_CONTEXT);
    for (int i = 0; i < ids.length - 1; i++) {
      assertThat(detokenizer.append(ids[i])).isEmpty();
    }
    assertThat(detokenizer.append(ids[ids.length - 1])).isEqualTo("\uD83E\uDD8A");
    assertThat(detokenizer.finish()).isEmpty();
  }

  @Test
  void append_characterThatNeverCompletes_becomesOneReplacement() {
    int[] ids = TOKENIZER.encode("\uD83E\uDD8A", false);
    Detokenizer detokenizer = TOKENIZER.detokenizer(true, NO_CONTEXT);
    assertThat(detokenizer.append(ids[0])).isEmpty();
    assertThat(detokenizer.append(TOKENIZER.encode("A", false))).isEqualTo("\uFFFDA");
    assertThat(detokenizer.append(ids[0])).isEmpty();
    assertThat(detokenizer.finish()).isEqualTo("\uFFFD");
  }

  @Test
  void append_tokenPastTheVocabulary_givesNoText() {
    Detokenizer detokenizer = TOKENIZER.detokenizer(false, NO_CONTEXT);
    assertThat(detokenizer.append(new int[] {4096, 1 << 30, -1})).isEmpty();
  }

  @Test
  void append_specialToken_comesOnlyWhenAskedFor() {
    int eot = TOKENIZER.idOf("<|eot_id|>").orElseThrow();
    assertThat(TOKENIZER.detokenizer(true, NO_CONTEXT).append(eot)).isEmpty();
    assertThat(TOKENIZER.detokenizer(false, NO_CONTEXT).append(eot)).isEqualTo("<|eot_id|>");
  }

  private static String joined(int[] ids, boolean skipSpecialTokens) {
    Detokenizer detokenizer = TOKENIZER.detokenizer(skipSpecialTokens, NO_CONTEXT);
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      String piece = detokenizer.append(id);
      assertThat(Tokenizer.indexOfUnpairedSurrogate(piece)).isEqualTo(-1);
      text.append(piece);
    }
    return text.append(detokenizer.finish()).toString();
  }
}
