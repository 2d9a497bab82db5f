package io.verdier.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class JsonExcerptTest {
  @Test
  void values_thatAreShort_areTheirJson() {
    assertThat(JsonExcerpt.of(5L)).isEqualTo("5");
    assertThat(JsonExcerpt.of(-0.5)).isEqualTo("-0.5");
    assertThat(JsonExcerpt.of(new BigInteger("99999999999999999999")))
        .isEqualTo("99999999999999999999");
    assertThat(JsonExcerpt.of(true)).isEqualTo("true");
    assertThat(JsonExcerpt.of(null)).isEqualTo("null");
    assertThat(JsonExcerpt.of("x")).isEqualTo("\"x\"");
    assertThat(JsonExcerpt.of("a\"b\\c\n\u0000\u0085"))
        .isEqualTo("\"a\\\"b\\\\c\\n\\u0000\\u0085\"");
    assertThat(JsonExcerpt.of(Arrays.asList(1L, null, "a", List.of(), Map.of())))
        .isEqualTo("[1,null,\"a\",[],{}]");
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("a", 1L);
    map.put("b", List.of(true));
    assertThat(JsonExcerpt.of(map)).isEqualTo("{\"a\":1,\"b\":[true]}");
  }

  @Test
  void values_thatAreLong_areCutOff() {
    assertThat(JsonExcerpt.of("x".repeat(100))).isEqualTo("\"" + "x".repeat(39) + "…");
    assertThat(JsonExcerpt.of("x".repeat(38))).isEqualTo("\"" + "x".repeat(38) + "\"");
    assertThat(JsonExcerpt.of(Collections.nCopies(1 << 20, 12L)))
        .isEqualTo("[12" + ",12".repeat(12) + ",…");
    Object deep = "x";
    for (int i = 0; i < 60; i++) {
      List<Object> around = new ArrayList<>();
      around.add(deep);
      deep = around;
    }
    assertThat(JsonExcerpt.of(deep)).isEqualTo("[".repeat(40) + "…");
  }

  @Test
  void texts_cutOff_keepCharactersWhole() {
    String clef = "\uD834\uDD1E";
    assertThat(JsonExcerpt.of(clef.repeat(40))).isEqualTo("\"" + clef.repeat(19) + "…");
  }
}
