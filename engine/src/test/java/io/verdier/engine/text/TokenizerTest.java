package io.verdier.engine.text;

import static io.verdier.engine.text.DemoTokenizer.TOKENIZER;
import static io.verdier.engine.text.DemoTokenizer.golden;
import static io.verdier.engine.text.DemoTokenizer.ids;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

class TokenizerTest {

  @Test
  void encode_goldenTexts_giveGoldenIdsAndBack() {
    JsonNode cases = golden("tokenizer-cases.json").get("encode");
    assertThat(cases).hasSize(319);
    for (JsonNode c : cases) {
      String text = c.get("text").textValue();
      int[] ids = TOKENIZER.encode(text, false);
      assertThat(ids).as(text).isEqualTo(ids(c.get("ids")));
      assertThat(TOKENIZER.decode(ids, true)).isEqualTo(c.get("decoded").textValue());
    }
  }

  @Test
  void decode_goldenIds_giveGoldenTexts() {
    JsonNode cases = golden("tokenizer-cases.json").get("decode");
    assertThat(cases).hasSize(60);
    for (JsonNode c : cases) {
      int[] ids = ids(c.get("ids"));
      assertThat(TOKENIZER.decode(ids, true)).isEqualTo(c.get("text").textValue());
      assertThat(TOKENIZER.decode(ids, false)).isEqualTo(c.get("text_with_special").textValue());
    }
  }

  @Test
  void encode_renderedTemplates_giveGoldenIds() {
    int checked = 0;
    for (JsonNode c : golden("chat-template-cases.json").get("cases")) {
      if (c.has("text")) {
        String text = c.get("text").textValue();
        assertThat(TOKENIZER.encode(text, false)).as(text).isEqualTo(ids(c.get("ids")));
        assertThat(TOKENIZER.decode(ids(c.get("ids")), false)).isEqualTo(text);
        checked++;
      }
    }
    assertThat(checked).isEqualTo(23);
  }

  @Test
  void encode_longText_isNotTruncated() {
    String text = "The quick brown fox jumps over the lazy dog. ".repeat(2500);
    int[] ids = TOKENIZER.encode(text, false);
    assertThat(ids).hasSizeGreaterThan(20_000);
    assertThat(TOKENIZER.decode(ids, false)).isEqualTo(text);
  }

  @Test
  void encode_withSpecialTokens_prependsBegin() {
    int bos = TOKENIZER.idOf("<|begin_of_text|>").orElseThrow();
    int[] bare = TOKENIZER.encode("Hi", false);
    assertThat(TOKENIZER.addsBos()).isTrue();
    assertThat(TOKENIZER.encode("Hi", true))
        .startsWith(bos)
        .endsWith(bare)
        .hasSize(bare.length + 1);
    assertThat(TOKENIZER.encode("", true)).containsExactly(bos);
  }

  @Test
  void encode_unpairedSurrogate_isRefused() {
    for (String text : List.of("\uD83D", "a\uDE00b", "\uD83D\uD83D\uDE00", "x\uD83D ")) {
      assertThatExceptionOfType(RejectedException.class)
          .isThrownBy(() -> TOKENIZER.encode(text, false))
          .withMessageContaining("unpaired surrogate U+D")
          .satisfies(e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_ARGUMENT));
    }
    assertThat(TOKENIZER.decode(TOKENIZER.encode("a\uD83D\uDE00b", false), true))
        .isEqualTo("a\uD83D\uDE00b");
  }

  @Test
  void encode_endlessRun_isRefusedBeforeTheLibraryDies() {
    String run = " ".repeat(Tokenizer.RUN_CHARS_MAX + 1);
    assertThatExceptionOfType(RejectedException.class)
        .isThrownBy(() -> TOKENIZER.encode("ab" + run, false))
        .withMessage(
            "text has more than 1048576 spaces on end, from character 2; break the run up.");
    for (String unit : List.of("a", "7", "~", "\uD83D\uDE00")) {
      assertThatExceptionOfType(RejectedException.class)
          .isThrownBy(() -> TOKENIZER.encode(unit.repeat(Tokenizer.RUN_CHARS_MAX + 1), false));
    }
  }

  @Test
  void decode_unknownId_isRefused() {
    for (int id : new int[] {-1, 4096, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
      assertThatExceptionOfType(RejectedException.class)
          .isThrownBy(() -> TOKENIZER.decode(new int[] {5, id}, true))
          .withMessageContaining("token id " + id + " is not in the vocabulary; ids are 0 to 4095");
    }
  }

  @Test
  void tokens_ofTheWholeVocabulary_haveTextBytesAndIds() {
    assertThat(TOKENIZER.vocabSize()).isEqualTo(4096);
    for (int id = 0; id < 4096; id++) {
      byte[] bytes = TOKENIZER.tokenBytes(id);
      assertThat(bytes).isNotEmpty();
      String alone = TOKENIZER.decodeNatively(new int[] {id}, false);
      assertThat(TOKENIZER.tokenText(id)).isEqualTo(alone);
      if (!alone.contains("\uFFFD")) {
        assertThat(new String(bytes, StandardCharsets.UTF_8)).isEqualTo(alone);
      }
      assertThat(TOKENIZER.idOf(TOKENIZER.spelling(id))).hasValue(id);
      assertThat(TOKENIZER.isSpecial(id)).isEqualTo(id >= 4064);
    }
    assertThat(TOKENIZER.idOf("no such token")).isEmpty();
    assertThat(TOKENIZER.tokenBytesMax()).isEqualTo("<|reserved_special_token_10|>".length());
    assertThat(TOKENIZER.spelling(220)).isEqualTo("\u0120");
    assertThat(TOKENIZER.tokenText(220)).isEqualTo(" ");
  }

  @Test
  void encode_fromManyThreads_givesTheSameIds() throws Exception {
    JsonNode cases = golden("tokenizer-cases.json").get("encode");
    Callable<Integer> task =
        () -> {
          for (JsonNode c : cases) {
            assertThat(TOKENIZER.encode(c.get("text").textValue(), false))
                .isEqualTo(ids(c.get("ids")));
          }
          return cases.size();
        };
    try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
      List<Future<Integer>> done = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        done.add(threads.submit(task));
      }
      for (Future<Integer> future : done) {
        assertThat(future.get()).isEqualTo(319);
      }
    }
  }

  @Test
  void encode_afterClose_isOurBug() throws Exception {
    Tokenizer tokenizer = Tokenizer.load(DemoTokenizer.directory(), DemoTokenizer.NATIVE_CACHE);
    tokenizer.close();
    tokenizer.close();
    assertThatExceptionOfType(IllegalStateException.class)
        .isThrownBy(() -> tokenizer.encode("x", false));
  }
}
