package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Any order and any spelling of the same flags is the same configuration. */
class SpellingPropertyTest {
  private static final int ROUNDS = 2000;

  private static final List<List<String>> FLAGS =
      List.of(
          List.of("--port", "9001"),
          List.of("--host", "127.0.0.1"),
          List.of("--max-num-seqs", "64"),
          List.of("--max-model-len", "4K"),
          List.of("--enable-request-id-headers", "true"),
          List.of("--enable-prefix-caching", "false"),
          List.of("--disable-log-stats", "true"),
          List.of("--dtype", "bfloat16"),
          List.of("--max-body-bytes", "8MiB"),
          List.of("--drain-timeout", "12"),
          List.of("--served-model-name", "green"),
          List.of("--override-generation-config", "{\"top_p\":0.5}"),
          List.of("--root-path", "/api"));

  @Test
  void load_anyOrderAndSpelling_sameConfiguration() {
    long seed = Long.getLong("seed", 20261123L);
    Random random = new Random(seed);
    ServerConfig expected = null;
    for (int round = 0; round < ROUNDS; round++) {
      List<String> argv = new ArrayList<>();
      List<List<String>> flags = new ArrayList<>(FLAGS);
      Collections.shuffle(flags, random);
      flags.forEach(flag -> argv.addAll(spelled(flag.get(0), flag.get(1), random)));
      ServerConfig config = Loading.loaded(Map.of(), argv).config();
      expected = expected == null ? config : expected;
      assertThat(config).as("seed %d, round %d: %s", seed, round, argv).isEqualTo(expected);
    }
  }

  private static List<String> spelled(String name, String value, Random random) {
    String written = "--" + dashes(name.substring(2), random);
    boolean isSwitch = value.equals("true") || value.equals("false");
    if (isSwitch && random.nextBoolean()) {
      boolean on = value.equals("true");
      return List.of(on ? written : "--no-" + dashes(name.substring(2), random));
    }
    return switch (random.nextInt(5)) {
      case 0 -> List.of(written + "=" + value);
      case 1 -> List.of(written + " " + value);
      case 2 -> List.of(written + "='" + value + "'");
      case 3 -> List.of(written + " \"" + value + "\"");
      default -> List.of(written, value);
    };
  }

  private static String dashes(String name, Random random) {
    StringBuilder out = new StringBuilder(name);
    for (int i = 0; i < name.length(); i++) {
      if (name.charAt(i) == '-' && random.nextBoolean()) {
        out.setCharAt(i, '_');
      }
    }
    return out.toString();
  }
}
