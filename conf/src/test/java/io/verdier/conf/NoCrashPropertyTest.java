package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whatever is given, an answer comes back and no exception; a secret is in none of it. */
class NoCrashPropertyTest {
  private static final int ROUNDS = 1500;
  private static final String SECRET = "s3cr3t";

  private static final List<String> PIECES =
      List.of(
          "",
          " ",
          "-",
          "--",
          "---",
          "=",
          ".",
          "--=",
          "--.",
          "-O",
          "-O9",
          "-tp",
          "x",
          "0",
          "-1",
          "1e99",
          "4K",
          "4k",
          "NaN",
          "null",
          "true",
          "False",
          "'",
          "\"",
          "''",
          "[",
          "]",
          "[]",
          "{",
          "{}",
          "{\"a\":1}",
          "[1,null,{}]",
          "a=b",
          "a=b,=c",
          ",",
          "a,b",
          "python",
          "-m",
          "vllm",
          "vllm.entrypoints.model_cohost_server",
          "serve",
          "x.sh",
          "\u0000",
          "\n",
          "é🐦",
          "https://u:p@h/?q",
          "99999999999999999999",
          "0.1",
          "5m",
          "tcp://1.2.3.4:5",
          "/",
          "/a b");

  @TempDir Path directory;

  @Test
  void load_randomGarbage_alwaysAnswers() {
    long seed = Long.getLong("seed", 4242L);
    Random random = new Random(seed);
    for (int round = 0; round < ROUNDS; round++) {
      List<String> argv = new ArrayList<>();
      Map<String, String> environment = new HashMap<>();
      for (int i = random.nextInt(8); i > 0; i--) {
        argv.add(element(random));
      }
      for (int i = random.nextInt(4); i > 0; i--) {
        environment.put(flag(random).ownVariable(), piece(random));
      }
      environment.remove("VERDIER_CONFIG");
      assertThatCode(() -> ConfigLoader.load(argv, environment))
          .as("seed %d, round %d: %s %s", seed, round, argv, environment)
          .doesNotThrowAnyException();
    }
  }

  @Test
  void load_secretAnywhere_isNeverShown() {
    long seed = Long.getLong("seed", 777L);
    Random random = new Random(seed);
    for (int round = 0; round < ROUNDS; round++) {
      List<String> argv = new ArrayList<>();
      for (int i = random.nextInt(4); i > 0; i--) {
        argv.add(element(random));
      }
      String name = random.nextBoolean() ? "--api-key" : "--hf_token";
      String mangled = piece(random) + SECRET + piece(random);
      switch (random.nextInt(3)) {
        case 0 -> argv.add(name + "=" + mangled);
        case 1 -> argv.add(name + " " + mangled);
        default -> argv.addAll(List.of(name, SECRET));
      }
      LoadResult result = ConfigLoader.load(argv, Map.of("VERDIER_HF_TOKEN", mangled));
      String shown =
          switch (result) {
            case LoadResult.Loaded loaded -> loaded.toString();
            case LoadResult.Invalid invalid -> invalid.text() + invalid;
            case LoadResult.HelpAsked help -> help.text();
          };
      assertThat(shown).as("seed %d, round %d: %s", seed, round, argv).doesNotContain(SECRET);
    }
  }

  @Test
  void file_randomGarbage_alwaysAnswers() throws IOException {
    long seed = Long.getLong("seed", 99L);
    Random random = new Random(seed);
    Path file = directory.resolve("v.yaml");
    for (int round = 0; round < 500; round++) {
      StringBuilder text = new StringBuilder();
      for (int i = random.nextInt(6); i > 0; i--) {
        String key = random.nextInt(4) == 0 ? piece(random) : flag(random).name().substring(2);
        text.append(key).append(": ").append(piece(random)).append('\n');
      }
      Files.writeString(file, text);
      assertThatCode(() -> ConfigLoader.load(List.of("--config", file.toString()), Map.of()))
          .as("seed %d, round %d: %s", seed, round, text)
          .doesNotThrowAnyException();
    }
  }

  private static String element(Random random) {
    return switch (random.nextInt(5)) {
      case 0 -> piece(random);
      case 1 -> flag(random).name();
      case 2 -> flag(random).name() + " " + piece(random);
      case 3 -> flag(random).name() + "." + piece(random) + "=" + piece(random);
      default -> flag(random).name() + "=" + piece(random);
    };
  }

  private static String piece(Random random) {
    return PIECES.get(random.nextInt(PIECES.size()));
  }

  /** Any flag but --config, whose garbage value would be looked for on the disk. */
  private static Flag flag(Random random) {
    List<Flag> flags = Flags.all();
    return flags.get(1 + random.nextInt(flags.size() - 1));
  }
}
