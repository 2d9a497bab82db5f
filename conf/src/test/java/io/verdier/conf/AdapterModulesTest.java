package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.conf.ServerConfig.AdapterModule;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The ways to name an adapter, and to name it wrongly. */
class AdapterModulesTest {

  @Test
  void modules_pairsAndObjects_areRead() {
    ServerConfig.Adapters adapters =
        Loading.loaded(
                Map.of(),
                List.of(
                    "--enable-lora",
                    "--lora-modules",
                    "a=gs://b/a=1",
                    "{\"name\": \"b\", \"path\": \"org/b\", \"base_model_name\": \"base\"}"))
            .config()
            .adapters();

    assertThat(adapters.enabled()).isTrue();
    assertThat(adapters.modules())
        .containsExactly(
            new AdapterModule("a", "gs://b/a=1", Optional.empty()),
            new AdapterModule("b", "org/b", Optional.of("base")));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "a | 'a' must be name=path, or a JSON object with name and path",
        "=x | an adapter needs a name of 1 to 256 characters, and a path",
        "a= | an adapter needs a name of 1 to 256 characters, and a path",
        "{\"name\":\"a\"} | an adapter needs a name of 1 to 256 characters, and a path",
        "{\"name\":\"a\" | is not valid JSON",
      })
  void modules_malformed_areRefused(String text, String problem) {
    assertThat(problems("--enable-lora", "--lora-modules", text))
        .contains("--lora-modules: ", problem);
  }

  @Test
  void adapters_contradictions_areRefused() {
    assertThat(problems("--enable-lora", "--lora-modules", "a=x", "a=y"))
        .contains("two adapters are named 'a'");
    assertThat(problems("--enable-lora", "--max-loras=3", "--max-cpu-loras=2"))
        .contains("--max-cpu-loras: 2 is less than --max-loras 3");
    assertThat(problems("--enable-lora", "--allowed-lora-sources", "gs://b,org/name"))
        .contains("--allowed-lora-sources: 'org/name' must begin with gs://");
  }

  private static String problems(String... argv) {
    return switch (ConfigLoader.load(List.of(argv), Map.of())) {
      case LoadResult.Invalid invalid -> invalid.text();
      case LoadResult.Loaded loaded -> "loaded";
      case LoadResult.HelpAsked asked -> "help";
    };
  }
}
