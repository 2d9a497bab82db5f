package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import org.junit.jupiter.api.Test;

class JsonWriterTest {
  private final JsonWriter out = new JsonWriter();

  private String text() {
    return new String(out.toBytes(), StandardCharsets.UTF_8);
  }

  @Test
  void write_nested_commasWhereTheyBelong() {
    out.object().field("a", 1).field("b", (String) null).name("c").array();
    out.value(true).object().end().object().field("d", "x").end().values(new int[] {1, 2}).end();
    out.name("e").logprob(Float.NEGATIVE_INFINITY).name("f").logprobSum(Double.NaN).end();
    assertThat(text())
        .isEqualTo(
            "{\"a\":1,\"b\":null,\"c\":[true,{},{\"d\":\"x\"},[1,2]],\"e\":-9999.0,"
                + "\"f\":-9999.0}");
  }

  @Test
  void string_anyCharacters_readBackByJackson() throws Exception {
    long seed = Long.getLong("seed", System.nanoTime());
    Random random = new Random(seed);
    ObjectMapper mapper = new ObjectMapper();
    for (int round = 0; round < 2000; round++) {
      StringBuilder text = new StringBuilder();
      int length = random.nextInt(40);
      for (int i = 0; i < length; i++) {
        switch (random.nextInt(4)) {
          case 0 -> text.append((char) random.nextInt(0x80));
          case 1 -> text.append((char) random.nextInt(0xd800));
          case 2 -> text.appendCodePoint(0x10000 + random.nextInt(0x100000));
          default -> text.append("a\"\\\n\u2028<");
        }
      }
      out.clear().object().field("t", text.toString()).end();
      JsonNode read = mapper.readTree(out.toBytes());
      assertThat(read.get("t").textValue()).as("-Dseed=" + seed).isEqualTo(text.toString());
    }
  }

  @Test
  void string_unpairedSurrogates_replaced() {
    out.object().field("t", "a\ud800b\udc00\ud83d").end();
    assertThat(text()).isEqualTo("{\"t\":\"a\ufffdb\ufffd\ufffd\"}");
  }
}
