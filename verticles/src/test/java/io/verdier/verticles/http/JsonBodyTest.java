package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.RejectedException;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class JsonBodyTest {
  private final JsonBody json = new JsonBody(HttpFixture.limits(new HttpFixture.Options()));

  private Map<String, ?> parse(String text) {
    return json.parse(text.getBytes(StandardCharsets.UTF_8));
  }

  @Test
  void parse_allKinds_plainTypes() {
    assertThat(parse("{\"a\":[1,-2.5,true,null,\"x\\u00e9\\ud83d\\ude00\"],\"b\":{\"c\":{}}}"))
        .isEqualTo(
            Map.of("a", Arrays.asList(1L, -2.5, true, null, "xé😀"), "b", Map.of("c", Map.of())));
    assertThat(parse("{\"n\":9223372036854775808,\"m\":9223372036854775807,\"z\":-0}"))
        .isEqualTo(
            Map.of("n", new BigInteger("9223372036854775808"), "m", Long.MAX_VALUE, "z", 0L));
  }

  @Test
  void parse_malformed_refused() {
    List<String> bad =
        List.of(
            "",
            " ",
            "[]",
            "1",
            "null",
            "{",
            "{}{}",
            "{} x",
            "{\"a\":1,\"a\":2}",
            "{\"a\":{\"b\":1,\"b\":1}}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":NaN}",
            "{\"a\":Infinity}",
            "{\"a\":01}",
            "{\"a\":0x10}",
            "{\"a\":+1}",
            "{\"a\":.5}",
            "{\"a\":1e999}",
            "{\"a\":-1E400}",
            "{\"a\":" + "9".repeat(65) + "}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\udc00\\ud800\"}",
            "{\"\\ud800\":1}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":1,}",
            "// c\n{}",
            "\ufeff{}",
            "{\"a\":" + "[".repeat(200_000),
            "{\"a\":".repeat(200_000),
            "{\"a\":" + "[".repeat(128) + "]".repeat(128) + "}",
            "{\"a\":[" + "0,".repeat(200_000) + "0]}",
            "{\"" + "n".repeat(2000) + "\":1}");
    for (String text : bad) {
      assertThatThrownBy(() -> parse(text))
          .as(text.substring(0, Math.min(40, text.length())))
          .isInstanceOf(RejectedException.class)
          .hasMessageNotContaining("jackson")
          .hasMessageNotContaining("Exception");
    }
  }

  @Test
  void parse_badEncodings_refused() {
    List<byte[]> bad = new ArrayList<>();
    bad.add(new byte[] {'{', '"', (byte) 0xc0, (byte) 0x80, '"', ':', '1', '}'}); // overlong
    bad.add(new byte[] {'{', '"', (byte) 0xed, (byte) 0xa0, (byte) 0x80, '"', ':', '1', '}'});
    bad.add(new byte[] {'{', '"', (byte) 0xe2, (byte) 0x82, '"', ':', '1', '}'}); // cut short
    bad.add("{\"a\":1}".getBytes(StandardCharsets.UTF_16));
    bad.add("{\"a\":1}".getBytes(StandardCharsets.UTF_16LE));
    for (byte[] bytes : bad) {
      assertThatThrownBy(() -> json.parse(bytes)).isInstanceOf(RejectedException.class);
    }
  }

  @Test
  void parse_collidingNames_fast() {
    StringBuilder text = new StringBuilder("{\"x\":0");
    for (int i = 0; i < 1 << 14; i++) {
      StringBuilder name = new StringBuilder();
      for (int bit = 0; bit < 14; bit++) {
        name.append((i >> bit & 1) == 0 ? "Aa" : "BB"); // both hash to 2112
      }
      text.append(",\"").append(name).append("\":1");
    }
    long start = System.nanoTime();
    assertThat(parse(text.append('}').toString())).hasSize((1 << 14) + 1);
    assertThat(System.nanoTime() - start).isLessThan(2_000_000_000L);
  }
}
