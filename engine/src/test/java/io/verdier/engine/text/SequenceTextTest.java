package io.verdier.engine.text;

import static io.verdier.engine.text.DemoTokenizer.TOKENIZER;
import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.text.SequenceText.Piece;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class SequenceTextTest {
  private static final int[] NONE = {};
  private static final int EOT = TOKENIZER.idOf("<|eot_id|>").orElseThrow();

  @Test
  void append_plainText_comesAsItIs() {
    SequenceText text = open(true, false);
    int[] ids = TOKENIZER.encode("Hello, world", false);
    Piece piece = text.append(ids);
    assertThat(piece).isEqualTo(new Piece("Hello, world", null, ids.length));
    assertThat(text.finish()).isEqualTo(new Piece("", null, 0));
  }

  @Test
  void append_stopStringInTheMiddle_countsTokensUpToIt() {
    SequenceText text = open(true, false, "two");
    int[] ids = TOKENIZER.encode("one two three four", false);
    int upTo = TOKENIZER.encode("one two", false).length;
    assertThat(text.append(ids)).isEqualTo(new Piece("one ", "two", upTo));
    assertThat(text.append(ids)).isEqualTo(new Piece("", "two", 0));
    assertThat(text.finish(ids, false)).isEqualTo(new Piece("", "two", 0));
  }

  @Test
  void append_includeStop_keepsIt() {
    int[] ids = TOKENIZER.encode("one two three", false);
    assertThat(open(true, true, "two").append(ids).text()).isEqualTo("one two");
  }

  @Test
  void append_notStreaming_givesAllTextAtTheEnd() {
    int[] ids = TOKENIZER.encode("one two three", false);
    SequenceText text = open(false, false);
    assertThat(text.append(ids)).isEqualTo(new Piece("", null, ids.length));
    assertThat(text.finish(new int[] {EOT}, true)).isEqualTo(new Piece("one two three", null, 1));
    assertThat(open(false, false, "three").append(ids).text()).isEqualTo("one two ");
  }

  @Test
  void finish_stopToken_isHiddenUnlessStopsStayIn() {
    int[] ids = TOKENIZER.encode("one.", false);
    assertThat(open(true, false).finish(ids, true)).isEqualTo(new Piece("one", null, ids.length));
    assertThat(open(true, true).finish(ids, true)).isEqualTo(new Piece("one.", null, ids.length));
    assertThat(open(true, false).finish(ids, false)).isEqualTo(new Piece("one.", null, ids.length));
  }

  @Test
  void finish_heldBackText_comesOut() {
    SequenceText text = open(true, false, "###");
    assertThat(text.append(TOKENIZER.encode("a##", false)).text()).isEqualTo("a");
    assertThat(text.finish().text()).isEqualTo("##");
    SequenceText fox = open(true, false);
    int[] ids = TOKENIZER.encode("\uD83E\uDD8A", false);
    assertThat(fox.append(Arrays.copyOf(ids, 1)).text()).isEmpty();
    assertThat(fox.finish().text()).isEqualTo("\uFFFD");
  }

  @Test
  void append_withinMinTokens_stopStringDoesNotCount() {
    int[] ids = TOKENIZER.encode("a.b.c.d", false);
    assertThat(ids).hasSize(7);
    TextParams params = new TextParams(List.of("."), false, true, true);
    SequenceText text = new SequenceText(TOKENIZER, params, 4, NONE);
    assertThat(text.append(ids)).isEqualTo(new Piece("a.b.c", ".", 6));
  }

  @Test
  void pieces_everyGroupingOfTokens_giveTheSameAnswer() {
    Random random = SeededRandom.of("grouping");
    String sentence =
        "The fox \uD83E\uDD8A said: \"\u00E9t\u00E9 \u65E5\u672C\" 12345 ## END. \uD83D\uDE00 bye";
    int[] ids = TOKENIZER.encode(sentence, false);
    List<List<String>> stops =
        List.of(List.of(), List.of("END"), List.of("\u672C\""), List.of("never", "e", " fox"));
    for (int round = 0; round < 2000; round++) {
      boolean streaming = random.nextBoolean();
      String[] stop = stops.get(random.nextInt(stops.size())).toArray(String[]::new);
      boolean include = random.nextBoolean();
      Piece whole = open(false, include, stop).finish(ids, false);
      SequenceText text = open(streaming, include, stop);
      StringBuilder joined = new StringBuilder();
      int consumed = 0;
      Piece piece = text.append(NONE);
      for (int from = 0; from < ids.length; ) {
        int to = Math.min(ids.length, from + 1 + random.nextInt(6));
        int[] group = Arrays.copyOfRange(ids, from, to);
        piece = to == ids.length ? text.finish(group, false) : text.append(group);
        assertThat(Tokenizer.indexOfUnpairedSurrogate(piece.text())).isEqualTo(-1);
        joined.append(piece.text());
        consumed += piece.consumed();
        from = to;
      }
      assertThat(new Piece(joined.toString(), piece.stop(), consumed))
          .as("seed %d, round %d", SeededRandom.SEED, round)
          .isEqualTo(whole);
    }
  }

  @Test
  void append_visibleToken_staysThoughSpecialOnesAreLeftOut() {
    int tag = TOKENIZER.idOf("<|python_tag|>").orElseThrow();
    TextParams params =
        new TextParams(List.of(), false, true, true).withVisibleTokens(Set.of("<|python_tag|>"));
    SequenceText text = new SequenceText(TOKENIZER, params, 0, NONE);
    assertThat(text.append(new int[] {tag, EOT}).text()).isEqualTo("<|python_tag|>");
    assertThat(open(true, false).append(new int[] {tag, EOT}).text()).isEmpty();
  }

  private static SequenceText open(boolean streaming, boolean includeStop, String... stops) {
    TextParams params = new TextParams(List.of(stops), includeStop, true, streaming);
    return new SequenceText(TOKENIZER, params, 0, NONE);
  }
}
