package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class ReasoningFlagsTest {
  private static final String END = "--reasoning-config.reasoning_end_str=Enough.</think>";

  @Test
  void parser_ofEitherFlag_isTaken() {
    assertThat(Loading.config().parsing().reasoningParser()).isEmpty();
    assertThat(Loading.config("--reasoning-parser=qwen3").parsing().reasoningEnd()).isEmpty();
    ServerConfig.Parsing both = Loading.config("--reasoning-parser=qwen3", END).parsing();
    assertThat(both.reasoningParser()).hasValue("qwen3");
    assertThat(both.reasoningEnd()).isEqualTo("Enough.</think>");
    ServerConfig.Parsing one =
        Loading.config(
                "--reasoning-config={\"reasoning_parser\":\"mistral\",\"reasoning_end_str\":null}")
            .parsing();
    assertThat(one.reasoningParser()).hasValue("mistral");
    assertThat(one.reasoningEnd()).isEmpty();
  }

  @Test
  void config_wrong_isRefused() {
    for (List<String> wrong :
        List.of(
            List.of("--reasoning-config=[1]", "must be a JSON object"),
            List.of("--reasoning-config.reasoning_parser=5", "must be a text, not 5"),
            List.of("--reasoning-config.reasoning_parser=qwen4", "did you mean qwen3?"),
            List.of(END, "has no effect without --reasoning-parser"))) {
      assertThat(Loading.problems(wrong.getFirst()))
          .singleElement()
          .asString()
          .startsWith("--reasoning-config")
          .contains(wrong.getLast());
    }
    assertThat(
            Loading.problems(
                "--reasoning-parser=qwen3",
                "--reasoning-config={\"reasoning_parser\":\"granite\"}"))
        .singleElement()
        .asString()
        .contains("reasoning_parser is granite, --reasoning-parser qwen3");
  }

  @Test
  void keys_withoutEffect_areTold() {
    assertThat(
            Loading.loaded(
                    "--reasoning-parser=qwen3",
                    "--reasoning-config={\"reasoning_start_str\":\"<think>\",\"reasoning_end\":1}")
                .notices())
        .hasSize(2)
        .anyMatch(line -> line.contains("the parser knows the marks"))
        .anyMatch(line -> line.contains("did you mean reasoning_end_str?"));
  }
}
